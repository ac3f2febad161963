"""What models are called where a reader sees them; in code and in files the English name is the key."""

import re

from .language import N_, _

ROLES = (N_("teacher"), N_("assistant"), N_("student"), N_("one-stage"))
OTHERS = (
    N_("no pre-training"),
    N_("no pre-training, 12 layers"),
    N_("random"),
    N_("bigrams"),
    N_("most frequent token"),
    N_("every second layer, untrained"),
    N_("assistant, untrained"),
)
TAUGHT_BY = ", taught by "


def shown_name(name: str) -> str:
    """A model's name in the language that is set; of ``"student, live"`` at least the role is translated."""
    student, by, teacher = name.partition(TAUGHT_BY)
    if by:
        said = _("{student}, taught by {teacher}")
        return said.format(student=shown_name(student), teacher=shown_name(teacher))
    if name in OTHERS:
        return _(name)
    role = next((role for role in ROLES if re.match(rf"{role}\b", name)), "")
    return _(role) + name.removeprefix(role)
