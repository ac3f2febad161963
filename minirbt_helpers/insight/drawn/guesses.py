"""What models write into a gap, as tables (notebook 00), and layer by layer (notebook 06)."""

from collections.abc import Mapping, Sequence
from html import escape

from IPython.display import HTML

from ...language import _, chosen_language
from ...names import shown_name
from ..measured.glosses import gloss_in_place
from ..measured.guesses import Guesses, question_kind, right_guesses
from .canvas import Box, Drawing, Text, finished, shelf, text_width, titled
from .tables import table, tint
from .theme import colour_of, ink_of, role_of


def draw_mask_guesses(text: str, answers: Mapping[str, Guesses], truth: str = "") -> HTML:
    """The guesses of several models for one text as a table, a column per model and ``[MASK]`` (notebook 00).

    Several gaps are numbered. Beneath a guess stand the pinyin and the English of the word that it makes with its
    neighbours, where the table of glosses has it.

    Args:
        text: the text, with ``[MASK]`` at each gap.
        answers: per model's name, what :func:`mask_guesses` returns; a name that begins with a key of the palette
            takes its colour.
        truth: what a person would write, one character per ``[MASK]``; candidates that agree are ticked.
    """
    first = next(iter(answers.values()))
    head, rows, parts = "", [""] * len(first[0]), text.split("[MASK]")
    for name, places in answers.items():
        colour = colour_of(name)
        style = f"text-align:left;color:{colour};padding:.15em .6em"
        head += f'<th colspan="{len(first)}" style="{style}">{escape(shown_name(name))}</th>'
        for place, candidates in enumerate(places):
            for rank, (token, probability) in enumerate(candidates):
                meaning = _meaning(token, parts[place], parts[place + 1])
                rows[rank] += _candidate(token, probability, colour, truth[place : place + 1], meaning)
    if len(first) > 1:
        style = "text-align:left;font-size:.8em;font-weight:normal;opacity:.75;padding:0 .75em"
        gaps = [_("gap {number}").format(number=number) for number in range(1, len(first) + 1)]
        rows.insert(0, "".join(f'<th style="{style}">{gap}</th>' for gap in gaps) * len(answers))
    hidden = _hidden(truth, parts) if truth else ""
    return HTML(f'<div style="margin:.6em .6em .2em;font-size:1.25em">{_gap(text)}{hidden}</div>' + table(head, rows))


def _candidate(token: str, probability: float, colour: str, truth: str, meaning: str) -> str:
    tick = " ✓" if truth and token == truth else ""
    bar = f"linear-gradient(90deg,{tint(colour)} {probability:.1%},transparent {probability:.1%})"
    weight = "bold" if tick else "normal"
    share = f'<span style="float:right;opacity:.75;padding-left:1em">{probability:.1%}</span>'
    style = f"background:{bar};width:8.5em;padding:.15em .6em;text-align:left;vertical-align:top;font-weight:{weight}"
    beneath = f"<br>{meaning}" if meaning else ""
    return f'<td style="{style}">{escape(token)}{tick}{share}{beneath}</td>'


def _hidden(truth: str, parts: Sequence[str]) -> str:
    """What a person would write, with its gloss where the gaps are one word's."""
    meaning = "" if any(parts[1:-1]) else _meaning(truth, parts[0], parts[-1])
    return f'<span style="margin-left:1.5em;font-size:.8em">{_("hidden:")} {escape(truth)} {meaning}</span>'


def _meaning(token: str, before: str, after: str) -> str:
    """The gloss of a guess in small print; the word that it makes with its neighbours is written out.

    A reader of the Chinese edition needs none.
    """
    found = gloss_in_place(token, before, after)
    if found is None or chosen_language() == "zh":
        return ""
    word, (pinyin, english) = found
    written = "" if word == token else f"{word} "
    style = "font-size:.75em;font-weight:normal;opacity:.75"
    return f'<span style="{style}">{escape(written)}<i>{escape(pinyin)}</i>&ensp;{escape(english)}</span>'


def draw_cloze(questions: Sequence[Mapping[str, str]], answers: Mapping[str, Sequence[Guesses]]) -> HTML:
    """Many sentences with one gap each as one table: a row per sentence, a column per model (notebook 00).

    What is hidden stands behind its sentence.

    Args:
        questions: ``text`` with one ``[MASK]``, its ``answer``, ``pinyin`` and ``english``; ``kind`` is shown if given.
        answers: per model's name, what :func:`mask_guesses` returns for every question; the right token is
            ticked, and the last row counts how often it came first, and came at all. Beside a guess stand the
            pinyin and the English of the word that it makes with its neighbours, where the table of glosses has it.
    """
    cell = "text-align:left;vertical-align:top;padding:.3em .8em"
    head = f'<th style="{cell}">{_("sentence")}</th>'
    body = [
        f'<td style="{cell}"><span style="font-size:1.15em">{_gap(question["text"])}'
        f"{_hidden(question['answer'], question['text'].split('[MASK]'))}</span>"
        f'{_translation(question)}<span style="opacity:.75">{escape(_kind(question))}</span></td>'
        for question in questions
    ]
    single = all(len(candidates) == 1 for filled in answers.values() for (candidates,) in filled)
    sums = f'<td style="{cell}"><b>{_("right: first") if single else _("right: first, among all")}</b></td>'
    for name, filled in answers.items():
        colour = colour_of(name)
        head += f'<th style="{cell};color:{colour}">{escape(shown_name(name))}</th>'
        tokens = [[token for token, _ in candidates] for (candidates,) in filled]
        for number, (question, said) in enumerate(zip(questions, tokens, strict=True)):
            parts, answer = question["text"].split("[MASK]"), question["answer"]
            shown = "<br>".join(f"{_said(token, token == answer, colour)} {_meaning(token, *parts)}" for token in said)
            body[number] += f'<td style="{cell};white-space:nowrap">{shown}</td>'
        first, found = right_guesses([question["answer"] for question in questions], filled)
        count = _("{right} of {count}").format(right=first if single else f"{first}, {found}", count=len(questions))
        sums += f'<td style="{cell}"><b>{count}</b></td>'
    return HTML(table(head, [*body, sums]))


def _translation(question: Mapping[str, str]) -> str:
    """Pinyin and English of a sentence, for readers who need them."""
    if chosen_language() == "zh":
        return ""
    return f'<br><i>{escape(question["pinyin"])}</i><br><span style="opacity:.75">{escape(question["english"])}</span>'


def _kind(question: Mapping[str, str]) -> str:
    return f" ({question_kind(question)})" if "kind" in question else ""


def _said(token: str, right: bool, colour: str) -> str:
    style = f"background:{tint(colour)};border-radius:4px;padding:0 .3em;font-weight:bold" if right else "opacity:.8"
    return f'<span style="{style}">{escape(token)}{" ✓" if right else ""}</span>'


def _gap(text: str) -> str:
    mask = '<b style="color:inherit;background:rgba(128,128,128,.25);border-radius:4px;padding:0 .5em">?</b>'
    return escape(text).replace("[MASK]", mask)


def draw_layer_guesses(guesses: Mapping[str, Guesses], truth: str = "", text: str = "") -> Drawing:
    """What models would fill into a gap, layer by layer, matched layers in line (notebook 06).

    Args:
        guesses: per model's name, what :func:`~minirbt_helpers.insight.layer_guesses` returns.
        truth: what a person would write; outlined where a model names it.
        text: the sentence, for the title.
    """
    deepest = max(len(rows) for rows in guesses.values()) - 1
    drawn = [
        titled(_guess_table(rows, deepest, name, truth), shown_name(name), name, 13) for name, rows in guesses.items()
    ]
    last = _("; ").join(f"{shown_name(name)} {rows[-1][0][0]} {rows[-1][0][1]:.1%}" for name, rows in guesses.items())
    title = _("What fills the gap in {text}").format(text=text) if text else _("What fills the gap, layer by layer")
    words = _(
        "a row is a hidden state (left: its number) put into the MLM head, which was trained on the last one alone"
    )
    alt = _("the last state's first guess: {guesses}").format(guesses=last)
    return finished(titled(shelf(drawn, "", 30), title, ""), (words,), title, alt)


def _guess_table(rows: Guesses, deepest: int, name: str, truth: str) -> Drawing:
    width, height, left = 54.0, 24.0, 26.0
    picture = Drawing(left + width * len(rows[0]), height * (deepest + 1) + 2, "")
    for state, candidates in enumerate(rows):
        y = height * state * deepest / max(1, len(rows) - 1)
        picture.add(Text(left - 8, y + height / 2, str(state), 12, "faint", "end"))
        for rank, (token, share) in enumerate(candidates):
            x, looks = left + rank * width, {"fill": ink_of(name), "opacity": share, "radius": 3}
            picture.add(Box(x + 1, y + 1, width - 3, height - 3, tip=f"{token} {share:.1%}", **looks))
            picture.add(Box(x + 1, y + 1, width - 3, height - 3, colour="line", radius=3))
            if truth and token == truth:
                picture.add(Box(x + 1, y + 1, width - 3, height - 3, colour=role_of(name), line=2.2, radius=3))
            size = min(14.0, 14 * (width - 8) / text_width(token, 14))
            colour = "paper" if share > 0.5 else "text"
            picture.add(Text(x + width / 2 - 1, y + height / 2 - 0.5, token, size, colour))
    return picture
