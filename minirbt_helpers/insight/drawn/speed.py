"""How long models take: speed-ups, where the time goes, and why (notebook 07)."""

import statistics
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...language import N_, _, labelled
from ...models import ARCHITECTURES
from ...names import shown_name
from ..measured.published import TEACHER
from ..measured.speed import PARTS, WHOLE, Rounds, SpeedCase, Timings, speed_ups
from .axes import from_to, in_percent, legend_beside, log_ticks, name_rows, note, panels
from .theme import PALETTE, own_colour_of

PART_COLOURS = dict(zip(PARTS, (PALETTE[name] for name in ("other", "teacher", "assistant", "one-stage")), strict=True))
REST = "#C4C9D0"
OTHERS = [name for name in ARCHITECTURES if name != TEACHER]


def draw_speed_ups(cases: Sequence[SpeedCase], head: bool = False) -> Figure:
    """Speed-ups over the 12-layer model, a panel per number format, a line per model; published ones dotted.

    Args:
        cases: what :func:`~minirbt_helpers.insight.speed_cases` gives.
        head: with the MLM head, or the encoder alone.
    """
    by_format: dict[str, list[SpeedCase]] = {}
    for case in cases:
        by_format.setdefault(case.precision, []).append(case)
    ups = {name: [speed_ups(case.family, TEACHER, head) for case in chosen] for name, chosen in by_format.items()}
    part = _("with the MLM head") if head else _("encoder alone")
    alt = _("Speed-ups over the 12-layer model by batch and length, {part}").format(part=part)
    alt = labelled(alt, _("; ").join(labelled(name, _speed_ups_in_words(of)) for name, of in ups.items()))
    figure, grid = panels(list(by_format), (5.6, 4.2), alt, sharey=True)
    for axes, chosen, of in zip(grid, by_format.values(), ups.values(), strict=True):
        _speed_up_lines(axes, of)
        axes.set_xticks(range(len(chosen)), [f"{case.batch} × {case.length}" for case in chosen])
        axes.set_xlabel(_("texts × tokens"))
        log_ticks(axes.yaxis, [1.5, 2, 3, 4, 6, 8, 12, 16])
    grid[0].set_ylabel(_("times as fast as RoBERTa, {part}").format(part=part))
    legend_beside(grid[-1], _("bars: quartiles; dotted: published"))
    return figure


def _speed_ups_in_words(ups: Sequence[Mapping]) -> str:
    """The slowest and the fastest case of every model."""
    medians = {name: [one[name].median for one in ups] for name in OTHERS}
    return _(", ").join(from_to(name, min(of), max(of), ".1f") for name, of in medians.items())


def _speed_up_lines(axes: Axes, ups: Sequence[Mapping]) -> None:
    """A line per model through the medians of its speed-ups, a case each, with the quartiles as bars."""
    for number, name in enumerate(OTHERS):
        places = [place + (number - 2) * 0.07 for place in range(len(ups))]
        spreads = [one[name] for one in ups]
        middles = [spread.median for spread in spreads]
        errors = list(zip(*((one.median - one.low, one.high - one.median) for one in spreads), strict=True))
        colour = own_colour_of(name)
        looks = {"color": colour, "markersize": 5, "marker": "s" if name == "MiniRBT-H288" else "o"}
        axes.errorbar(places, middles, errors, capsize=2, linewidth=1.2, label=name, **looks)
        axes.axhline(ARCHITECTURES[name].speed_up, color=colour, linestyle=":", linewidth=1)


def draw_time_parts(timings: Timings, title: str = "") -> Figure:
    """Where the time goes: a bar per model, its parts as shares of the whole, the milliseconds beside it.

    Args:
        timings: what :func:`~minirbt_helpers.insight.model_timings` gives.
        title: above the picture.
    """
    medians = {name: _medians(rounds) for name, rounds in timings.items()}
    alt = labelled(title or _("Where the time goes"), _("; ").join(map(_parts_in_words, medians, medians.values())))
    figure, (axes,) = panels([title], (9, 0.9 + 0.42 * len(timings)), alt)
    for place, of in enumerate(medians.values()):
        shares = {part: of[part] / of[WHOLE] for part in PARTS}
        shares[N_("rest")] = max(0.0, 1 - sum(shares.values()))
        left = 0.0
        for part, share in shares.items():
            colour, label = PART_COLOURS.get(part, REST), None if place else _(part)
            axes.barh(place, share, left=left, height=0.7, color=colour, label=label)
            if share > 0.06 and part != "rest":
                axes.text(left + share / 2, place, f"{share:.0%}", ha="center", va="center", color="white", fontsize=8)
            left += share
        note(axes, _in_milliseconds(of[WHOLE]), (1, place), (6, 0), size=10)
    name_rows(axes, list(timings))
    axes.set(xlim=(0, 1))
    in_percent(axes.xaxis)
    legend_beside(axes, gap=0.12)
    return figure


def _parts_in_words(name: str, of: Mapping[str, float]) -> str:
    shares = _(", ").join(f"{_(part)} {of[part] / of[WHOLE]:.0%}" for part in PARTS)
    said = _("{model} {time}, of which {shares}")
    return said.format(model=shown_name(name), time=_in_milliseconds(of[WHOLE]), shares=shares)


def _medians(rounds: Rounds) -> dict[str, float]:
    return {part: statistics.median(rounds[part]) for part in (*PARTS, WHOLE)}


def _in_milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.0f} ms" if seconds >= 0.1 else f"{1000 * seconds:.3g} ms"


def draw_speed_reasons(columns: Mapping[str, Mapping[str, float]], title: str = "") -> Figure:
    """Several speed-ups of the same models beside each other, a group of bars per model (log scale).

    Args:
        columns: by what they are ("arithmetic", "measured" …), the speed-up of each model.
        title: above the picture.
    """
    reasons = (_(", ").join(f"{_(words)} {values[name]:.1f}" for words, values in columns.items()) for name in OTHERS)
    alt = labelled(title or _("Speed-ups"), _("; ").join(map(" ".join, zip(OTHERS, reasons, strict=True))))
    figure, (axes,) = panels([title], (10, 3.8), alt)
    width = 0.8 / len(columns)
    colours = ("other", "accent", "teacher", "student", "one-stage")
    for number, (words, values) in enumerate(columns.items()):
        places = [place + (number - (len(columns) - 1) / 2) * width for place in range(len(OTHERS))]
        heights = [values[name] for name in OTHERS]
        axes.bar(places, heights, width=width * 0.92, color=PALETTE[colours[number]], label=_(words))
        for place, height in zip(places, heights, strict=True):
            note(axes, f"{height:.1f}", (place, height), (0, 2))
    axes.set_xticks(range(len(OTHERS)), OTHERS)
    axes.set_ylabel(_("times as fast as RoBERTa"))
    log_ticks(axes.yaxis, [1, 2, 4, 8, 16])
    axes.set_ylim(1, 1.15 * max(max(values.values()) for values in columns.values()))
    legend_beside(axes)
    return figure


def draw_product_rates(rows: Sequence[Mapping]) -> Figure:
    """How near the products of a layer come to the machine's peak, by the model's width; a panel per number format.

    Args:
        rows: lines of kind ``"products"`` of benchmarks/speed.py.
    """
    peaks = [_peak(row) for row in rows]
    named = zip(rows, peaks, strict=True)
    fastest = _("{precision}, the fastest: {rate:,.0f} GFLOP/s")
    titles = [fastest.format(precision=row["precision"], rate=peak / 1e9) for row, peak in named]
    shares = [_product_shares(row, peak) for row, peak in zip(rows, peaks, strict=True)]
    alt = _("The FFN product as a share of the fastest product, by width and tokens at once. {panels}")
    alt = alt.format(panels=_("; ").join(map(labelled, titles, map(_shares_in_words, shares))))
    figure, grid = panels(titles, (4.6, 3.6), alt, margin=(1, 0), sharey=True)
    for axes, lines in zip(grid, shares, strict=True):
        for label, line in lines.items():
            axes.plot(range(len(line)), line.values(), marker="o", markersize=4, label=label)
        axes.set(xlabel=_("width"), ylim=(0, 1.05))
        axes.set_xticks(range(len(line)), line)
        in_percent(axes.yaxis)
    grid[0].set_ylabel(_("share of the fastest product"))
    legend_beside(grid[-1])
    return figure


def _product_shares(row: Mapping, peak: float) -> dict[str, dict[int, float]]:
    """A line per number of tokens: by width, the FFN product's share of the fastest product."""
    named = _("{tokens:,} tokens at once")
    return {
        named.format(tokens=int(tokens)): {width: rates[str(width)]["FFN"] / peak for width in sorted(map(int, rates))}
        for tokens, rates in row["rates"].items()
    }


def _shares_in_words(lines: Mapping[str, Mapping[int, float]]) -> str:
    """Every line at its narrowest and its widest model."""
    ends = {label: [*line.values()] for label, line in lines.items()}
    return _(", ").join(from_to(label, of[0], of[-1], ".0%") for label, of in ends.items())


def _peak(row: Mapping) -> float:
    """The fastest product of a row, of the peak's own size or any other, in operations per second."""
    found = (rate for widths in row["rates"].values() for both in widths.values() for rate in both.values())
    return max(row["peak"], *found)
