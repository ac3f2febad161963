"""How long models take on this machine (latency), and which of their parts takes it (notebook 07)."""

import json
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import BertConfig, BertForMaskedLM

from ...errors import CourseError
from ...language import N_
from ...lines import read_lines
from ...models import ARCHITECTURES
from .published import TEACHER

PARTS = (N_("embeddings"), N_("attention"), "FFN", N_("MLM head"))
WHOLE = "whole"
Rounds = Mapping[str, Sequence[float]]  # seconds of every round, of the whole forward pass and of its parts
Timings = Mapping[str, Rounds]  # by model
Stamp = float | torch.cuda.Event
Watched = tuple[str, nn.Module]  # a name, and a module that counts under it


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of what was measured."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of any number of values, one at least."""
        low, high = np.quantile(values, (0.25, 0.75))
        return cls(statistics.median(values), float(low), float(high))

    def __str__(self) -> str:
        return f"{self.median:.1f} ({self.low:.1f}–{self.high:.1f})"


@torch.inference_mode()
def model_timings(models: Mapping[str, BertForMaskedLM], batch: int, length: int, rounds: int = 5) -> Timings:
    """Run models in turn, every one once in a round, after one text each that does not count.

    What disturbs the machine for a while disturbs all of them, and drops out of ratios within a round. On one
    thread of a CPU (see :func:`threads`) the clock is the processor's time of that thread, so that what other
    programs take does not count at all. Parts are timed by hooks; what is in none of them (masks, glue) is in
    the whole alone.

    Args:
        models: by name, on their device and in their number format; weights do not matter to the time.
        batch, length: random tokens to read, [batch, length], without padding.
        rounds: how many count.

    Raises:
        CourseError: more tokens than a model has positions.
    """
    for name, model in models.items():
        if length > model.config.max_position_embeddings:
            longest = model.config.max_position_embeddings
            raise CourseError(
                "{name} reads {longest} tokens at most, not {length}",
                fix="a shorter length",
                name=name,
                longest=longest,
                length=length,
            )
    timings = {name: {part: [] for part in (WHOLE, *PARTS)} for name in models}
    for model in models.values():
        _one_pass(model, 1, length, _parts(model))
    for _ in range(rounds):
        for name, model in models.items():
            for part, seconds in _one_pass(model, batch, length, _parts(model)).items():
                timings[name][part].append(seconds)
    return timings


def _one_pass(model: BertForMaskedLM, batch: int, length: int, watched: Sequence[Watched]) -> dict[str, float]:
    """Seconds of a forward pass, of the whole and of what is watched, modules of one name together."""
    draws = torch.Generator().manual_seed(0)
    ids = torch.randint(1, model.config.vocab_size, (batch, length), generator=draws).to(model.device)
    with _stamped(watched, model.device) as stamps:
        _wait(model.device)
        begin = _stamp(model.device)
        model(input_ids=ids)
        end = _stamp(model.device)
        _wait(model.device)
    seconds = {name: 0.0 for name, _ in watched} | {WHOLE: _between(begin, end)}
    for name, start, stop in stamps:
        seconds[name] += _between(start, stop)
    return seconds


@contextmanager
def _stamped(watched: Sequence[Watched], device: torch.device) -> Iterator[list[tuple[str, Stamp, Stamp]]]:
    """A list that fills with (name, start, end) while the modules run, one of them within another or not."""
    found: list[tuple[str, Stamp, Stamp]] = []
    begun: list[Stamp] = []
    with ExitStack() as undo:
        for name, module in watched:

            def before(*_: object) -> None:
                begun.append(_stamp(device))

            def after(*_: object, name: str = name) -> None:
                found.append((name, begun.pop(), _stamp(device)))

            undo.callback(module.register_forward_pre_hook(before).remove)
            undo.callback(module.register_forward_hook(after).remove)
        yield found


def _parts(model: BertForMaskedLM) -> list[Watched]:
    parts = [("embeddings", model.bert.embeddings), ("MLM head", model.cls)]
    for layer in model.bert.encoder.layer:
        parts += [("attention", layer.attention), ("FFN", layer.intermediate), ("FFN", layer.output)]
    return parts


def _clock() -> float:
    return time.thread_time() if torch.get_num_threads() == 1 else time.perf_counter()


def _stamp(device: torch.device) -> Stamp:
    if device.type != "cuda":
        return _clock()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _between(start: Stamp, stop: Stamp) -> float:
    return stop - start if isinstance(start, float) else start.elapsed_time(stop) / 1000


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


@torch.inference_mode()
def call_timings(calls: Mapping[str, Callable[[], object]], rounds: int = 5) -> dict[str, list[float]]:
    """The same for anything that can be called on a CPU, with the same clock: seconds of every round, by name."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            begin = _clock()
            call()
            if turn:
                seconds[name].append(_clock() - begin)
    return seconds


def round_seconds(rounds: Rounds, head: bool = False) -> list[float]:
    """Seconds of every round: the encoder alone, as a fine-tuned model runs it, or with the MLM head."""
    return [whole - (0 if head else last) for whole, last in zip(rounds[WHOLE], rounds["MLM head"], strict=True)]


def median_milliseconds(timings: Timings) -> dict[str, float]:
    """The median time of each encoder, in milliseconds."""
    return {name: 1000 * statistics.median(round_seconds(rounds)) for name, rounds in timings.items()}


def speed_ups(timings: Timings, reference: str, head: bool = False) -> dict[str, Spread]:
    """How many times as fast as the reference each model is, from the ratios within the rounds.

    Raises:
        CourseError: the reference was not timed.
    """
    if reference not in timings:
        raise CourseError(
            "{reference!r} was not timed", fix="one of {names}", reference=reference, names=", ".join(timings)
        )
    base = round_seconds(timings[reference], head)
    return {
        name: Spread.of([slow / fast for slow, fast in zip(base, round_seconds(rounds, head), strict=True)])
        for name, rounds in timings.items()
    }


def hollow_model(layers: int, longest: int = 512) -> BertForMaskedLM:
    """A BERT with as many layers, and next to nothing to compute in them: what its operators cost as such."""
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 1, "vocab_size": 8}
    return BertForMaskedLM(BertConfig(num_hidden_layers=layers, max_position_embeddings=longest, **sizes)).eval()


@torch.inference_mode()
def product_rate(
    rows: int, inner: int, columns: int, dtype: torch.dtype = torch.float32, device: str = "cpu", tries: int = 12
) -> float:
    """Operations per second of a matrix product [rows, inner] @ [inner, columns], the fastest of some tries."""
    left, right = (torch.randn(shape, device=device).to(dtype) for shape in ((rows, inner), (inner, columns)))
    best = float("inf")
    for _ in range(tries):
        _wait(left.device)
        begin = _stamp(left.device)
        left @ right
        end = _stamp(left.device)
        _wait(left.device)
        best = min(best, _between(begin, end))
    return 2 * rows * inner * columns / best


@torch.inference_mode()
def kind_seconds(model: BertForMaskedLM, batch: int, length: int, rounds: int = 5) -> dict[str, float]:
    """The median seconds of an encoder by kind of work; the clock is that of :func:`model_timings`.

    Returns:
        ``"matrix products"`` (the linear layers), ``"attention"`` (scores, softmax and mixing), ``"element by
        element"`` (LayerNorm and GELU), and ``"rest"`` (look-ups, sums, reshapes, the calls themselves).
    """
    watched = [("head", model.cls)]
    for layer in model.bert.encoder.layer:
        attention = layer.attention.self
        watched += [("attention", attention)]
        watched += [("projections", one) for one in (attention.query, attention.key, attention.value)]
        watched += [("products", one.dense) for one in (layer.attention.output, layer.intermediate, layer.output)]
        elements = (layer.attention.output.LayerNorm, layer.intermediate.intermediate_act_fn, layer.output.LayerNorm)
        watched += [("elements", one) for one in elements]
    _one_pass(model, 1, length, watched)
    passes = [_one_pass(model, batch, length, watched) for _ in range(rounds)]
    taken = {name: statistics.median(one[name] for one in passes) for name in passes[0]}
    kinds = {
        "matrix products": taken["projections"] + taken["products"],
        "attention": taken["attention"] - taken["projections"],
        "element by element": taken["elements"],
    }
    return kinds | {"rest": taken[WHOLE] - taken["head"] - sum(kinds.values())}


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use so many processors on a CPU until the block ends."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def hardware(device: torch.device | str = "cpu") -> str:
    """What computes here: the GPU's name, or the processor's with what it has for small number formats."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    extras = [flag for flag in ("avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8") if flag in flags]
    return " ".join([next(named, platform.processor() or platform.machine()), *extras])


# --- what benchmarks/speed.py left ----------------------------------------------------------------------------------


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


def speed_cases(file: str | Path) -> list[SpeedCase]:
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
        cases: what :func:`speed_cases` gives.
        head: with the MLM head, or the encoder alone.
    """
    blank = {N_("case"): N_("published"), N_("rounds"): "", N_("12 layers take"): ""}
    rows = [blank | {name: f"{one.speed_up:g}" for name, one in ARCHITECTURES.items() if name != TEACHER}]
    for case in cases:
        ups = speed_ups(case.family, TEACHER, head)
        row = {"case": f"{case.precision} · {case.batch} × {case.length}", "rounds": str(case.rounds)}
        row["12 layers take"] = f"{statistics.median(round_seconds(case.timings[TEACHER], head)):.3g} s"
        rows.append(row | {name: str(ups[name]) for name in ups if name != TEACHER})
    return rows
