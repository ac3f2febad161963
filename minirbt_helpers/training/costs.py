"""What a token costs: the arithmetic of a BERT (notebook 07), behind every estimate of hours (notebook 08)."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import BertConfig

from ..language import N_, _
from ..models import ARCHITECTURES
from ..recipe import load_recipe
from ..workspace import resolve

BACKWARD = 3  # forward and backward together, in forwards: every matrix product has two gradients
TAUGHT = {"assistant": ("RoBERTa-wwm-ext", "RBT6"), "student": ("RBT6", "MiniRBT-H256")}  # stage: teacher, learner
RESULTS = "benchmarks/results"


def operations(config: BertConfig, length: int) -> dict[str, float]:
    """Multiplications and additions that a token needs, by part of the model.

    Matrix products alone count, as is the custom. Attention compares every token with ``length`` others.

    Args:
        config: of the model.
        length: tokens per text.
    """
    width, layers = config.hidden_size, config.num_hidden_layers
    return {
        "embeddings": 0.0,  # looked up, not computed
        "attention": layers * float(2 * 4 * width**2 + 2 * 2 * length * width),  # four projections; scores and mixing
        "FFN": layers * float(2 * 2 * width * config.intermediate_size),
        "MLM head": 2.0 * (width**2 + width * config.vocab_size),
    }


def forward_operations(config: BertConfig, length: int, masked: float = 0.15) -> float:
    """The same for all parts together, with the MLM head at a share of the positions only.

    Args:
        config: of the model.
        length: tokens in a block.
        masked: the share of positions at which the MLM head is asked.
    """
    parts = operations(config, length)
    return parts["attention"] + parts["FFN"] + masked * parts["MLM head"]


def distillation_operations(teacher: BertConfig, student: BertConfig, length: int, masked: float = 0.15) -> float:
    """The same for a step of distillation: teacher forward; student and projections forward and backward.

    Every state of the student has a projection to the teacher's width, as published.
    """
    projections = (student.num_hidden_layers + 1) * 2 * student.hidden_size * teacher.hidden_size
    learned = forward_operations(student, length, masked) + projections
    return forward_operations(teacher, length, masked) + BACKWARD * learned


# --- hours of the published recipe ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Machine:
    """What computes, and what part of its speed a step of distillation gets.

    Attributes:
        name: for a table.
        gpu: the GPU's name as its driver says it; empty for a CPU.
        peak: operations per second of large matrix products in bfloat16, on one device.
        shares: of the peak, by stage.
        source: where the shares come from: ``"assumed"`` or ``"measured"``.
        devices: how many work together.
    """

    name: str
    gpu: str
    peak: float
    shares: dict[str, float]
    source: str
    devices: int = 1

    @property
    def shown(self) -> str:
        """The name in the language that is set."""
        return _(self.name)

    @property
    def label(self) -> str:
        """The machine and where its shares come from, in the language that is set: ``"one H200, assumed"``."""
        return _("{machine}, {source}").format(machine=self.shown, source=_(self.source))

    def hours(self, stage: str) -> float:
        """Hours of a published stage: all its tokens, evaluations and checkpoints aside."""
        recipe = load_recipe("full")
        tokens = recipe.steps * recipe.batch_size * recipe.length
        teacher, learner = (ARCHITECTURES[name].config("full") for name in TAUGHT[stage])
        work = tokens * distillation_operations(teacher, learner, recipe.length)
        return work / (self.peak * self.shares[stage] * self.devices) / 3600


# The vendors' dense bfloat16 peaks. Nothing was measured: the shares are guesses with a name.
ASSUMED = (
    Machine(N_("one RTX 4090"), "NVIDIA GeForce RTX 4090", 165e12, dict.fromkeys(TAUGHT, 0.30), N_("assumed")),
    Machine(N_("one H200"), "NVIDIA H200", 989e12, dict.fromkeys(TAUGHT, 0.40), "assumed"),
    Machine(N_("8 x H200"), "NVIDIA H200", 989e12, dict.fromkeys(TAUGHT, 0.40), "assumed", devices=8),
)


def machines(results: str | Path = RESULTS) -> list[Machine]:
    """The machines of the table of hours: GPUs as ``benchmarks/gpu.py`` measured them, else as assumed.

    Args:
        results: the folder of the benchmarks' results.
    """
    measured = {machine.gpu: machine for machine in measured_machines(results)}
    known = [_as_measured(machine, measured.get(machine.gpu)) for machine in ASSUMED]
    return known + [machine for gpu, machine in measured.items() if gpu not in {one.gpu for one in ASSUMED}]


def _as_measured(assumed: Machine, measured: Machine | None) -> Machine:
    if measured is None:
        return assumed
    source = N_("measured") if assumed.devices == 1 else N_("measured on one")
    return replace(assumed, peak=measured.peak, shares=measured.shares, source=source)


def measured_machines(results: str | Path = RESULTS) -> Iterator[Machine]:
    """One GPU for each file ``gpu-NAME.json`` with both stages in it, at the engine's fastest variant."""
    for file in sorted(resolve(results).glob("gpu-*.json")):
        found = json.loads(file.read_text(encoding="utf-8"))
        training = found["parts"].get("training", {})
        best = {stage: _fastest(training.get(stage, {})) for stage in TAUGHT}
        if all(best.values()) and file.name != "gpu-tiny.json":
            peak = max(training["peak_operations_per_second"].values())
            shares = {stage: rate / peak for stage, rate in best.items()}
            yield Machine(_("one {gpu}").format(gpu=found["hardware"]), found["hardware"], peak, shares, "measured")


def _fastest(variants: dict) -> float:
    """Operations per second of this engine's fastest variant of a stage; 0 if none was measured."""
    engine = [found for name, found in variants.items() if name.startswith("engine")]
    return max((found.get("operations_per_second", 0.0) for found in engine), default=0.0)


def hours_table(machines: Sequence[Machine]) -> str:
    """Hours of both published stages on each machine, to two digits, as a table in Markdown."""
    head = (_("share of the peak"), _("assistant, hours"), _("student, hours"), _("both, device-hours"))
    lines = [f"| | {' | '.join(head)} |", "|---|---|--:|--:|--:|"]
    for machine in machines:
        hours = [machine.hours(stage) for stage in TAUGHT]
        shares = _(" and ").join(dict.fromkeys(f"{share:.0%}" for share in machine.shares.values()))
        origin = _("{machine}, {source}").format(machine=shares, source=_(machine.source))
        row = (machine.shown, origin, *map(_two_digits, hours), _two_digits(sum(hours) * machine.devices))
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def _two_digits(hours: float) -> str:
    rounded = float(f"{hours:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:.1f}"
