"""Text as the models see it: masks, words, blocks (notebooks 01 and 02).

A ``…_view`` is HTML whose text flows and can be copied; it inherits the page's colours and tints them, so that it
reads well on light and dark pages. A ``…_picture`` is the same as a drawing, for matplotlib, SVG and slides.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from IPython.display import HTML
from transformers import PreTrainedTokenizerBase

from ..errors import CourseError
from ..text.masking import IGNORED
from .drawing import Box, Drawing, Line, Shape, Text, text_width
from .figures import PALETTE

STATES = {
    "kept": "not to be predicted",
    "mask": "[MASK]",
    "random": "a random token",
    "unchanged": "left as it was, yet to be predicted",
}
COLOURS = {"mask": PALETTE["teacher"], "random": PALETTE["student"], "unchanged": PALETTE["one-stage"]}
FAINT = "rgba(127,127,127,.55)"
WORD = "display:inline-flex;align-items:flex-end;vertical-align:bottom;line-height:1.3;margin:.25em .1em;padding:2px 0"
CELL = "1.7em"  # width of a character where rows stand in line with each other
ROLES = {"mask": "teacher", "random": "student", "unchanged": "one-stage"}  # the drawings' names of COLOURS
WIDE, HIGH = 25.0, 52.0  # of a token in a drawing, in pixels


def masking_states(ids: Sequence[int], masked: Sequence[int], labels: Sequence[int], mask_id: int) -> list[str]:
    """What masking did to each token of a block (notebook 01).

    Args:
        ids: the tokens before masking, [length].
        masked: the tokens a model sees, [length].
        labels: -100 where nothing is to be predicted, [length].
        mask_id: the id of [MASK].

    Returns:
        One of ``"kept"``, ``"mask"``, ``"random"``, ``"unchanged"`` per token.

    Raises:
        CourseError: the three differ in length.
    """
    if not len(ids) == len(masked) == len(labels):
        raise CourseError(f"{len(ids)} tokens, {len(masked)} masked ones and {len(labels)} labels for one block")
    states = []
    for before, after, label in zip(map(int, ids), map(int, masked), map(int, labels), strict=True):
        if label == IGNORED:
            states.append("kept")
        else:
            states.append("mask" if after == mask_id else "unchanged" if after == before else "random")
    return states


def token_words(continues: Sequence[bool]) -> list[list[int]]:
    """The places of each word's tokens in a block; its first token, [CLS], is a word of its own (notebook 01)."""
    words: list[list[int]] = []
    for place, goes_on in enumerate(continues):
        if goes_on and place > 1:
            words[-1].append(place)
        else:
            words.append([place])
    return words


def masking_view(block: Mapping, panels: Mapping[str, Mapping], tokenizer: PreTrainedTokenizerBase) -> HTML:
    """One block after masking, once per panel, side by side; a word's tokens share a line below (notebook 01).

    Args:
        block: ``{"input_ids", "continues"}``, each [length], before masking.
        panels: a title for each masked block ``{"input_ids", "labels"}``, each [length].
        tokenizer: names the tokens.

    Returns:
        Kept tokens plain; the others as coloured chips, what the model sees below the right answer.

    Raises:
        CourseError: a panel of another length.
    """
    boxes = "".join(
        f'<div style="flex:1 1 19rem"><div style="font-weight:600;margin-bottom:.2em">{escape(title)}</div>'
        f"<div>{_masked_words(block, panel, tokenizer)}</div></div>"
        for title, panel in panels.items()
    )
    keys = "".join(
        f'<span style="margin-right:1.2em">{_chip(state, "&nbsp;&nbsp;&nbsp;")} {meaning}</span>'
        for state, meaning in STATES.items()
        if state != "kept"
    )
    return HTML(
        f'<div style="font-size:15px"><div style="display:flex;flex-wrap:wrap;gap:.8em 2em">{boxes}</div>'
        f'<div style="font-size:.85em;margin-top:.7em">{keys}</div></div>'
    )


def _masked_words(block: Mapping, panel: Mapping, tokenizer: PreTrainedTokenizerBase) -> str:
    states = masking_states(block["input_ids"], panel["input_ids"], panel["labels"], tokenizer.mask_token_id)
    before, after = _names(block["input_ids"], tokenizer), _names(panel["input_ids"], tokenizer)
    words = []
    for places in token_words(block["continues"]):
        tokens = "".join(_masked_token(before[place], after[place], states[place]) for place in places)
        line = FAINT if len(places) > 1 else "transparent"
        words.append(f'<span style="{WORD};border-bottom:1.5px solid {line}">{tokens}</span>')
    return "\u200b".join(words)  # a line may break between words


def _masked_token(before: str, after: str, state: str) -> str:
    if state == "kept":
        special = before.startswith("[") and before.endswith("]")
        faint = ' style="opacity:.5;font-size:.7em"' if special else ""
        return f"<span{faint}>{before}</span>"
    seen = f'<span style="font-size:.62em;line-height:2">{after}</span>' if state == "mask" else f"<span>{after}</span>"
    return _chip(state, f'{seen}<span style="font-size:.7em;line-height:1.2;opacity:.8">{before}</span>')


def _chip(state: str, content: str) -> str:
    colour = COLOURS[state]
    style = (
        f"display:inline-flex;flex-direction:column-reverse;align-items:center;line-height:1.25;background:{colour}38;"
        f"border:1px solid {colour};border-radius:4px;padding:0 .15em;margin:0 1px"
    )
    return f'<span style="{style}">{content}</span>'


def masking_picture(block: Mapping, panel: Mapping, tokenizer: PreTrainedTokenizerBase, columns: int = 24) -> Drawing:
    """:func:`masking_view` of one panel as a drawing: what the model sees, the right answer small above it.

    Args:
        block: ``{"input_ids", "continues"}``, each [length], before masking.
        panel: the masked block, ``{"input_ids", "labels"}``.
        tokenizer: names the tokens.
        columns: tokens in a line; a word is not broken.
    """
    states = masking_states(block["input_ids"], panel["input_ids"], panel["labels"], tokenizer.mask_token_id)
    before, after = (tokenizer.convert_ids_to_tokens(list(map(int, one["input_ids"]))) for one in (block, panel))
    words, row, column = token_words(block["continues"]), 0, 0
    picture = Drawing(columns * WIDE + 20, 0, "A block after masking")
    for places in words:
        if column and column + len(places) > columns:
            row, column = row + 1, 0
        x, y = 10 + column * WIDE, 8 + row * HIGH
        for number, place in enumerate(places):
            picture.add(*_masked_shapes(x + number * WIDE, y, before[place], after[place], states[place]))
        if len(places) > 1:
            picture.add(Line([(x + 3, y + 43), (x + len(places) * WIDE - 3, y + 43)], "faint", 1.5))
        column += len(places)
    picture.height = 8 + (row + 1) * HIGH + 26
    x = 10.0
    for state, role in ROLES.items():
        picture.add(Box(x, picture.height - 24, 14, 14, role, role, opacity=0.25, radius=3))
        picture.add(Text(x + 20, picture.height - 17, STATES[state], 12, "text", "start"))
        x += 40 + text_width(STATES[state], 12)
    return picture


def _masked_shapes(x: float, y: float, before: str, after: str, state: str) -> list[Shape]:
    seen = "?" if state == "mask" else after.removeprefix("##").strip("[]") or after
    size = min(16.0, 16 * (WIDE - 4) / text_width(seen, 16))
    if state == "kept":
        special = before.startswith("[") and before.endswith("]")
        return [Text(x + WIDE / 2, y + 28, seen, size, "faint" if special else "text")]
    tip = f"{before}: {STATES[state]}" + f", {after}" * (state == "random")
    answer = before.removeprefix("##")
    chip = Box(x + 1, y, WIDE - 2, 40, ROLES[state], ROLES[state], opacity=0.25, radius=4, tip=tip)
    small = min(12.0, 12 * (WIDE - 5) / text_width(answer, 12))
    return [chip, Text(x + WIDE / 2, y + 10, answer, small), Text(x + WIDE / 2, y + 28, seen, size)]


def words_picture(rows: Mapping[str, Sequence[str]], compare: bool = False) -> Drawing:
    """:func:`words_view` as a drawing: one cut of a text per row, words as brackets, characters in line.

    Args:
        rows: a title for each cut, a list of words.
        compare: colour the words of the later rows that the first row cuts otherwise.
    """
    known = set(_spans(next(iter(rows.values()), ())))
    left = 24 + max((text_width(title, 13) for title in rows), default=0)
    longest = max((sum(map(len, words)) for words in rows.values()), default=0)
    picture = Drawing(left + longest * WIDE + 10, 12 + 44 * len(rows), "Words as brackets")
    for number, (title, words) in enumerate(rows.items()):
        y = 12 + 44 * number
        picture.add(Text(10, y + 20, title, 13, "faint", "start"))
        for word, (start, end) in zip(words, _spans(words), strict=True):
            role = "student" if compare and (start, end) not in known else "teacher"
            picture.add(*_roof(left + start * WIDE, left + end * WIDE, y, role, tip=word))
            for place, letter in enumerate(word, start):
                picture.add(Text(left + (place + 0.5) * WIDE, y + 20, letter, 17))
    return picture


def _roof(start: float, end: float, y: float, role: str, tip: str) -> list[Shape]:
    """A word's bracket; a character alone gets a faint line."""
    area = Box(start + 1, y - 2, end - start - 2, 34, radius=3, tip=tip)
    if end - start <= WIDE:
        return [Line([(start + 5, y + 2), (end - 5, y + 2)], "line", 1.5), area]
    points = [(start + 4, y + 7), (start + 4, y + 2), (end - 4, y + 2), (end - 4, y + 7)]
    return [Line(points, role, 2), area]


def words_view(rows: Mapping[str, Sequence[str]], compare: bool = False) -> HTML:
    """Words as brackets over characters, one cut of a text per row, characters in line (notebooks 01, 02).

    Args:
        rows: a title for each cut, a list of words.
        compare: colour the words of the later rows that the first row cuts otherwise.
    """
    known = set(_spans(next(iter(rows.values()), ())))
    lines = []
    for title, words in rows.items():
        brackets = "".join(
            _bracket(
                [_cell(escape(char)) for char in word],
                PALETTE["student"] if compare and span not in known else PALETTE["teacher"],
            )
            for word, span in zip(words, _spans(words), strict=True)
        )
        lines.append(_row(escape(title), brackets))
    return _grid(lines)


def _spans(words: Sequence[str]) -> Iterator[tuple[int, int]]:
    done = 0
    for word in words:
        yield done, done + len(word)
        done += len(word)


def block_view(blocks: Sequence[Mapping], tokenizer: PreTrainedTokenizerBase) -> HTML:
    """Blocks one below the other: tokens, words as brackets, continuation flags beneath (notebook 02).

    Args:
        blocks: neighbours, each ``{"input_ids", "continues"}``.
        tokenizer: names the tokens.

    Returns:
        A word that a block's border cuts has a bracket that is open to that side, in another colour.
    """
    lines = []
    for number, block in enumerate(blocks):
        following = blocks[number + 1]["continues"] if number + 1 < len(blocks) else ()
        lines.append(_row(f"block {number}", _block_words(block, any(following[1:2]), tokenizer)))
    return _grid(lines)


def _block_words(block: Mapping, goes_on: bool, tokenizer: PreTrainedTokenizerBase) -> str:
    names, flags = _names(block["input_ids"], tokenizer), list(block["continues"])
    from_before = len(flags) > 1 and bool(flags[1])
    words = token_words(flags)
    drawn = []
    for number, places in enumerate(words):
        first, last = from_before and number == 1, goes_on and number == len(words) - 2
        colour = PALETTE["student"] if first or last else PALETTE["teacher"]
        cells = [_flagged(names[place], bool(flags[place])) for place in places]
        drawn.append(_bracket(cells, colour, left=not first, right=not last))
    return "".join(drawn)


def _flagged(name: str, flag: bool) -> str:
    small = "font-size:.6em;opacity:.6" if name.startswith("[") and len(name) > 1 else ""
    mark = f"color:{PALETTE['accent']};font-weight:700" if flag else "opacity:.45"
    return _cell(f'<span style="{small}">{name}</span><br><span style="font-size:.7em;{mark}">{int(flag)}</span>')


def _cell(content: str) -> str:
    return f'<span style="display:inline-block;min-width:{CELL};text-align:center">{content}</span>'


def _bracket(cells: Sequence[str], colour: str, left: bool = True, right: bool = True) -> str:
    """A word: its cells under a bracket, closed to the sides asked for; one closed cell alone gets a faint line."""
    alone = len(cells) == 1 and left and right
    line = f"1.5px solid {FAINT}" if alone else f"2px solid {colour}"
    sides = "" if alone else f"border-left:{line};" * left + f"border-right:{line};" * right
    margin = f"margin:0 {'.2em' if right else '0'} .1em {'.2em' if left else '0'}"
    roof = f'<span style="display:block;height:.35em;border-top:{line};{sides}{margin}"></span>'
    return f'<span style="display:inline-block;vertical-align:bottom">{roof}{"".join(cells)}</span>'


def _row(title: str, content: str) -> str:
    return (
        f'<div style="font-size:.8em;opacity:.75;align-self:center">{title}</div>'
        f'<div style="white-space:nowrap">{content}</div>'
    )


def _grid(lines: Sequence[str]) -> HTML:
    style = "display:grid;grid-template-columns:max-content auto;justify-content:start;gap:.6em 1em;line-height:1.35"
    outer = "font-size:16px;overflow-x:auto;padding:.2em 0 .9em"
    return HTML(f'<div style="{outer}"><div style="{style}">{"".join(lines)}</div></div>')


def _names(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> list[str]:
    return [escape(name) for name in tokenizer.convert_ids_to_tokens([int(token) for token in ids])]
