"""Hints and solutions, as a reader sees them."""

from dataclasses import dataclass

from .exercise import Exercise

STARS = {1: "●○○", 2: "●●○", 3: "●●●"}


@dataclass(frozen=True)
class Note:
    """A text that shows itself as markdown in a notebook and as it is elsewhere."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text


def hint_note(exercise: Exercise, step: int) -> Note:
    """One of the two hints."""
    more = f"\n\nThe second hint says more: `hint({exercise.name!r}, 2)`" if step == 1 else ""
    return Note(f"**Hint {step} of 2, {exercise.title}.** {exercise.hints[step - 1]}{more}")


def solution_note(exercise: Exercise) -> Note:
    """The solution, with what is easy to get wrong."""
    return Note(f"```python\n{exercise.solution}\n```\n\n**Easy to get wrong.** {exercise.remark}")
