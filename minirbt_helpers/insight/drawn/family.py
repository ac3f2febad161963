"""The models as stacks of layers: the family, the two stages, and what is handed on (notebooks 00, 03 and 04)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from transformers import BertConfig

from ...language import N_, _, labelled
from ...models import ARCHITECTURES, Architecture, Shape
from ...models.architectures import FULL_VOCABULARY, Scale
from ...names import shown_name
from ...training import layer_pairs
from .axes import panels
from .theme import FAMILY, PALETTE, colour_of

LESSONS = (  # teacher, learner, what happens, and where that is written: right of the learner's middle, height
    ("RoBERTa-wwm-ext", "RBT6", N_("first 6 layers copied,\nthen distilled"), (0.06, 10.0)),
    ("RBT6", "MiniRBT-H288", N_("distilled"), (-0.1, 8.1)),
    ("RBT6", "MiniRBT-H256", N_("distilled"), (0.03, 7.6)),
    ("RoBERTa-wwm-ext", "RBT3", N_("3 layers copied,\nthen trained\nfurther"), (0.05, 4.8)),
    ("RoBERTa-wwm-ext", "RBT4-H312", N_("distilled directly"), (-0.2, 9.8)),
)


# --- the family -----------------------------------------------------------------------------------------------------


def draw_family(scale: Scale = "full", vocabulary: int = FULL_VOCABULARY) -> Figure:
    """Every model as a stack of layers, width and depth to scale, with arrows for who teaches whom (notebook 00).

    Args:
        scale: ``"full"``, with the parameters as published, or ``"sample"``, with ours counted.
        vocabulary: entries of the vocabulary; counts at sample scale.
    """
    shapes = {name: ARCHITECTURES[name].shape(scale) for name in FAMILY}
    sample = _("sample scale, {vocabulary:,} vocabulary entries").format(vocabulary=vocabulary)
    source = _("parameters as published") if scale == "full" else sample
    title = _("The family: one bar is one layer, as wide as its hidden states ({source})").format(source=source)
    taught = _("; ").join(_taught(*lesson[:3]) for lesson in LESSONS)
    stacks = _(", ").join(f"{name} {_sizes(shape)}" for name, shape in shapes.items())
    figure, (axes,) = panels([title], (11, 5.4), _(". ").join((title, stacks, taught)))
    widest = max(shape.hidden for shape in shapes.values())
    middles: dict[str, float] = {}
    right = 0.0
    for name, shape in shapes.items():
        column = max(shape.hidden / widest, 0.62)  # room for the text under a narrow stack
        middles[name] = right + column / 2
        right += column + 0.22
        _stack(axes, name, shape, middles[name], shape.hidden / widest)
        _caption(axes, ARCHITECTURES[name], middles[name], scale, vocabulary)
    for lesson in LESSONS:
        _lesson(axes, middles, shapes, *lesson)
    axes.set(xlim=(-0.1, right), ylim=(-4.4, 13.2))
    axes.axis("off")
    return figure


def _taught(teacher: str, learner: str, how: str) -> str:
    said = _("{learner} from {teacher}: {how}")
    in_one_line = _(how).replace("，\n", "，").replace("\n", " ")  # a Chinese comma has no blank behind it
    return said.format(learner=learner, teacher=teacher, how=in_one_line)


def _sizes(shape: Shape) -> str:
    return _("{layers} layers × {width}").format(layers=shape.layers, width=shape.hidden)


def _stack(axes: Axes, name: str, shape: Shape, middle: float, width: float) -> None:
    for layer in range(shape.layers):
        corner = (middle - width / 2, layer + 0.1)
        bar = FancyBboxPatch(corner, width, 0.8, "round,pad=0,rounding_size=0.03", mutation_aspect=8, linewidth=0)
        bar.set(facecolor=colour_of(name), alpha=0.85, gid=f"{name} layer {layer}")
        axes.add_patch(bar)
    ground = FancyBboxPatch((middle - width / 2, -0.75), width, 0.6, "square,pad=0", linewidth=0)
    ground.set(facecolor=PALETTE["other"], alpha=0.35, gid=f"{name} embeddings")
    axes.add_patch(ground)


def _caption(axes: Axes, architecture: Architecture, middle: float, scale: Scale, vocabulary: int) -> None:
    shape = architecture.shape(scale)
    if scale == "full":
        whole, encoder = (f"{number:.1f}M" for number in architecture.published)
    else:
        counts = (architecture.count(embeddings, scale, vocabulary) for embeddings in (True, False))
        whole, encoder = (f"{count / 1e6:.2f}M" for count in counts)
    name = architecture.name
    axes.text(middle, -1.1, name, ha="center", va="top", fontsize=11, color=colour_of(name))
    without = _("({size} without\nembeddings)").format(size=encoder)
    facts = f"{_sizes(shape)}\n{whole}\n{without}"
    axes.text(middle, -1.85, facts, ha="center", va="top", fontsize=9, linespacing=1.35)


def _lesson(
    axes: Axes,
    middles: Mapping[str, float],
    shapes: Mapping[str, Shape],
    teacher: str,
    learner: str,
    words: str,
    place: tuple[float, float],
) -> None:
    """An arrow from the teacher's side or top to the top of the learner, with what happens on the way."""
    rightward = middles[learner] > middles[teacher]
    half = shapes[teacher].hidden / max(shape.hidden for shape in shapes.values()) / 2
    start = (middles[teacher] + (half if rightward else -half) * 1.04, shapes[teacher].layers - 0.5)
    end = (middles[learner], shapes[learner].layers + 0.25)
    if shapes[teacher].layers - shapes[learner].layers < 2:  # equally deep: a bow over both
        start = (middles[teacher], shapes[teacher].layers + 0.25)
    bend = f"arc3,rad={-0.42 if rightward else 0.42}"
    arrow = FancyArrowPatch(start, end, connectionstyle=bend, arrowstyle="-|>", mutation_scale=14)
    arrow.set(color=colour_of(learner), linewidth=1.8, gid=f"{teacher} teaches {learner}")
    axes.add_patch(arrow)
    axes.text(end[0] + place[0], place[1], _(words), ha="left", va="center", fontsize=9, color=colour_of(learner))


# --- the two stages -------------------------------------------------------------------------------------------------


def draw_two_stages(scale: Scale = "full") -> Figure:
    """The two-stage idea: teacher, assistant and student with the hidden states that are matched (notebook 00).

    Widths are to scale, and every layer is equally tall. An arrow points from who teaches to who learns.
    """
    chain = {"RoBERTa-wwm-ext": "teacher", "RBT6": "assistant", "MiniRBT-H256": "student"}
    shapes = [ARCHITECTURES[name].shape(scale) for name in chain]
    stages = (_("stage 1: half the depth"), _("stage 2: a third of the width"))
    names = [f"{_(chain[name])} {name}, {one.layers} × {one.hidden}" for name, one in zip(chain, shapes, strict=True)]
    alt = _("Two stages: {models}. {stages}").format(models=" → ".join(names), stages=_("; ").join(stages))
    figure, (axes,) = panels([""], (9, 3.8), alt)
    for place, ((name, role), shape) in enumerate(zip(chain.items(), shapes, strict=True)):
        width = 1.1 * shape.hidden / shapes[0].hidden
        for layer in range(shape.layers):
            corner = (2.4 * place - width / 2, layer + 0.08)
            axes.add_patch(Rectangle(corner, width, 0.84, color=PALETTE[role], alpha=0.75, linewidth=0))
        source = name if scale == "full" else _("sample of {name}").format(name=name)
        caption = f"{_(role)}\n{source}\n{shape.layers} × {shape.hidden}"
        axes.text(2.4 * place, -0.5, caption, ha="center", va="top", color=PALETTE[role])
        if place:
            _matches(axes, place, shapes, layer_pairs(shapes[place - 1].layers, shape.layers))
    for place, words in enumerate(stages):
        start, end = shapes[place].layers + 0.2, shapes[place + 1].layers + 0.3
        arrow = {"arrowstyle": "-|>", "color": PALETTE["other"], "linewidth": 1.6}
        arrow["connectionstyle"] = f"arc,angleA=90,angleB=90,armA={22 if place == 0 else 26},armB=26,rad=14"
        axes.annotate("", (2.4 * (place + 1), end), (2.4 * place + 0.15, start), arrowprops=arrow)
        axes.text(2.4 * place + 1.3, start + 2.2, _("teaches\n{what}").format(what=words), ha="center", va="bottom")
        axes.text(2.4 * place + 1.3, -0.15, _("embeddings"), ha="center", va="top", fontsize=8, color=PALETTE["other"])
    axes.set(xlim=(-0.8, 5.4), ylim=(-3.6, 15.6))
    axes.axis("off")
    return figure


def _matches(axes: Axes, place: int, shapes: list[Shape], pairs: list[tuple[int, int]]) -> None:
    """A line for every pair of hidden states, between the stacks ``place - 1`` and ``place``."""
    before, after = shapes[place - 1], shapes[place]
    left = 2.4 * (place - 1) + 0.55 * before.hidden / shapes[0].hidden
    right = 2.4 * place - 0.55 * after.hidden / shapes[0].hidden
    for theirs, ours in pairs:
        axes.plot([left + 0.04, right - 0.04], [theirs, ours], color=PALETTE["other"], linewidth=1, linestyle=":")
        axes.plot(right - 0.05, ours, marker=">", markersize=4, color=PALETTE["other"])


# --- what is handed on ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tower:
    """A model to draw: its name (which gives the colour), a label per box from the bottom, its width."""

    name: str
    boxes: tuple[str, ...]
    width: int

    @classmethod
    def of_states(cls, name: str, config: BertConfig) -> "Tower":
        """Its hidden states: 0 is the embeddings' output, n what layer n hands on (notebook 04)."""
        return cls(name, tuple(map(str, range(config.num_hidden_layers + 1))), config.hidden_size)

    @classmethod
    def of_layers(cls, name: str, config: BertConfig) -> "Tower":
        """What is copied: embeddings, layers counted from 1, MLM head (notebook 03)."""
        layers = map(str, range(1, config.num_hidden_layers + 1))
        return cls(name, (N_("embeddings"), *layers, N_("MLM head")), config.hidden_size)


def draw_layer_pairs(lessons: Mapping[str, tuple[Tower, Tower, Iterable[tuple[int, int]]]]) -> Figure:
    """Which box of a teacher feeds which box of a student, a panel per lesson (notebooks 03 and 04).

    Args:
        lessons: a title for each teacher, student and pairs of places (teacher's, student's), counted from the bottom,
            as ``training.layer_pairs`` gives them. Boxes are as wide as the models, in proportion.
    """
    lessons = {title: (teacher, student, list(pairs)) for title, (teacher, student, pairs) in lessons.items()}
    words = (labelled(title, _pairs_in_words(*lesson)) for title, lesson in lessons.items())
    figure, grid = panels(list(lessons), (13 / max(2, len(lessons)), 5), _(". ").join(words))
    for axes, lesson in zip(grid, lessons.values(), strict=True):
        _towers(axes, *lesson)
    return figure


def _pairs_in_words(teacher: Tower, student: Tower, pairs: list[tuple[int, int]]) -> str:
    feeds = (f"{_(teacher.boxes[theirs])} → {_(student.boxes[ours])}" for theirs, ours in pairs)
    said = _("{teacher} to {student}, {boxes}")
    return said.format(teacher=shown_name(teacher.name), student=shown_name(student.name), boxes=_(", ").join(feeds))


def _towers(axes: Axes, teacher: Tower, student: Tower, pairs: list[tuple[int, int]]) -> None:
    tallest, widest = max(len(teacher.boxes), len(student.boxes)), max(teacher.width, student.width)
    widths = {tower: max(1.1, 3 * tower.width / widest) for tower in (teacher, student)}
    centres = {teacher: 0.0, student: 5.0}
    for tower in (teacher, student):
        for place, label in enumerate(tower.boxes):
            _box(axes, centres[tower], _height(place, tower, tallest), widths[tower], _(label), colour_of(tower.name))
        caption = f"{shown_name(tower.name)}\n{_('width {width}').format(width=tower.width)}"
        axes.text(centres[tower], tallest + 0.1, caption, ha="center", va="bottom", fontsize=9)
    for theirs, ours in pairs:
        start = (centres[teacher] + widths[teacher] / 2, _height(theirs, teacher, tallest))
        end = (centres[student] - widths[student] / 2, _height(ours, student, tallest))
        axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": PALETTE["accent"], "lw": 1.4})
    axes.set(xlim=(-1.8, 6.8), ylim=(-0.7, tallest + 1.5))
    axes.axis("off")


def _height(place: int, tower: Tower, tallest: int) -> float:
    """Towers are spread over the same height, so that even pairs look even."""
    return place * (tallest - 1) / max(1, len(tower.boxes) - 1)


def _box(axes: Axes, x: float, y: float, width: float, label: str, colour: str) -> None:
    light = sum(share * part for share, part in zip((0.3, 0.59, 0.11), to_rgb(colour), strict=True)) > 0.6
    corner = (x - width / 2 + 0.1, y - 0.24)
    axes.add_patch(FancyBboxPatch(corner, width - 0.2, 0.48, boxstyle="round,pad=0.1", color=colour, alpha=0.85, lw=0))
    axes.text(x, y - 0.02, label, ha="center", va="center", color="#1F2328" if light else "white", fontsize=8)
