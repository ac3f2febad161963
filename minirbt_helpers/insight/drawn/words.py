"""Text as the models see it: words as brackets, blocks, masks (notebooks 01 and 02).

Each picture is HTML whose text flows and can be copied; it inherits the page's colours and tints them, so that it
reads well on light and dark pages. Beside it stands the same as a drawing, for PNG, SVG and slides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from transformers import PreTrainedTokenizerBase

from ...language import N_, _, labelled
from ..measured.words import masking_states, spans, token_words
from .canvas import Box, Drawing, Line, Shape, Text, TextPicture, finished, stack, text_width, titled
from .theme import PALETTE

FAINT = "rgba(127,127,127,.55)"
WORD = "display:inline-flex;align-items:flex-end;vertical-align:bottom;line-height:1.3;margin:.25em .1em;padding:2px 0"
CELL = "1.7em"  # width of a character where rows stand in line with each other
WIDE, HIGH = 25.0, 52.0  # of a token in a drawing, in pixels
MASKED = {  # what masking does to a token that is to be predicted: its colour, and what it means
    "mask": ("teacher", "[MASK]"),
    "random": ("student", N_("a random token")),
    "unchanged": ("one-stage", N_("left as it was, yet to be predicted")),
}


# --- words and blocks -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Word:
    """A word under its bracket.

    Attributes:
        cells: its characters or tokens.
        role: the palette's name of the bracket's colour.
        flags: a continuation flag below each cell, or none.
        left, right: whether the bracket is closed to that side.
    """

    cells: Sequence[str]
    role: str = "teacher"
    flags: Sequence[bool] = ()
    left: bool = True
    right: bool = True

    @property
    def alone(self) -> bool:
        """One cell that nothing goes on from: a line is enough, a faint one where nothing sets it off."""
        return len(self.cells) == 1 and self.left and self.right

    @property
    def faint(self) -> bool:
        """A word of one cell that is like all others."""
        return self.alone and self.role == "teacher"


def draw_words(rows: Mapping[str, Sequence[str]], compare: bool = False) -> TextPicture:
    """Words as brackets over characters, one cut of a text per row, characters in line (notebooks 01, 02).

    Args:
        rows: a title for each cut, a list of words.
        compare: colour the words of the later rows that the first row cuts otherwise.
    """
    known = set(spans(next(iter(rows.values()), ())))
    drawn = {
        title: [
            Word(word, "student" if compare and span not in known else "teacher")
            for word, span in zip(words, spans(words), strict=True)
        ]
        for title, words in rows.items()
    }
    said = _("; ").join(labelled(title, " | ".join(words)) for title, words in rows.items())
    return _rows(drawn, _("Words as brackets. {rows}").format(rows=said))


def draw_blocks(blocks: Sequence[Mapping], tokenizer: PreTrainedTokenizerBase) -> TextPicture:
    """Blocks one below the other: tokens, words as brackets, continuation flags beneath (notebook 02).

    Args:
        blocks: neighbours, each ``{"input_ids", "continues"}``.
        tokenizer: names the tokens.

    Returns:
        A word that a block's border cuts has a bracket that is open to that side, in another colour.
    """
    following = [*(block["continues"] for block in blocks), ()][1:]
    drawn = {
        _("block {number}").format(number=number): _block_words(block, any(after[1:2]), tokenizer)
        for number, (block, after) in enumerate(zip(blocks, following, strict=True))
    }
    cut = {title: " | ".join("".join(word.cells) for word in words) for title, words in drawn.items()}
    said = _("; ").join(labelled(title, words) for title, words in cut.items())
    return _rows(drawn, _("Blocks with words as brackets and continuation flags. {rows}").format(rows=said))


def _block_words(block: Mapping, goes_on: bool, tokenizer: PreTrainedTokenizerBase) -> list[Word]:
    names, flags = _names(block["input_ids"], tokenizer), [bool(flag) for flag in block["continues"]]
    from_before = len(flags) > 1 and flags[1]
    words = token_words(flags)
    drawn = []
    for number, places in enumerate(words):
        first, last = from_before and number == 1, goes_on and number == len(words) - 2
        cells, marks = ([column[place] for place in places] for column in (names, flags))
        drawn.append(Word(cells, "student" if first or last else "teacher", marks, left=not first, right=not last))
    return drawn


def _names(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    return tokenizer.convert_ids_to_tokens([int(token) for token in ids])


def _rows(rows: Mapping[str, Sequence[Word]], alt: str) -> TextPicture:
    """Rows of words, a title before each, cells in line."""
    style = "display:grid;grid-template-columns:max-content auto;justify-content:start;gap:.6em 1em;line-height:1.35"
    outer = "font-size:16px;overflow-x:auto;padding:.2em 0 .9em"
    lines = "".join(
        f'<div style="font-size:.8em;opacity:.75;align-self:center">{escape(title)}</div>'
        f'<div style="white-space:nowrap">{"".join(map(_bracket, words))}</div>'
        for title, words in rows.items()
    )
    return TextPicture(f'<div style="{outer}"><div style="{style}">{lines}</div></div>', _rows_drawing(rows, alt))


def _bracket(word: Word) -> str:
    line = f"1.5px solid {FAINT}" if word.faint else f"2px solid {PALETTE[word.role]}"
    sides = "" if word.alone else f"border-left:{line};" * word.left + f"border-right:{line};" * word.right
    margin = f"margin:0 {'.2em' if word.right else '0'} .1em {'.2em' if word.left else '0'}"
    roof = f'<span style="display:block;height:.35em;border-top:{line};{sides}{margin}"></span>'
    cells = map(_flagged, word.cells, word.flags) if word.flags else map(escape, word.cells)
    inside = "".join(
        f'<span style="display:inline-block;min-width:{CELL};text-align:center">{cell}</span>' for cell in cells
    )
    return f'<span style="display:inline-block;vertical-align:bottom">{roof}{inside}</span>'


def _flagged(name: str, flag: bool) -> str:
    small = "font-size:.6em;opacity:.6" if name.startswith("[") and len(name) > 1 else ""
    mark = f"color:{PALETTE['accent']};font-weight:700" if flag else "opacity:.7"
    return f'<span style="{small}">{escape(name)}</span><br><span style="font-size:.85em;{mark}">{int(flag)}</span>'


def _rows_drawing(rows: Mapping[str, Sequence[Word]], alt: str) -> Drawing:
    left = 24 + max((text_width(title, 13) for title in rows), default=0)
    longest = max((sum(len(word.cells) for word in words) for words in rows.values()), default=0)
    high = 64 if any(word.flags for words in rows.values() for word in words) else 44
    picture = Drawing(left + longest * WIDE + 10, 12 + high * len(rows), _("Words as brackets"), alt=alt)
    for number, (title, words) in enumerate(rows.items()):
        x, y = left, 12 + high * number
        picture.add(Text(10, y + 20, title, 13, "faint", "start"))
        for word in words:
            picture.add(*_word_shapes(word, x, y))
            x += len(word.cells) * WIDE
    return picture


def _word_shapes(word: Word, x: float, y: float) -> list[Shape]:
    """A word's bracket, its cells below, and their flags."""
    end = x + len(word.cells) * WIDE
    shapes: list[Shape] = [Box(x + 1, y - 2, end - x - 2, 34, radius=3, tip="".join(word.cells))]
    if word.alone:
        shapes.append(Line([(x + 5, y + 2), (end - 5, y + 2)], "line" if word.faint else word.role, 1.5))
    else:
        start, stop = x + 4 * word.left, end - 4 * word.right
        points = [(start, y + 7)] * word.left + [(start, y + 2), (stop, y + 2)] + [(stop, y + 7)] * word.right
        shapes.append(Line(points, word.role, 2))
    for place, cell in enumerate(word.cells):
        middle = x + (place + 0.5) * WIDE
        shapes.append(_fitting(middle, y + 20, cell, 17, "faint" if _special(cell) else "text"))
        if word.flags:
            flag = word.flags[place]
            shapes.append(Text(middle, y + 40, str(int(flag)), 14, "accent" if flag else "faint"))
    return shapes


def _fitting(x: float, y: float, words: str, size: float, colour: str = "text") -> Text:
    """Text in the middle of a cell, no larger than fits."""
    return Text(x, y, words, min(size, size * (WIDE - 4) / max(1, text_width(words, size))), colour)


def _special(token: str) -> bool:
    return len(token) > 2 and token.startswith("[") and token.endswith("]")


# --- masks ----------------------------------------------------------------------------------------------------------


def draw_masking(block: Mapping, panels: Mapping[str, Mapping], tokenizer: PreTrainedTokenizerBase) -> TextPicture:
    """One block after masking, a panel below the other; a word's tokens share a line below (notebook 01).

    Args:
        block: ``{"input_ids", "continues"}``, each [length], before masking.
        panels: a title for each masked block ``{"input_ids", "labels"}``, each [length].
        tokenizer: names the tokens.

    Returns:
        Kept tokens plain; the others as coloured chips, what the model sees below the right answer.

    Raises:
        CourseError: a panel of another length.
    """
    masked = {title: _masked(block, panel, tokenizer) for title, panel in panels.items()}
    boxes = "".join(
        f'<div style="margin-bottom:.8em"><div style="font-weight:600;margin-bottom:.2em">{escape(title)}</div>'
        f"<div>{_masked_words(words)}</div></div>"
        for title, words in masked.items()
    )
    keys = "".join(
        f'<span style="margin-right:1.2em">{_chip(role, "&nbsp;&nbsp;&nbsp;")} {_(meaning)}</span>'
        for role, meaning in MASKED.values()
    )
    html = f'<div style="font-size:15px">{boxes}<div style="font-size:.85em">{keys}</div></div>'
    return TextPicture(html, _masking_drawing(masked))


Masked = list[list[tuple[str, str, str]]]  # per word, per token: before masking, after it, and what was done


def _masked(block: Mapping, panel: Mapping, tokenizer: PreTrainedTokenizerBase) -> Masked:
    states = masking_states(block["input_ids"], panel["input_ids"], panel["labels"], tokenizer.mask_token_id)
    tokens = list(zip(*(_names(one["input_ids"], tokenizer) for one in (block, panel)), states, strict=True))
    return [[tokens[place] for place in places] for places in token_words(block["continues"])]


def _masked_words(words: Masked) -> str:
    drawn = []
    for word in words:
        line = FAINT if len(word) > 1 else "transparent"
        tokens = "".join(_masked_token(*token) for token in word)
        border = "" if not drawn or word[0][0] == "[SEP]" else "\u200b"  # a line may break between words
        drawn.append(f'{border}<span style="{WORD};border-bottom:1.5px solid {line}">{tokens}</span>')
    return "".join(drawn)


def _masked_token(before: str, after: str, state: str) -> str:
    if state == "kept":
        faint = ' style="opacity:.5;font-size:.7em"' if _special(before) else ""
        return f"<span{faint}>{escape(before)}</span>"
    small = ' style="font-size:.62em;line-height:2"' if state == "mask" else ""
    answer = f'<span style="font-size:.7em;line-height:1.2;opacity:.8">{escape(before)}</span>'
    return _chip(MASKED[state][0], f"<span{small}>{escape(after)}</span>{answer}")


def _chip(role: str, content: str) -> str:
    colour = PALETTE[role]
    style = (
        f"display:inline-flex;flex-direction:column-reverse;align-items:center;line-height:1.25;background:{colour}38;"
        f"border:1px solid {colour};border-radius:4px;padding:0 .15em;margin:0 1px"
    )
    return f'<span style="{style}">{content}</span>'


def _masking_drawing(masked: Mapping[str, Masked]) -> Drawing:
    blocks = [titled(_masked_block(words), title, "", 13) for title, words in masked.items()]
    title = _("A block after masking")
    return finished(stack([*blocks, _key()], "", 14), (), title, _masking_in_words(masked))


def _masking_in_words(masked: Mapping[str, Masked]) -> str:
    counts = {
        title: [sum(state == kind for word in words for *_, state in word) for kind in MASKED]
        for title, words in masked.items()
    }
    return _("; ").join(
        labelled(title, _(", ").join(f"{count} {_(MASKED[kind][1])}" for kind, count in zip(MASKED, of, strict=True)))
        for title, of in counts.items()
    )


def _masked_block(words: Masked, columns: int = 24) -> Drawing:
    """Tokens in lines of so many columns; a word is not broken."""
    row, column, picture = 0, 0, Drawing((columns + 1) * WIDE, 0, "")
    for word in words:
        closes = word[0][0] == "[SEP]"  # stands behind the last word, in a column of its own if need be
        if column and column + len(word) > columns + closes:
            row, column = row + 1, 0
        x, y = column * WIDE, row * HIGH
        for number, token in enumerate(word):
            picture.add(*_masked_shapes(x + number * WIDE, y, *token))
        if len(word) > 1:
            picture.add(Line([(x + 3, y + 43), (x + len(word) * WIDE - 3, y + 43)], "faint", 1.5))
        column += len(word)
    picture.width = max(picture.width, *(len(word) * WIDE for word in words))
    picture.height = (row + 1) * HIGH
    return picture


def _masked_shapes(x: float, y: float, before: str, after: str, state: str) -> list[Shape]:
    seen = "?" if state == "mask" else after.removeprefix("##").strip("[]") or after
    if state == "kept":
        seen = before if _special(before) else seen
        return [_fitting(x + WIDE / 2, y + 28, seen, 16, "faint" if _special(before) else "text")]
    role, meaning = MASKED[state]
    tip = labelled(before, _(meaning)) + f", {after}" * (state == "random")
    chip = Box(x + 1, y, WIDE - 2, 40, role, role, opacity=0.25, radius=4, tip=tip)
    answer = _fitting(x + WIDE / 2, y + 10, before.removeprefix("##"), 12)
    return [chip, answer, _fitting(x + WIDE / 2, y + 28, seen, 16)]


def _key() -> Drawing:
    """What the colours of the chips mean."""
    picture, x = Drawing(0, 14, ""), 0.0
    for role, meaning in MASKED.values():
        picture.add(Box(x, 0, 14, 14, role, role, opacity=0.25, radius=3))
        picture.add(Text(x + 20, 7, _(meaning), 12, "text", "start"))
        x += 40 + text_width(_(meaning), 12)
    picture.width = x
    return picture
