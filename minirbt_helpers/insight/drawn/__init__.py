"""What is drawn: numbers in, a picture out. The picture of what ``measured/x.py`` measures lies in ``drawn/x.py``.

Sentences that a model has read (``measured/reading.py``) are drawn in ``attention.py`` and ``hidden_states.py``,
models side by side and published scores in ``scores.py`` and ``speed.py``. The tools of all are ``axes.py``,
``canvas.py``, ``tables.py`` and ``theme.py``.
"""
