"""What Chinese words mean, for readers without Chinese: the course's own table, and the word that a guess makes."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ...errors import CourseError, line_of
from ...language import N_, _, chosen_language
from ...lines import read_lines
from ...workspace import resolve

GLOSSES = "data_samples/glosses.tsv"
COLUMNS = ("word", "pinyin", "english")


class Gloss(NamedTuple):
    """How a word is read and what it means; where two readings are common, both, divided by ``"; "`` in both."""

    pinyin: str
    english: str


@cache
def glosses(file: str | Path = GLOSSES) -> Mapping[str, Gloss]:
    """Pinyin and English of common characters and everyday words (notebook 00); the table is read once.

    Args:
        file: three columns divided by tabs, ``word``, ``pinyin`` and ``english``, with these names in its first line.

    Raises:
        CourseError: no such file, or a line that is no entry (file and line named).
    """
    path, table = resolve(file), {}
    for number, line in enumerate(read_lines(path), start=1):
        fields = tuple(line.split("\t"))
        wrong = _what_is_wrong(number, fields, table)
        if wrong:
            fix = N_("a line is a word, its pinyin and its English, divided by tabs")
            raise CourseError(wrong, where=line_of(path, number), fix=fix)
        if number > 1:
            table[fields[0]] = Gloss(*fields[1:])
    return MappingProxyType(table)


def _what_is_wrong(number: int, fields: tuple[str, ...], known: Mapping[str, Gloss]) -> str:
    if number == 1:
        return (
            "" if fields == COLUMNS else _("the first line names the columns {names}").format(names=", ".join(COLUMNS))
        )
    if len(fields) != len(COLUMNS):
        return _("{found} fields instead of {wanted}").format(found=len(fields), wanted=len(COLUMNS))
    if not all(field and field == field.strip() for field in fields):
        return _("a field is empty, or has blanks at its ends")
    word, pinyin, english = fields
    if word in known:
        return _("a second entry for {word}").format(word=word)
    fits = pinyin.count("; ") == english.count("; ")
    return "" if fits else _("pinyin and English have different numbers of readings")


def gloss_in_place(token: str, before: str = "", after: str = "") -> tuple[str, Gloss] | None:
    """The longest entry that a token makes with its neighbours: 气 after 今天天 makes 天气 *tiānqì* "weather".

    A neighbour that already belongs to another entry is not taken: in 今天天气 the gap after 今天 makes 天气, and not
    天天. Apart from that the table knows no grammar: the longer word is named, and of two that are equally long the
    one that begins earlier.

    Args:
        token: what a model writes into a gap.
        before, after: the text on both sides of the gap.

    Returns:
        The entry's word and its gloss; None where the table has neither a word there nor the token itself.
    """
    table = glosses()
    spare = max(map(len, table), default=0) - len(token)  # characters that the longest entry has beside the token
    nearest, following = _last_entry(before, table), _last_entry(after, table, first=True)
    torn = None
    for size in range(min(spare, len(before) + len(after)), -1, -1):
        for left in range(min(size, len(before)), max(size - len(after), 0) - 1, -1):
            right = size - left
            word = before[len(before) - left :] + token + after[:right]
            if word not in table:
                continue
            if not (0 < left < nearest or 0 < right < following):
                return word, table[word]
            torn = torn or (word, table[word])
    return torn


def glossed(word: str, gloss: Gloss) -> str:
    """A word as a text shows it, in Markdown: with pinyin and English; for readers of Chinese the word alone."""
    return word if chosen_language() == "zh" else f"{word} *{gloss.pinyin}* “{gloss.english}”"


def _last_entry(text: str, table: Mapping[str, Gloss], first: bool = False) -> int:
    """How long the last (or first) entry of a text is; it is cut from the left, the longest entry first."""
    longest, at, size = max(map(len, table), default=0), 0, 0
    while at < len(text):
        sizes = range(min(longest, len(text) - at), 1, -1)
        size = next((size for size in sizes if text[at : at + size] in table), 1)
        at += len(text) if first else size
    return size
