"""Hints and solutions, as a reader sees them."""

from dataclasses import dataclass

from ..language import _
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
    text = _("**Hint {step} of 2, {title}.** {hint}")
    more = _("The second hint says more: `hint({name!r}, 2)`").format(name=exercise.name)
    text = text.format(step=step, title=exercise.title, hint=exercise.hints[step - 1])
    return Note(f"{text}\n\n{more}" if step == 1 else text)


def solution_note(exercise: Exercise) -> Note:
    """The solution, with what is easy to get wrong."""
    remark = _("**Easy to get wrong.** {remark}").format(remark=exercise.remark)
    return Note(f"```python\n{exercise.solution}\n```\n\n{remark}")
