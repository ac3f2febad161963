"""Plots with axes (bars, curves, dots): panels in a grid, ticks, notes, legends, and the alt text."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from ...language import _
from ...names import shown_name

BASELINE = {"color": "#444444", "linestyle": "--", "linewidth": 1.2, "zorder": 1}


class Plot(Figure):
    """A matplotlib figure that says in words what it shows; a notebook keeps them as the alt text of its picture."""

    alt = ""

    def _repr_mimebundle_(self, **_: object) -> tuple[dict, dict[str, dict]]:
        return {}, {"image/png": {"alt": self.alt}}  # the picture itself is made by IPython, as of every figure


def plot(size: tuple[float, float], alt: str) -> Plot:
    """An empty figure.

    Args:
        size: width and height in inches.
        alt: what it will show, in a sentence or two, with the numbers that matter.
    """
    figure = plt.figure(FigureClass=Plot, figsize=size, layout="constrained")
    figure.alt = alt
    return figure


def from_to(title: str, first: float, last: float, digits: str) -> str:
    """Two ends of a line in words, as an alt text names them; ``digits`` is their format."""
    return _("{title} {first} to {last}").format(title=title, first=f"{first:{digits}}", last=f"{last:{digits}}")


def panels(
    titles: Sequence[str],
    size: tuple[float, float],
    alt: str,
    *,
    columns: int = 4,
    margin: tuple[float, float] = (0, 0),
    **settings: object,
) -> tuple[Plot, list[Axes]]:
    """A figure with a panel for each title, in rows.

    Args:
        titles: one at least.
        size: width and height of a panel, in inches.
        alt: see :func:`plot`.
        columns: panels in a row.
        margin: width and height that the figure has beyond its panels, in inches.
        settings: as for ``Figure.subplots`` (``sharex``, ``sharey``, ``width_ratios``).
    """
    columns = min(columns, len(titles))
    rows = -(-len(titles) // columns)
    figure = plot((size[0] * columns + margin[0], size[1] * rows + margin[1]), alt)
    grid = list(figure.subplots(rows, columns, squeeze=False, **settings).flat)
    for axes, title in zip(grid, titles, strict=False):
        axes.set_title(title)
    for axes in grid[len(titles) :]:
        axes.axis("off")
    return figure, grid[: len(titles)]


def in_percent(*axes: Axis) -> None:
    """Label shares in per cent, with as many digits as a tick has: none is rounded away."""
    for axis in axes:
        axis.set_major_formatter(lambda share, _: f"{100 * share:.6g}%")


def log_ticks(axis: Axis, ticks: Sequence[float]) -> None:
    """A logarithmic axis with these ticks and no others."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_ticks([], minor=True)


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Write names along the left side, the first on top."""
    axes.set_yticks(range(len(names)), [shown_name(name) for name in names])
    axes.invert_yaxis()


def note(axes: Axes, words: str, place: tuple[float, float], shift: tuple[float, float], size: float = 8) -> None:
    """Write words beside a place, moved by so many points to the right and up: level with it, or over its middle."""
    across, along = ("center", "baseline") if not shift[0] else ("left", "center")
    axes.annotate(words, place, shift, textcoords="offset points", ha=across, va=along, fontsize=size)


def legend_beside(axes: Axes, title: str = "", gap: float = 0.01) -> None:
    """The legend, right of the axes."""
    axes.legend(loc="center left", bbox_to_anchor=(1 + gap, 0.5), fontsize=9, title=title or None)


def listed(shares: dict[str, float]) -> str:
    """Shares by name, as a list in words: what an alt text says of bars."""
    return _(", ").join(f"{shown_name(name)} {share:.1%}" for name, share in shares.items())
