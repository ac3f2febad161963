"""What models are called where a reader sees them; in code and in files the English name is the key."""

import re
from collections.abc import Mapping, Sequence

from .language import N_, _

ROLES = (N_("teacher"), N_("assistant"), N_("student"), N_("one-stage"))
OTHERS = (
    N_("no pre-training"),
    N_("no pre-training, 12 layers"),
    N_("random"),
    N_("bigrams"),
    N_("most frequent token"),
    N_("every second layer, untrained"),
)
WAYS = (N_("live"), N_("long run"), N_("start"), N_("untrained"))  # what the notebooks tell a role's models apart by
SHAPES = {"rbt3": "RBT3", "h288": "MiniRBT-H288", "h312": "RBT4-H312"}  # a folder's name, as its authors write it
SCALES = {"sample": N_("sample scale"), "full": N_("full scale")}
TAUGHT_BY = ", taught by "


def shown_name(name: str) -> str:
    """A model's name in the language that is set; of ``"student, live"`` at least the role is translated.

    A shape that goes by its folder's name, as ``rbt3``, is written as its authors write it.
    """
    student, by, teacher = name.partition(TAUGHT_BY)
    if by:
        said = _("{student}, taught by {teacher}")
        return said.format(student=shown_name(student), teacher=shown_name(teacher))
    if name in OTHERS:
        return _(name)
    if name in SHAPES:
        return SHAPES[name]
    role = next((role for role in ROLES if re.match(rf"{role}\b", name)), "")
    rest = name.removeprefix(role)
    if role and rest.startswith(", "):
        return _("{role}, {way}").format(role=_(role), way=_(rest.removeprefix(", ")))
    return _(role) + rest


def shown_scale(scale: str) -> str:
    """A scale's name in the language that is set."""
    return _(SCALES[scale])


def shown_cell(value: object) -> str:
    """A cell of a table as it is shown: a text of the package or a model's name is translated, all else stays."""
    return shown_name(_(str(value)))


def shown_rows(table: Sequence[Mapping[str, object]]) -> list[dict[str, str]]:
    """A table, its head among it, as it is shown."""
    return [{shown_cell(name): shown_cell(value) for name, value in row.items()} for row in table]
