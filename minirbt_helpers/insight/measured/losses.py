"""The losses of a distillation, taken out of its metrics as curves (notebooks 04 and 06)."""

import re
from collections.abc import Mapping, Sequence

Rows = Sequence[Mapping[str, float]]  # metrics of a run, one row per step
Curve = list[tuple[float, float]]  # (step, value), in the order of the steps
MATCH = re.compile(r"(.+?) \[?\d.*-\[?(\d+).*")  # "hidden 4-2": the teacher's 4, the student's 2


def loss_curve(rows: Rows, name: str) -> Curve:
    """One column of a run's metrics, at the steps that have it.

    Args:
        rows: ``Distilled.metrics``.
        name: such as ``"kd"``, ``"top1"`` or ``"hidden 2-1"``.
    """
    return [(row["step"], row[name]) for row in rows if name in row]


def match_curves(rows: Rows) -> dict[str, Curve]:
    """The curve of each match of a run, by its name in the metrics (``"hidden 2-1"``: teacher's state, student's)."""
    names = dict.fromkeys(name for row in rows for name in row if MATCH.fullmatch(name))
    return {name: loss_curve(rows, name) for name in names}


def matched_layer(match: str) -> tuple[str, int]:
    """The kind and the student's layer of a match: of ``"hidden 4-2"`` hidden and 2."""
    kind, layer = MATCH.fullmatch(match).groups()
    return kind, int(layer)
