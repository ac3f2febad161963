"""The language of what the course shows: English, or simplified Chinese.

The package is written in English. ``_("…")`` gives a text in the language that is set, and the text itself where it has
no translation. The Chinese stands in gettext catalogues, ``locale/zh/*.po``: one for each room, and one for the
exercises of each notebook. A text with figures is looked up before they are filled in:
``_("{done} of {all} exercises").format(done=2, all=5)``.
A text that is looked up later is marked where it stands: ``N_("…")``. Errors and notes look theirs up themselves:
``CourseError("no such file: {name}", name=name)``. tests/test_language.py finds all three.
"""

import io
from functools import cache
from gettext import GNUTranslations
from pathlib import Path
from unicodedata import east_asian_width

LANGUAGES = {"en": "English", "zh": "中文"}
CATALOGUES = Path(__file__).parent / "locale"
_chosen = "en"


def set_language(language: str) -> None:
    """Choose the language of labels, tables and messages, for the whole process.

    Raises:
        CourseError: a language that the course does not speak.
    """
    global _chosen
    if language not in LANGUAGES:
        from .errors import CourseError  # which speaks the language that is set here

        raise CourseError(
            "unknown LANGUAGE {language!r}",
            fix="one of {names}",
            language=language,
            names=", ".join(map(repr, LANGUAGES)),
        )
    _chosen = language


def chosen_language() -> str:
    """``"en"`` or ``"zh"``."""
    return _chosen


def edition(folder: Path, language: str | None = None) -> Path:
    """Where the files of a language lie: the English ones in the folder itself, the others in one of their own.

    Args:
        folder: such as ``notebooks`` or ``docs``.
        language: None: the one that is set.
    """
    language = language or _chosen
    return folder if language == "en" else folder / language


def _(text: str) -> str:
    """A text in the language that is set."""
    return text if _chosen == "en" or not text else _catalogue(_chosen).gettext(text)


def N_(text: str) -> str:
    """The text itself: it marks what :func:`_` looks up later, so that the catalogues know of it."""
    return text


def labelled(label: str, text: str) -> str:
    """A text behind what it is about, with a colon of the language between them."""
    return _("{where}: {what}").format(where=label, what=text)


def padded(text: str, width: int) -> str:
    """A text with blanks behind it, for lines that stand in columns; a Chinese character is two wide."""
    return text + " " * (width - sum(1 + (east_asian_width(letter) in "WF") for letter in text))


@cache
def _catalogue(language: str) -> GNUTranslations:
    """All catalogues of a language as one; Babel reads the form that translators edit."""
    from babel.messages.catalog import Catalog
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    whole = Catalog(locale=language)
    for file in sorted((CATALOGUES / language).glob("*.po")):
        with file.open(encoding="utf-8") as stream:
            for message in read_po(stream, locale=language):
                if message.id:
                    whole.add(message.id, message.string)
    stream = io.BytesIO()
    write_mo(stream, whole)
    stream.seek(0)
    return GNUTranslations(stream)
