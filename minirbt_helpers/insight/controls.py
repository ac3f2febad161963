"""Sliders and menus for the pictures, in a live notebook only; headless runs show the pictures alone."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from html import escape
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.display import HTML, display
from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from ..errors import CourseError
from ..language import N_, _
from ..names import shown_name
from ..text import Segmenter
from ..workspace import headless
from .drawn.attention import draw_all_heads, draw_head, draw_head_pair, draw_layer
from .drawn.canvas import Drawing, TextPicture
from .drawn.losses import draw_losses
from .drawn.stills import HeadsToTurn, Stills
from .drawn.theme import PALETTE
from .measured.attention import Match, Unit, head_distances, head_matches
from .measured.losses import Rows
from .measured.reading import Reading, Sentence, check_tokenizers

VIEWS = (N_("side by side"), N_("one head"), N_("one layer"), N_("all heads"))
UNITS = (N_("characters"), N_("words"))
ROWS: Sequence[Sequence[str]] = (("view", "model", "unit"), ("layer", "head"))  # of controls, below the sentence
KNOBS = (  # marks for the translation alone: how the notebooks call what a reader moves
    N_("sentence"), N_("candidates"), N_("probability"), N_("seed"), N_("length"), N_("layers"), N_("gap"),
    N_("temperature"), N_("headline"), N_("question"), N_("passage"), N_("name"), N_("text"), N_("one"), N_("other"),
    N_("truth"), N_("view"), N_("model"), N_("layer"), N_("head"),
)  # fmt: skip


def explore(
    draw: Callable[..., object], *, stills: tuple[str, Sequence[object]] | None = None, **controls: object
) -> None:
    """Show what ``draw`` draws behind ipywidgets controls; headless, the stills, which need no kernel, or nothing.

    Args:
        draw: makes the picture anew from the controls' values, and returns it.
        stills: a control and some of its values: a page without a kernel leafs through their pictures. All other
            controls keep the value they begin with.
        controls: as for ``ipywidgets.interact``: a text, a number range, a list of choices. A text counts when it is
            finished, with Enter or by leaving its box; one that ``draw`` refuses is answered in a line.
    """
    from ipywidgets import Text, interact, interactive

    if headless():
        if stills:
            name, values = stills
            start = {other: interactive.widget_from_abbrev(control).value for other, control in controls.items()}
            display(Stills(_(name), {value: draw(**start | {name: value}) for value in values}))
        return

    @wraps(draw)
    def shown(**values: object) -> object:
        try:
            picture = draw(**values)
        except CourseError as problem:
            return HTML(_refused(problem))
        plt.close()  # a matplotlib figure that is returned would be shown twice
        return HTML(picture._repr_html_()) if isinstance(picture, Drawing | TextPicture) else picture  # no PNG: faster

    for control in interact(shown, **controls).widget.kwargs_widgets:
        control.description = _(control.description)
        if isinstance(control, Text):
            control.continuous_update = False


def _refused(problem: CourseError) -> str:
    return f'<p style="color:{PALETTE["student"]}">{escape(str(problem))}</p>'


class AttentionExplorer:
    """Attention of several models on any sentence, behind a sentence box and a few choices (notebook 06).

    Every choice works without a widget, too: ``explorer.draw(view="one head", layer=3, head=6)``.

    Args:
        models: by name; the first is the teacher, all others can be put beside it (one alone beside itself).
        tokenizer: the one tokenizer of all models.
        segmenter: finds the words.
        sentence: to begin with.

    Raises:
        CourseError: models of different tokenizers.
    """

    def __init__(
        self,
        models: Mapping[str, BertForMaskedLM | str | Path],
        tokenizer: PreTrainedTokenizerBase,
        segmenter: Segmenter,
        sentence: str,
    ):
        check_tokenizers(models, tokenizer)
        self.models, self.tokenizer, self.segmenter, self.sentence = dict(models), tokenizer, segmenter, sentence
        self._read: dict[str, Reading] = {}  # of the last sentence, by model
        self._matched: dict[str, list[Match]] = {}  # its heads with the first model's
        self._parsed: Sentence | None = None

    @property
    def students(self) -> list[str]:
        """The models that can be put beside the first."""
        return list(self.models)[1:]

    @property
    def _names(self) -> list[str]:
        """The models to choose from, the one to begin with first."""
        return [*self.students, next(iter(self.models))]

    def reading(self, name: str, sentence: str | None = None) -> Reading:
        """What a model makes of a sentence (None: the one to begin with); kept until another sentence comes.

        Raises:
            CourseError: an empty sentence, an unknown model.
        """
        if name not in self.models:
            raise CourseError(
                "no model {name!r} here", fix="one of {names}", name=name, names=", ".join(map(repr, self.models))
            )
        text = self.sentence if sentence is None else sentence
        if self._parsed is None or self._parsed.text != text:
            self._parsed, self._read, self._matched = Sentence.of(text, self.tokenizer, self.segmenter), {}, {}
        if name not in self._read:
            self._read[name] = Reading.of(self.models[name], self._parsed, name)
        return self._read[name]

    def _matches(self, teacher: Reading, student: Reading) -> list[Match]:
        if student.name not in self._matched:
            self._matched[student.name] = head_matches(head_distances([teacher], [student]))
        return self._matched[student.name]

    def draw(
        self,
        sentence: str | None = None,
        view: str = VIEWS[0],
        model: str | None = None,
        layer: int = 1,
        head: int = 1,
        unit: Unit = "characters",
    ) -> Drawing:
        """The picture for one setting of the controls.

        Args:
            sentence: None: the one to begin with.
            view: one of :data:`VIEWS`.
            model: whose layers and heads are meant; None: the first student, or the teacher where there is none.
            layer, head: counted from 1.
            unit: ``"characters"`` or ``"words"``.

        Raises:
            CourseError: an empty sentence, an unknown view or model, no such layer or head.
        """
        reading = self.reading(model or self._names[0], sentence)
        if view == "side by side":
            teacher = self.reading(next(iter(self.models)), sentence)
            return draw_head_pair(teacher, reading, layer, head, unit, self._matches(teacher, reading))
        if view == "one head":
            return draw_head(reading, layer, head, unit)
        if view == "one layer":
            return draw_layer(reading, layer, unit)
        if view == "all heads":
            return draw_all_heads(reading, unit)
        raise CourseError("unknown view {view!r}", fix="one of {names}", view=view, names=", ".join(map(repr, VIEWS)))

    def show(self, **start: object) -> None:
        """Show the controls and the picture; headless, what the site's script makes layer and head to choose of.

        Args:
            start: where the controls begin, by the names of :meth:`draw`.
        """
        if headless():
            layer, head = start.get("layer", 1), start.get("head", 1)
            picture = self.draw(**{**start, "view": "one head"})
            display(HeadsToTurn(self.reading(start.get("model") or self._names[0]), layer, head, picture))
        else:
            display(self.controls(**start))

    def controls(self, **start: object):
        """The ipywidgets box that :meth:`show` shows."""
        import ipywidgets

        widgets = {
            "sentence": ipywidgets.Text(self.sentence, description=_("sentence"), continuous_update=False),
            "view": ipywidgets.Dropdown(options=[(_(view), view) for view in VIEWS], description=_("view")),
            "model": ipywidgets.Dropdown(
                options=[(shown_name(name), name) for name in self._names], description=_("model")
            ),
            "layer": ipywidgets.IntSlider(1, 1, 99, description=_("layer")),
            "head": ipywidgets.IntSlider(1, 1, 99, description=_("head")),
            "unit": ipywidgets.ToggleButtons(
                options=[(_(unit), unit) for unit in UNITS], style={"button_width": "7em"}
            ),
        }
        widgets["sentence"].layout.width = "44em"
        for name, value in start.items():
            widgets[name].value = value
        screen = ipywidgets.HTML()
        update = self._updater(widgets, screen)
        for widget in widgets.values():
            widget.observe(update, "value")
        update()
        first, second = (ipywidgets.HBox([widgets[name] for name in row]) for row in ROWS)
        return ipywidgets.VBox([widgets["sentence"], first, second, screen])

    def _updater(self, widgets: Mapping, screen) -> Callable[..., None]:
        """Draws anew when a control moves; the sliders keep to what the model has."""

        def update(_change: object = None) -> None:
            values = {name: widget.value for name, widget in widgets.items()}
            try:
                shape = self.reading(values["model"], values["sentence"]).attention.shape
                widgets["layer"].max, widgets["head"].max = shape[:2]
                values |= {name: widgets[name].value for name in ("layer", "head")}  # they may have been cut back
                screen.value = self.draw(**values)._repr_html_()
            except CourseError as problem:
                screen.value = _refused(problem)

        return update


class LiveLosses:
    """Curves that grow while a run trains, below the cell that started it (notebook 04).

    Hand it to :func:`~minirbt_helpers.training.distill` as ``watch``: it redraws one picture at every
    evaluation. Headless it draws nothing; the finished curves are a matter of :func:`draw_losses`.

    Args:
        name: of the run; begins with a key of the palette to take its colour.
    """

    def __init__(self, name: str):
        self.name, self._shown = name, None

    def __call__(self, rows: Rows) -> None:
        if headless():
            return
        figure = draw_losses({self.name: rows})
        plt.close(figure)  # or the notebook would show it once more
        if self._shown is None:
            self._shown = display(figure, display_id=True)
        else:
            self._shown.update(figure)
