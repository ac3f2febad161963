"""Controls over the pictures, in a live notebook only."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from ..errors import CourseError
from ..text import Segmenter
from ..workspace import headless
from .drawing import Drawing
from .plots import Unit, head_picture, heads_picture, layer_picture, pair_picture
from .reading import Reading, Sentence, check_tokenizers, parse, read
from .similarity import Match, head_distances, match_heads

VIEWS = ("side by side", "one head", "one layer", "all heads")
ROWS: Sequence[Sequence[str]] = (("view", "model", "unit"), ("layer", "head"))  # of controls, below the sentence


def interactive(draw: Callable[..., object], **controls: object) -> None:
    """Show ``draw`` behind ipywidgets controls; do nothing when the notebook runs headless.

    Args:
        draw: makes the picture anew from the controls' values.
        controls: as for ``ipywidgets.interact``: a text, a number range, a list of choices.
    """
    if headless():
        return
    from ipywidgets import interact

    interact(draw, **controls)


class Explorer:
    """Attention of several models on any sentence, behind a sentence box and a few choices (notebook 06).

    Every choice works without a widget, too: ``explorer.picture(view="one head", layer=3, head=6)``.

    Args:
        models: by name; the first is the teacher, all others can be put beside it.
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

    def reading(self, name: str, sentence: str | None = None) -> Reading:
        """What a model makes of a sentence (None: the one to begin with); kept until another sentence comes."""
        text = self.sentence if sentence is None else sentence
        if self._parsed is None or self._parsed.text != text:
            self._parsed, self._read, self._matched = parse(text, self.tokenizer, self.segmenter), {}, {}
        if name not in self._read:
            self._read[name] = read(self.models[name], self._parsed, name)
        return self._read[name]

    def _matches(self, teacher: Reading, student: Reading) -> list[Match]:
        if student.name not in self._matched:
            self._matched[student.name] = match_heads(head_distances([teacher], [student]))
        return self._matched[student.name]

    def picture(
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
            model: whose layers and heads are meant; None: the first student.
            layer, head: counted from 1.
            unit: ``"characters"`` or ``"words"``.

        Raises:
            CourseError: an empty sentence, an unknown view, no such layer or head.
        """
        reading = self.reading(model or self.students[0], sentence)
        if view == "side by side":
            teacher = self.reading(next(iter(self.models)), sentence)
            return pair_picture(teacher, reading, layer, head, unit, self._matches(teacher, reading))
        if view == "one head":
            return head_picture(reading, layer, head, unit)
        if view == "one layer":
            return layer_picture(reading, layer, unit)
        if view == "all heads":
            return heads_picture(reading, unit)
        raise CourseError(f"unknown view {view!r}", fix=f"one of {', '.join(map(repr, VIEWS))}")

    def show(self, **start: object) -> None:
        """Show the controls and the picture; do nothing when the notebook runs headless.

        Args:
            start: where the controls begin, by the names of :meth:`picture`.
        """
        if headless():
            return
        from IPython.display import display

        display(self.controls(**start))

    def controls(self, **start: object):
        """The ipywidgets box that :meth:`show` shows."""
        import ipywidgets

        names = [*self.students, next(iter(self.models))]
        widgets = {
            "sentence": ipywidgets.Text(self.sentence, description="sentence", continuous_update=False),
            "view": ipywidgets.Dropdown(options=VIEWS, description="view"),
            "model": ipywidgets.Dropdown(options=names, description="model"),
            "layer": ipywidgets.IntSlider(1, 1, 99, description="layer"),
            "head": ipywidgets.IntSlider(1, 1, 99, description="head"),
            "unit": ipywidgets.ToggleButtons(options=["characters", "words"], style={"button_width": "7em"}),
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
                screen.value = self.picture(**values)._repr_html_()
            except CourseError as problem:
                screen.value = f'<p style="color:#D55E00">{problem}</p>'

        return update
