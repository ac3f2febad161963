"""All exercises and questions of the course, notebook by notebook, and how one is found."""

from difflib import get_close_matches

from ..errors import CourseError
from ..language import N_, _
from . import (
    of_00_tour,
    of_01_whole_word_masking,
    of_02_ltp_references,
    of_03_teacher_assistant,
    of_04_two_stage_distillation,
    of_05_finetuning,
    of_06_looking_inside,
    of_07_comparing_models,
    of_08_going_to_full_size,
    of_09_raising_a_teacher,
)
from .exercise import Exercise, Question, Shelf

SHELVES: tuple[Shelf, ...] = (
    of_00_tour.shelf,
    of_01_whole_word_masking.shelf,
    of_02_ltp_references.shelf,
    of_03_teacher_assistant.shelf,
    of_04_two_stage_distillation.shelf,
    of_05_finetuning.shelf,
    of_06_looking_inside.shelf,
    of_07_comparing_models.shelf,
    of_08_going_to_full_size.shelf,
    of_09_raising_a_teacher.shelf,
)
EXERCISES: dict[str, Exercise] = {one.name: one for shelf in SHELVES for one in shelf.exercises}
QUESTIONS: dict[str, Question] = {one.name: one for shelf in SHELVES for one in shelf.questions}


def find(name: str) -> Exercise:
    """The exercise of a name, in the language that is set.

    Raises:
        CourseError: unknown, with the names that are nearest.
    """
    return _found(name, EXERCISES, N_("no exercise {name!r}"))


def find_question(name: str) -> Question:
    """The quick question of a name, in the language that is set.

    Raises:
        CourseError: unknown, with the names that are nearest.
    """
    return _found(name, QUESTIONS, N_("no question {name!r}"))


def _found(name: str, entries: dict, unknown: str):
    if name in entries:
        return entries[name].translated()
    near = get_close_matches(str(name), entries, n=5, cutoff=0.3) or list(entries)
    raise CourseError(_(unknown).format(name=name), fix=_("perhaps {names}").format(names=", ".join(near)))
