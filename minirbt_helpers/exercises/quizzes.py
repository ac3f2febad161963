"""Quick questions: to click in a live notebook, to unfold in a static page, to answer by typing anywhere."""

from html import escape
from string import ascii_lowercase

from IPython.display import HTML, display

from ..errors import CourseError
from ..language import _, chosen_language
from ..workspace import headless
from .exercise import Question
from .records import note_answer

VIEW = "application/vnd.jupyter.widget-view+json"  # where it cannot be shown, the HTML beside it is


def is_right(question: Question, given: str | float) -> bool:
    """Whether an answer is right: a choice by its letter or its text, or a number.

    Raises:
        CourseError: no such choice, or no number.
    """
    if question.choices:
        return chosen(question, given) == question.answer
    return abs(_as_number(question, given) - question.answer) <= question.tolerance * abs(question.answer)


def _as_number(question: Question, given: str | float) -> float:
    try:
        return float(str(given).replace(",", "").removesuffix("%"))
    except ValueError as problem:
        raise CourseError(
            "{given!r} is no number", fix="quiz({name!r}, 12.5)", given=given, name=question.name
        ) from problem


def chosen(question: Question, given: str | float) -> str:
    """The choice that a letter or a text means.

    Raises:
        CourseError: no such choice.
    """
    letters = dict(zip(ascii_lowercase, question.choices, strict=False))
    text = letters.get(str(given).strip().lower(), str(given))
    if text not in question.choices:
        raise CourseError(
            "no choice {given!r}",
            fix="one of {letters}: quiz({name!r}, 'a')",
            given=given,
            letters=", ".join(letters),
            name=question.name,
        )
    return text


def reply(question: Question, given: str | float) -> str:
    """Note the answer, and say whether it is right, and why.

    Raises:
        CourseError: as :func:`is_right`.
    """
    right = is_right(question, given)
    try:
        first, kept = note_answer(question.name, right), ""
    except CourseError as problem:
        first, kept = False, _(" (Not recorded: {problem}.)").format(problem=problem.what)
    if right:
        own = question.choices.get(question.answer, "")
        said = _joined(_("Right."), own, question.reason)
    elif question.choices:
        said = _joined(_("Not quite."), question.choices[chosen(question, given)])
    else:
        said = _("Not quite: {how}.").format(how=_nudge(question, given))
        said = _joined(said, _("Try once more.") if first else question.reason)
    return said + kept


def _joined(*sentences: str) -> str:
    """Sentences one after another; Chinese ones without a blank between them."""
    return ("" if chosen_language() == "zh" else " ").join(filter(None, sentences))


def _nudge(question: Question, given: str | float) -> str:
    """In which direction a wrong number is off."""
    number = _as_number(question, given)
    for unit, said in ((_("per cent"), _("in per cent, please")), (_("points"), _("in points, please"))):
        if unit in question.text and is_right(question, 100 * number):
            return said
    return _("too high") if number > question.answer else _("too low")


def ask(question: Question) -> None:
    """Show a question: with a control in a live notebook, with folded replies otherwise."""
    if headless():
        display(HTML(static_html(question)))
        return
    view = {"version_major": 2, "version_minor": 0, "model_id": _control(question).model_id}
    display({VIEW: view, "text/html": static_html(question)}, raw=True)


def static_html(question: Question) -> str:
    """A question for a page without a program: a click on a choice unfolds the reply to it."""
    text = f'<p style="margin:.2em 0 .4em"><b>{_("Quick question.")}</b> {escape(question.text)}</p>'
    if not question.choices:
        answer = _joined(_("{number}.").format(number=_short(question)), question.reason)
        return f'<div style="margin:.5em 0">{text}{_fold(_("The answer"), answer)}</div>'
    folds = []
    for letter, (choice, own) in zip(ascii_lowercase, question.choices.items(), strict=False):
        right = choice == question.answer
        said = _joined(_("Right."), own, question.reason) if right else _joined(_("Not quite."), own)
        folds.append(_fold(f"{letter}) {choice}", " ".join(said.split())))
    return f'<div style="margin:.5em 0">{text}{"".join(folds)}</div>'


def _fold(title: str, content: str) -> str:
    body = f'<div style="margin:.1em 0 .4em 1.2em">{escape(content)}</div>'
    return f'<details style="margin:.1em 0"><summary style="cursor:pointer">{escape(title)}</summary>{body}</details>'


def _short(question: Question) -> str:
    """The right number with one decimal, or with as many more as a right answer needs; with % for per cent."""
    sign = "%" if _("in per cent") in question.text else ""
    if question.answer == int(question.answer):
        return f"{question.answer:,.0f}{sign}"
    numbers = (f"{question.answer:,.{digits}f}" for digits in range(1, 10))
    return next(number for number in numbers if is_right(question, number)) + sign


def _control(question: Question):
    """The ipywidgets of a question."""
    import ipywidgets

    title = ipywidgets.HTML(f"<b>{_('Quick question.')}</b> {escape(question.text)}")
    button, screen = ipywidgets.Button(description=_("Answer")), ipywidgets.HTML()
    if question.choices:
        options = [(f"{letter}) {one}", one) for letter, one in zip(ascii_lowercase, question.choices, strict=False)]
        layout = ipywidgets.Layout(width="max-content")
        entry = ipywidgets.RadioButtons(options=options, value=None, layout=layout)
    else:
        entry = ipywidgets.Text(placeholder=_("a number"))

    def answer(_button: object) -> None:
        given = entry.value
        try:
            screen.value = escape(reply(question, given)) if given not in (None, "") else _("Choose an answer first.")
        except CourseError as problem:
            screen.value = escape(problem.what)

    button.on_click(answer)
    return ipywidgets.VBox([title, entry, button, screen])
