"""The models in figures: size, arithmetic, speed and quality, published, counted and measured (notebook 07)."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertForMaskedLM

from ..errors import CourseError
from ..lines import read_lines
from ..models import ARCHITECTURES, Architecture, find_architecture
from ..models.architectures import Scale
from ..training.costs import operations
from .published import SCORES
from .speed import Rounds, Spread, Timings, seconds_of, speed_ups, time_models

TEACHER = "RoBERTa-wwm-ext"
Scores = Mapping[str, Mapping[str, Sequence[float]]]  # task -> model -> score of every seed, from 0 to 1


# --- size -----------------------------------------------------------------------------------------------------------


def parameter_table() -> list[dict[str, str]]:
    """The published table of sizes, counted from the configurations, to the digits that the README prints.

    The README's percentages are those of its rounded numbers, and so are these; ``"exactly"`` has those of the counts.
    """
    base = ARCHITECTURES[TEACHER]
    rows = []
    for one in ARCHITECTURES.values():
        shape = one.full
        row = {
            "model": one.name,
            "layers": shape.layers,
            "hidden": shape.hidden,
            "FFN": shape.ffn,
            "heads": shape.heads,
        }
        for embeddings, title in ((True, "parameters"), (False, "without embeddings")):
            millions, all_of_it = (as_printed(which, embeddings) for which in (one, base))
            row[title] = f"{millions}M ({100 * float(millions) / float(all_of_it):.1f}%)"
        exact = (100 * one.count(embeddings) / base.count(embeddings) for embeddings in (True, False))
        row["exactly"] = " · ".join(f"{share:.2f}%" for share in exact)
        rows.append({name: str(value) for name, value in row.items()})
    return [{name: value.replace("(100.0%)", "(100%)") for name, value in row.items()} for row in rows]


def as_printed(one: Architecture, embeddings: bool) -> str:
    """The counted millions of parameters, with as many digits as the README prints."""
    digits = len(str(one.published[0 if embeddings else 1]).partition(".")[2])
    return f"{one.count(embeddings) / 1e6:.{digits}f}"


def architecture_of(config: BertConfig, scale: Scale) -> Architecture | None:
    """The member of the family that a configuration belongs to; None: somebody else's."""
    theirs = (config.num_hidden_layers, config.hidden_size, config.intermediate_size, config.num_attention_heads)
    shapes = ((one, one.shape(scale)) for one in ARCHITECTURES.values())
    return next((one for one, has in shapes if (has.layers, has.hidden, has.ffn, has.heads) == theirs), None)


def model_folders(folder: str | Path) -> dict[str, Path]:
    """The masked language models that lie in a folder, by name, the largest first."""
    found = {}
    for file in Path(folder).glob("*/config.json"):
        config = json.loads(file.read_text(encoding="utf-8"))
        if "BertForMaskedLM" in (config.get("architectures") or ()):
            found[file.parent.name] = file.parent
    return dict(sorted(found.items(), key=lambda item: -(item[1] / "model.safetensors").stat().st_size))


# --- arithmetic -----------------------------------------------------------------------------------------------------


def count_operations(config: BertConfig, length: int) -> float:
    """:func:`~minirbt_helpers.training.operations` of all parts together, as torch counts them in a forward pass."""
    with torch.device("meta"):  # shapes alone: nothing is computed
        model = BertForMaskedLM(config).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.zeros(1, length, dtype=torch.long))
    return counter.get_total_flops() / length


# --- speed ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SpeedCase:
    """One case of benchmarks/speed.py, all its rounds together.

    Attributes:
        precision: ``"fp32"`` or ``"bf16"``.
        batch, length: texts at a time, tokens per text.
        threads: of the CPU.
        hardware: what computed.
        timings: seconds of every round, by model and part.
    """

    precision: str
    batch: int
    length: int
    threads: int
    hardware: str
    timings: Timings

    @property
    def rounds(self) -> int:
        """How many rounds were measured."""
        return len(next(iter(self.timings.values()))["whole"])

    @property
    def family(self) -> Timings:
        """The timings of the family, in its order."""
        return {name: self.timings[name] for name in ARCHITECTURES}


def benchmark_rows(file: str | Path, kind: str) -> list[dict]:
    """The lines of one kind that benchmarks/speed.py left; none without a file."""
    if not Path(file).exists():
        return []
    return [row for row in map(json.loads, read_lines(file)) if row["kind"] == kind]


def read_speed(file: str | Path) -> list[SpeedCase]:
    """The cases that were measured, in the order of number format, batch and length."""
    cases: dict[tuple, dict[str, dict[str, list[float]]]] = {}
    for row in benchmark_rows(file, "speed"):
        key = (row["precision"], row["batch"], row["length"], row["threads"], row["hardware"])
        timings = cases.setdefault(key, {})
        for name, parts in row["seconds"].items():
            for part, seconds in parts.items():
                timings.setdefault(name, {}).setdefault(part, []).extend(seconds)
    order = sorted(cases, key=lambda key: (key[0] != "fp32", *key[1:3]))
    return [SpeedCase(*key, timings=cases[key]) for key in order]


def speed_table(cases: Iterable[SpeedCase], head: bool = False) -> list[dict[str, str]]:
    """Speed-ups over the 12-layer model, median and quartiles, a row per case; published ones first.

    Args:
        cases: what :func:`read_speed` gives.
        head: with the MLM head, or the encoder alone.
    """
    blank = {"case": "published", "rounds": "", "12 layers take": ""}
    rows = [blank | {name: f"{one.speed_up:g}" for name, one in ARCHITECTURES.items() if name != TEACHER}]
    for case in cases:
        ups = speed_ups(case.family, TEACHER, head)
        row = {"case": f"{case.precision}, {case.batch} × {case.length}", "rounds": str(case.rounds)}
        row["12 layers take"] = f"{statistics.median(seconds_of(case.timings[TEACHER], head)):.3g} s"
        rows.append(row | {name: str(ups[name]) for name in ups if name != TEACHER})
    return rows


def comparison_table(
    models: Mapping[str, BertForMaskedLM], batch: int = 1, length: int = 128, rounds: int = 5
) -> list[dict[str, str]]:
    """Models side by side on this machine: size, arithmetic and time; the first is what the others are held against.

    Args:
        models: by name, on their device, in their number format.
        batch, length, rounds: as for :func:`~minirbt_helpers.insight.time_models`.
    """
    timings = time_models(models, batch, length, rounds)
    first = next(iter(models))
    encoders, whole = (speed_ups(timings, first, head) for head in (False, True))
    return [
        {
            "model": name,
            "parameters": f"{model.num_parameters() / 1e6:.2f}M",
            "without embeddings": f"{without_embeddings(model) / 1e6:.2f}M",
            "memory": f"{sum(one.numel() * one.element_size() for one in model.parameters()) / 1e6:.1f} MB",
            "operations per token": f"{encoder_operations(model.config, length) / 1e6:.2f}M",
            "milliseconds": str(_milliseconds(timings[name])),
            "speed-up": str(encoders[name]),
            "with the MLM head": str(whole[name]),
        }
        for name, model in models.items()
    ]


def _milliseconds(rounds: Rounds) -> Spread:
    return Spread.of([1000 * seconds for seconds in seconds_of(rounds)])


def without_embeddings(model: BertForMaskedLM) -> int:
    """Parameters of layers and MLM head."""
    return model.num_parameters() - sum(weight.numel() for weight in model.bert.embeddings.parameters())


def encoder_operations(config: BertConfig, length: int) -> float:
    """The arithmetic of a token in all parts but the MLM head."""
    return sum(count for part, count in operations(config, length).items() if part != "MLM head")


# --- quality --------------------------------------------------------------------------------------------------------


def published_scores() -> dict[str, dict[str, list[float]]]:
    """The published scores (accuracy, or F1), from 0 to 1, by task and model."""
    tasks = next(iter(SCORES.values()))
    return {task: {name: [scores[task][0] / 100] for name, scores in SCORES.items()} for task in tasks}


def published_table(relative: bool = False) -> list[dict[str, str]]:
    """The published scores as the README prints them; ``relative``: in per cent of RoBERTa's."""

    def cell(name: str, task: str) -> str:
        pairs = zip(SCORES[name][task], SCORES[TEACHER][task], strict=True)
        return "/".join(f"{100 * score / whole:.1f}%" if relative else f"{score:g}" for score, whole in pairs)

    return [{"model": name, **{task: cell(name, task) for task in SCORES[name]}} for name in SCORES]


def kept(scores: Scores, reference: str) -> dict[str, float]:
    """What share of the reference's scores a model keeps, on average over the tasks that both have.

    Raises:
        CourseError: the reference has no scores.
    """
    theirs = {task: statistics.fmean(models[reference]) for task, models in scores.items() if reference in models}
    if not theirs:
        raise CourseError(f"no scores of {reference!r}", fix="name a model of the table")
    names = dict.fromkeys(name for task in theirs for name in scores[task])
    return {
        name: statistics.fmean(
            statistics.fmean(scores[task][name]) / whole for task, whole in theirs.items() if name in scores[task]
        )
        for name in names
    }


def sizes_of(
    names: Iterable[str], folders: Mapping[str, Path], student: str, scale: Scale, vocabulary: int
) -> dict[str, int]:
    """Parameters of the models of a results file; models that nothing is known of are left out.

    Args:
        names: as the file has them: one of the folders, an architecture, or ``"no pre-training"``.
        folders: by name.
        student: the architecture of ``"no pre-training"``.
        scale: of the architectures.
        vocabulary: how many entries theirs has.
    """
    sizes = {}
    for name in names:
        if name in folders:
            sizes[name] = count_parameters(BertConfig.from_pretrained(folders[name]))
        elif name in ARCHITECTURES or name == "no pre-training":
            architecture = find_architecture(name if name in ARCHITECTURES else student)
            sizes[name] = architecture.count(scale=scale, vocabulary=vocabulary)
    return sizes


def count_parameters(config: BertConfig) -> int:
    """Parameters of a masked language model of this configuration."""
    with torch.device("meta"):
        return BertForMaskedLM(config).num_parameters()
