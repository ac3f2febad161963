"""Planted wrong answers to the exercises, one table per notebook: what a reader would write who makes one mistake.

A table maps an exercise to its wrong answers: the fault, a function that has it, and words that the checker's
message must hold. test_exercises.py runs them all.
"""

from collections.abc import Callable
from typing import NamedTuple


class Wrong(NamedTuple):
    """A planted wrong answer."""

    fault: str
    answer: Callable
    says: str
