"""What is drawn: numbers in, a picture out. The picture of what ``measured/x.py`` measures lies in ``drawn/x.py``."""
