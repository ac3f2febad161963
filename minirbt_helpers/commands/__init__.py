"""The commands of ``minirbt``, a file for each group: options and messages; the work is done by the rooms."""

from . import course, text, training, tasks, models  # noqa: F401, I001 (each adds its commands, in the help's order)
from .options import app

__all__ = ["app"]
