"""Controls over the pictures, in a live notebook only."""

from collections.abc import Callable

from ..workspace import headless


def interactive(draw: Callable[..., object], **controls: object) -> None:
    """Show ``draw`` behind ipywidgets controls; do nothing when the notebook runs headless.

    Args:
        draw: makes the picture anew from the controls' values.
        controls: as for ``ipywidgets.interact``: a text, a number range, a list of choices.
    """
    if headless():
        return
    from ipywidgets import interact

    interact(draw, **controls)
