"""Ten minutes on one GPU: all that the course says of GPUs, measured in one go.

    python benchmarks/gpu.py --minutes 8     # leaves benchmarks/results/gpu-NAME.json
    python benchmarks/gpu.py --tiny          # the same on any machine, small, in a minute or two: does it run?

Five parts, the most telling first, each in a process of its own that has its share of the minutes; the file is
written again whenever something is found, so that what breaks off leaves what there was. docs/full_size.md and
notebook 08 read it: `python benchmarks/gpu.py --docs` puts the figures into the page.

torch, transformers and this folder are enough to start. What trains needs pydantic and textbrewer, too (which imports
tensorboard); without LTP each Chinese token counts as a word. What is missing is said, and what is left out for it.
Where no registry is reached, carry the wheels: `pip download --no-deps textbrewer pydantic pydantic-core
annotated-types typing-inspection`, then `pip install --no-index --no-deps --target site *.whl` and PYTHONPATH=site.
"""

import argparse
import itertools
import json
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import torch
from full_size import (
    RESULTS,
    SIZES,
    Blocks,
    Engine,
    Stock,
    forget_peak,
    hardware,
    insight,
    operations,
    peak,
    peak_memory,
    random_model,
    recipe_of,
    release,
    text_blocks,
    wait,
)
from torch.autograd import DeviceType

from minirbt_helpers.models import ARCHITECTURES, load_tokenizer
from minirbt_helpers.workspace import atomic_file, project_root, renew_table, versions, write_json

STAGES = {"assistant": ("RoBERTa-wwm-ext", "RBT6"), "student": ("RBT6", "MiniRBT-H256")}  # teacher, learner
PUBLISHED_TOKENS = 100_000 * 4096 * 512  # of each stage
MICRO_BATCHES = (8, 32, 64, 128, 256, 512, 1024)
TRAINING = ("pydantic", "textbrewer", "tensorboard")  # what the engine and TextBrewer need
DATA = project_root() / "data_samples"
CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
LTP = all(find_spec(name) for name in ("ltp", "ltp_core", "ltp_extension"))
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Part:
    """A part of the measurement.

    Attributes:
        run: measures, and notes what it finds.
        share: of the minutes.
        needs: libraries beside torch and transformers.
    """

    run: Callable[["Plan"], None]
    share: float
    needs: tuple[str, ...] = ()


class Plan:
    """What a part's process knows: its sizes, its time, what was found before; and where to note what it finds.

    Args:
        given: ``tiny``, ``until`` (seconds since 1970) and ``found`` (the parts so far).
        notes: the file of the notes, one JSON object per line.
    """

    def __init__(self, given: dict, notes: Path):
        self.tiny, self.until, self.found, self.notes = given["tiny"], given["until"], given["found"], notes
        self.sizes = SIZES["tiny" if self.tiny else "full"]
        self.precision = "fp32"  # many a processor takes a hundred times as long for other formats
        if CUDA:
            self.precision = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.until - time.time()

    def note(self, *place: str, found: object) -> None:
        """Note a finding under a place such as ``"assistant", "engine bf16"``."""
        with open(self.notes, "a", encoding="utf-8") as stream:
            stream.write(json.dumps([place, found]) + "\n")
        print(" · ".join(place), json.dumps(found)[:300], flush=True)

    def attempt(self, *place: str, find: Callable[[], object], seconds: float = 0.0) -> bool:
        """Note what a measurement finds, or why there is none; the next ones come all the same.

        Args:
            seconds: the least it takes: with less left it is not begun.
        """
        if self.left < seconds and not self.tiny:
            self.note(*place, found={"left_out": f"{self.left:.0f} of {seconds:.0f} seconds left"})
            return False
        try:
            self.note(*place, found=find())
            return True
        except Exception as problem:
            traceback.print_exc()
            self.note(*place, found={"failed": f"{type(problem).__name__}: {problem}"[:300]})
            return False
        finally:
            release()


# --- 1: both stages, in this engine and in TextBrewer ---------------------------------------------------------------


def measure_training(plan: Plan) -> None:
    """Tokens a second, share of the peak and memory of both stages, in every variant."""
    form, best = plan.precision, {}
    peaks = {name: peak(DTYPES[name], DEVICE, plan.tiny) for name in ("fp32", form)}
    plan.note("peak_operations_per_second", found=peaks)
    for stage in STAGES:
        plan.note(stage, "operations_per_token", found=operations(*STAGES[stage], plan.sizes))
        plan.attempt(stage, f"engine {form}", find=partial(engine, plan, stage, peaks[form], best), seconds=15)
    if form != "fp16":
        find = partial(scaled, plan, 1 if plan.tiny else best.get("student", 8))
        plan.attempt("student", "engine fp16", find=find, seconds=10)
    for name, precision in ((f"{form} autocast", form), ("fp32", "fp32")):
        for stage in STAGES:
            find = partial(stock, plan, stage, precision, peaks[precision])
            plan.attempt(stage, f"TextBrewer {name}", find=find, seconds=15)
    for stage in reversed(STAGES):  # the smaller one first: compiling takes most of a minute
        if stage in best:
            find = partial(compiled, plan, stage, peaks[form], best[stage])
            plan.attempt(stage, f"engine {form} compiled", find=find, seconds=45)


def engine(plan: Plan, stage: str, peak: float, best: dict[str, int]) -> dict:
    """This engine at its best micro-batch, where a step's time goes, and where it waits for the GPU."""
    run = Engine(STAGES[stage][0], stage, plan.sizes, plan.precision)
    found = speed(run, plan, stage, *best_micro_batch(run, plan), peak)
    best[stage] = found["micro_batch"]
    return found | inside(run, best[stage])


def compiled(plan: Plan, stage: str, peak: float, micro_batch: int) -> dict:
    """The same with torch.compile, at the micro-batch that was the best without."""
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    torch.compiler.set_stance("default" if CUDA else "force_eager")  # a CPU takes minutes to compile
    run = Engine(STAGES[stage][0], stage, plan.sizes, plan.precision, compiled=True)
    begin = time.perf_counter()
    run.seconds(micro_batch, count=1)
    first = {"seconds_to_compile": time.perf_counter() - begin}
    found = speed(run, plan, stage, micro_batch, run.seconds(micro_batch, count=1), peak)
    graphs = {"graphs": counters["stats"]["unique_graphs"], "graph_breaks": dict(counters["graph_break"])}
    return first | found | graphs | inside(run, found["micro_batch"])


def scaled(plan: Plan, micro_batch: int) -> dict:
    """Some steps of stage two at fp16: does the scaler of the gradients make the GPU wait?"""
    run = Engine(STAGES["student"][0], "student", plan.sizes, "fp16")
    seconds = run.seconds(micro_batch, count=1 if plan.tiny else 3)
    tokens = micro_batch * plan.sizes["length"]
    return {"micro_batch": micro_batch, "tokens_per_second": tokens / seconds} | inside(run, micro_batch)


def stock(plan: Plan, stage: str, precision: str, peak: float) -> dict:
    """TextBrewer as it comes, at its own best micro-batch."""
    run = Stock(STAGES[stage][0], stage, plan.sizes, precision)
    return speed(run, plan, stage, *best_micro_batch(run, plan), peak)


def best_micro_batch(run: Engine | Stock, plan: Plan) -> tuple[int, float]:
    """The micro-batch of the most tokens a second, and the seconds of its step.

    Searched upwards as long as it fits, pays by two hundredths, and leaves time for other things.
    """
    best, step = 0, 0.0
    for micro_batch in (2, 4) if plan.tiny else MICRO_BATCHES:
        if best and 5 * step * micro_batch / best > plan.left / 5:
            break
        seconds = seconds_that_fit(run, micro_batch)
        if seconds is None or (best and micro_batch / seconds < 1.02 * best / step):
            break
        best, step = micro_batch, seconds
    if not best:
        raise MemoryError(f"not even a micro-batch of {micro_batch} fits")
    return best, step


def seconds_that_fit(run: Engine | Stock, micro_batch: int, parts: int = 1, count: int = 3) -> float | None:
    """Seconds of a step; None where the memory is too small for it."""
    try:
        return run.seconds(micro_batch, parts, count)
    except RuntimeError as problem:  # torch.OutOfMemoryError is one, and so is what cuBLAS says without memory
        if not isinstance(problem, torch.OutOfMemoryError) and "ALLOC_FAILED" not in str(problem):
            raise
    release()  # here, where the error and all it holds are gone
    return None


def speed(run: Engine | Stock, plan: Plan, stage: str, micro_batch: int, step: float, peak: float) -> dict:
    """What a step takes, and the hours of the published stage at that speed.

    Args:
        micro_batch: halved until it fits.
        step: about how many seconds a step of one micro-batch takes; where it is short, a step has four of them.
    """
    parts = 4 if step < 0.4 else 1
    forget_peak(DEVICE)
    while (seconds := seconds_that_fit(run, micro_batch, parts)) is None and micro_batch > 1:
        micro_batch //= 2
    if seconds is None:
        raise MemoryError("not even one block fits")
    rate = parts * micro_batch * plan.sizes["length"] / seconds
    work = operations(*STAGES[stage], plan.sizes) * rate
    found = {
        "micro_batch": micro_batch,
        "micro_batches_in_a_step": parts,
        "tokens_per_second": rate,
        "operations_per_second": work,
        "share_of_peak": work / peak,
        "peak_memory_gib": peak_memory(DEVICE),
    }
    return found | ({} if plan.tiny else {"published_stage_gpu_hours": PUBLISHED_TOKENS / rate / 3600})


def inside(run: Engine, micro_batch: int) -> dict:
    """What some steps do, their batches at hand: the waits for the GPU, and the kernels by their time."""
    from minirbt_helpers.models.attention import fast_on_cpu

    count = 3 if CUDA else 1
    stream, steps = run.stream(micro_batch, 1, 1 + 3 * count), run.steps()
    batches = list(stream)

    def take(first: int, last: int) -> None:
        for step, parts in batches[first:last]:
            steps.take(step, parts, 0.0)

    with torch.random.fork_rng(devices=[]), fast_on_cpu(run.ready.teacher, run.ready.student):
        take(0, 1)
        wait(DEVICE)
        waits = waits_in(lambda: take(1, 1 + count))
        wait(DEVICE)
        begin = time.perf_counter()
        take(1 + count, 1 + 2 * count)
        wait(DEVICE)
        seconds = time.perf_counter() - begin
        kernels = kernels_of(lambda: take(1 + 2 * count, 1 + 3 * count))
    return {"steps_watched": count, "waits": waits, "kernels": by_kind(kernels, seconds)}


def waits_in(work: Callable[[], None]) -> dict[str, int] | None:
    """How often the processor had to wait for the GPU, by place in the code; None without a GPU."""
    if not CUDA:
        work()
        return None
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    asked = [one for one in caught if "called a synchronizing" in str(one.message)]
    return dict(Counter(f"{Path(one.filename).name}:{one.lineno}" for one in asked))


KINDS = {  # of a GPU's kernels, by what their names hold; the first that fits
    "attention": r"flash|fmha|sdpa|attention",
    "matrix products": r"gemm|cutlass|nvjet|xmma|cublas|addmm|bmm|\bmm\b",
    "copies": r"memcpy|memset",
    "optimizer": r"adam|multi_tensor|lpnorm|foreach",
}


def kernels_of(work: Callable[[], None]) -> dict[str, float]:
    """Seconds of every kernel of a GPU, by name; on a CPU of every operator."""
    from torch.profiler import ProfilerActivity

    with torch.profiler.profile(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * CUDA) as seen:
        work()
        wait(DEVICE)
    if not CUDA:
        return {one.key: one.self_cpu_time_total / 1e6 for one in seen.key_averages()}
    kernels = (one for one in seen.key_averages() if one.device_type == DeviceType.CUDA and not is_span(one))
    return {one.key: one.self_device_time_total / 1e6 for one in kernels}


def is_span(event) -> bool:
    """Whether an entry of the profiler is no kernel but a name around several."""
    named = event.key.startswith(("Optimizer.", "ProfilerStep", "## Call", "Torch-Compiled"))
    return named or getattr(event, "is_user_annotation", False)


def by_kind(kernels: dict[str, float], seconds: float) -> dict:
    """Shares of the time in which nobody watched: by kind, and the ten kernels that take most."""
    kinds: Counter[str] = Counter()
    for name, own in kernels.items():
        kind = next((kind for kind, known in KINDS.items() if re.search(known, name, re.IGNORECASE)), "the rest")
        kinds[kind] += own / seconds
    most = sorted(kernels.items(), key=lambda pair: -pair[1])[:10]
    return {
        "busy": sum(kinds.values()),
        "kinds": dict(kinds.most_common()),
        "longest": {name[:120]: own / seconds for name, own in most},
    }


# --- 2: runs on real text, one of them killed -----------------------------------------------------------------------


def measure_runs(plan: Plan) -> None:
    """Both stages on real text, one after the other; the second once more, killed on the way and gone on with."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = short_recipe(plan, Path(folder))
        runs = Runs(recipe, plan.sizes)
        plan.note("settings", found=runs.settings())
        if plan.attempt("assistant", find=lambda: runs.report(runs.distil("assistant", "assistant"))):
            plan.attempt("student", find=lambda: runs.report(runs.distil("student", "student")), seconds=20)
        if runs.made("student"):
            plan.attempt("killed and gone on with", find=runs.resume, seconds=40)


def short_recipe(plan: Plan, folder: Path):
    """The published recipe for 200 steps, at a batch that is right for the time; held-out figures half-way."""
    steps, batch = (6, 2) if plan.tiny else (200, batch_that_ends(plan, 200))
    size = {"batch_size": batch, "micro_batch": batch, "steps": steps}
    looks = {"evaluate_every": steps // 2, "checkpoint_every": max(1, steps // 5)}
    return recipe_of(plan.sizes, precision=plan.precision, output_dir=str(folder), **size, **looks)


def batch_that_ends(plan: Plan, steps: int) -> int:
    """The largest power of two that both stages can take at once and that leaves half of the time to other things."""
    training = plan.found.get("training", {})
    speeds = [training.get(stage, {}).get(f"engine {plan.precision}", {}) for stage in STAGES]
    most = min(speed.get("micro_batch", 8) for speed in speeds)
    first, second = (1 / speed.get("tokens_per_second", 20_000) for speed in speeds)
    block = plan.sizes["length"] * (first + 2.5 * second)  # seconds; stage two runs twice, and a part of it again
    fits = 0.5 * plan.left / (steps * block)
    return 2 ** int(math.log2(max(1, min(most, fits))))


class Runs:
    """Real runs of :func:`minirbt_helpers.training.distill` on the sample's text, with kernels that repeat bit for bit.

    Args:
        recipe: their settings; what they make comes into its folder.
        sizes: of :data:`SIZES`.
        doomed: kill this process in the middle of a run.
    """

    def __init__(self, recipe, sizes: dict, doomed: bool = False):
        self.recipe, self.doomed, self.folder = recipe, doomed, Path(recipe.output_dir)
        self.words = load_tokenizer(DATA / "models" / "teacher")
        self.sizes = sizes | {"vocabulary": max(sizes["vocabulary"], len(self.words))}
        self.blocks, self.heldout = sample_blocks(self.words, recipe.length, 64 if sizes["scale"] == "sample" else None)
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
        torch.use_deterministic_algorithms(True)

    def settings(self) -> dict:
        """What the runs have in common."""
        asked = ("steps", "batch_size", "length", "precision")
        found = {name: getattr(self.recipe, name) for name in asked}
        return found | {"blocks": len(self.blocks), "words": "LTP's" if LTP else "single tokens"}

    def made(self, name: str) -> bool:
        """Whether a run has ended well."""
        return (self.folder / name).is_dir()

    def distil(self, stage: str, name: str):
        """One run, from the beginning or from where it was left."""
        from minirbt_helpers.training import distill

        teacher = random_model("RoBERTa-wwm-ext", self.sizes) if stage == "assistant" else self.folder / "assistant"
        return distill(
            self.recipe,
            stage,
            blocks=self.blocks,
            heldout=self.heldout,
            teacher=teacher,
            tokenizer=self.words,
            output=self.folder / name,
            progress=False,
            watch=self.watch,
        )

    def watch(self, rows: list[dict]) -> None:
        """Nothing to do while it runs, but for the one that is to be killed."""
        if self.doomed and rows[-1]["step"] >= self.recipe.steps // 2:
            os.kill(os.getpid(), signal.SIGKILL)

    def report(self, done) -> dict:
        """First and last losses and held-out figures of a run, and its speed."""
        looks = [row for row in done.metrics if "top1" in row]
        rows = [row for row in done.metrics if "loss" in row]
        return {
            "tokens_per_second": statistics.median(row["tokens_per_second"] for row in rows),
            "loss": [rows[0]["loss"], rows[-1]["loss"]],
            "held_out_kd": [looks[0]["kd_loss"], looks[-1]["kd_loss"]],
            "held_out_top1": [looks[0]["top1"], looks[-1]["top1"]],
        }

    def resume(self) -> dict:
        """Stage two again, in a process that is killed in the middle; gone on with here, it must end as the other."""
        from safetensors.torch import load_file

        write_json(self.folder / "doomed.json", {"sizes": self.sizes, "recipe": self.recipe.model_dump()})
        killed = subprocess.run([sys.executable, __file__, "--doomed", str(self.folder)])
        left = sorted(path.name for path in (self.folder / ".again.working").glob("step-*"))
        self.distil("student", "again")
        one, other = (load_file(self.folder / name / "model.safetensors") for name in ("student", "again"))
        return {
            "exit_code": killed.returncode,
            "went_on_from": left[-1] if left else "the beginning",
            "same_weights": all(torch.equal(one[name], other[name]) for name in one),
            "largest_difference": max(float((one[name] - other[name]).abs().max()) for name in one),
        }


def be_killed(folder: Path) -> None:
    """In a process of its own: the run that :meth:`Runs.resume` has asked for, as far as it comes."""
    from minirbt_helpers.recipe import Recipe

    asked = json.loads((folder / "doomed.json").read_text(encoding="utf-8"))
    Runs(Recipe(**asked["recipe"]), asked["sizes"], doomed=True).distil("student", "again")


@cache
def sample_segmenter():
    """The sample's LTP segmenter, if LTP is installed."""
    from minirbt_helpers.text import load_segmenter

    return load_segmenter(DATA / "models" / "segmenter") if LTP else None


@cache
def sample_blocks(words, length: int, most: int | None = None) -> tuple[Blocks, Blocks]:
    """The sample's text in blocks, to train on and held out; so many of each at most."""
    both = (DATA / "corpus" / name for name in ("train", "heldout"))
    return tuple(text_blocks(folder, words, length, sample_segmenter()).first(most) for folder in both)


# --- 3: the family --------------------------------------------------------------------------------------------------


def measure_family(plan: Plan) -> None:
    """How long an encoder takes for one text and for 32, beside the teacher's."""
    room, dtype = insight(), DTYPES[plan.precision]
    models = {name: random_model(name, plan.sizes).eval().to(DEVICE, dtype) for name in ARCHITECTURES}
    for batch, length in itertools.product((1, 32), (32,) if plan.tiny else (128, 512)):
        rounds = 2 if plan.tiny else 20
        timings = room.model_timings(models, batch, length, rounds)
        faster = room.speed_ups(timings, "RoBERTa-wwm-ext")
        found = {
            name: {"milliseconds": one, "texts_per_second": 1e3 * batch / one, "times_teacher": faster[name].median}
            for name, one in room.median_milliseconds(timings).items()
        }
        plan.note(f"batch {batch}, length {length}, {plan.precision}", found=found)


# --- 4: looking inside ----------------------------------------------------------------------------------------------


def measure_insight(plan: Plan) -> None:
    """Seconds of what notebook 06 does with teacher and student, at full size: reading on the GPU, the rest here."""
    from minirbt_helpers.text import read_lines, text_files

    room, words = insight(), load_tokenizer(DATA / "models" / "teacher")
    lines = [line for file in text_files(DATA / "corpus" / "heldout") for line in read_lines(file)]
    sentences = room.sentences(lines, words, sample_segmenter())[: 8 if plan.tiny else None]
    sizes = plan.sizes | {"vocabulary": max(plan.sizes["vocabulary"], len(words))}
    models = {name: random_model(name, sizes).eval().to(DEVICE) for name in ("RoBERTa-wwm-ext", "MiniRBT-H256")}
    taken: dict[str, float] = {}

    def timed(name: str, work: Callable[[], object]) -> object:
        begin = time.perf_counter()
        found = work()  # on the processor at its end
        taken[name] = time.perf_counter() - begin
        return found

    teacher, student = (
        timed(f"{name} reads", partial(room.readings, model, sentences, name)) for name, model in models.items()
    )
    timed("CKA of all pairs of states", lambda: room.cka_matrix(teacher, student))
    distances = timed("distances of all pairs of heads", lambda: room.head_distances(teacher, student))
    timed("heads paired", lambda: room.head_matches(distances))
    timed("attention within words", lambda: room.word_binding(teacher)) if LTP else None
    plan.note("sentences", found=len(sentences))
    plan.note("seconds", found=taken)


# --- 5: a teacher from nothing --------------------------------------------------------------------------------------


def measure_pretraining(plan: Plan) -> None:
    """The sample's teacher, grown for two minutes on the sample's text: tokens a second, held-out figures."""
    from minirbt_helpers.recipe import load_recipe
    from minirbt_helpers.training import grow, held_out

    words = load_tokenizer(DATA / "models" / "teacher")
    minutes = (
        0.01 if plan.tiny else max(0.2, min(2.0, (plan.left - 20) / 60))
    )  # the rest is for starts, checks and the end
    batch = 4 if plan.tiny else 256
    with tempfile.TemporaryDirectory() as folder:
        settings = {"batch_size": batch, "micro_batch": batch, "precision": plan.precision, "output_dir": folder}
        rare = {"evaluate_every": 10**6, "checkpoint_every": 10**6, "workers": 4 if CUDA else 0}
        recipe = load_recipe("sample", **settings, **rare)
        texts = partial(sample_blocks, words, most=64 if plan.tiny else None)
        done = grow(recipe, ARCHITECTURES["RoBERTa-wwm-ext"], texts=texts, tokenizer=words, minutes=minutes,
                    output=Path(folder) / "teacher", progress=False)  # fmt: skip
        for phase in sorted({row["phase"] for row in done.metrics}):
            rows = [row for row in done.metrics if row["phase"] == phase and "loss" in row]
            speed = statistics.median(row["tokens_per_second"] for row in rows)
            plan.note(f"phase {phase}", found={"steps": len(rows), "tokens_per_second": speed, "mlm": rows[-1]["mlm"]})
        heldout = texts(recipe.length)[1]
        for unit in ("word", "token"):
            plan.note(f"held out, {unit}s", found=held_out(done.model, heldout, words, unit=unit, limit=None))
        plan.note("settings", found={"minutes": minutes, "batch_size": batch, "precision": plan.precision})


# --- all of them ----------------------------------------------------------------------------------------------------

PARTS = {
    "training": Part(measure_training, 40, TRAINING),
    "runs": Part(measure_runs, 23, TRAINING),
    "family": Part(measure_family, 7),
    "insight": Part(measure_insight, 5, ("scipy",)),
    "pretraining": Part(measure_pretraining, 25, TRAINING),
}


class Report:
    """The result file, written again whenever something is found.

    Args:
        file: where it lies.
        head: what it begins with.
    """

    def __init__(self, file: Path, head: dict):
        self.file, self.content = file, head | {"left_out": {}, "parts": {}}

    def add(self, part: str, notes: Path) -> None:
        """Take in what a part has noted so far."""
        found: dict = {}
        for line in notes.read_text(encoding="utf-8").splitlines():
            (*path, last), value = json.loads(line)
            place = found
            for name in path:
                place = place.setdefault(name, {})
            place[last] = value
        if found and found != self.content["parts"].get(part):
            self.content["parts"][part] = found
            self.write()

    def leave_out(self, part: str, reason: str) -> None:
        """Say why a part, or the rest of it, is missing."""
        print(f"{part}: {reason}", flush=True)
        self.content["left_out"][part] = reason
        self.write()

    def write(self) -> None:
        """Keep all there is."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(self.file) as stream:
            stream.write(json.dumps(self.content, indent=2) + "\n")


def run_part(name: str, report: Report, tiny: bool, seconds: float) -> None:
    """Run a part in a process of its own for so many seconds at most."""
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes.jsonl"
        notes.touch()
        plan = {"tiny": tiny, "until": time.time() + seconds - 3, "found": report.content["parts"]}
        write_json(Path(folder) / "plan.json", plan)
        part = subprocess.Popen([sys.executable, __file__, "--part", name, "--folder", folder], start_new_session=True)
        try:
            while part.poll() is None and time.time() < plan["until"] + 3:
                time.sleep(0.5)
                report.add(name, notes)
        finally:
            if part.poll() is None:
                os.killpg(part.pid, signal.SIGKILL)
                report.leave_out(name, f"stopped after {seconds:.0f} seconds")
        report.add(name, notes)
        if part.wait() > 0:
            report.leave_out(name, f"ended with exit code {part.returncode}")


def machine() -> dict:
    """What is measured here, and with what."""
    found = {"hardware": hardware(), "processors": os.cpu_count(), "versions": versions()}
    if CUDA:
        about = torch.cuda.get_device_properties(0)
        found |= {"gpu_memory_gib": about.total_memory / 2**30, "compute_capability": f"{about.major}.{about.minor}"}
        found["versions"] |= {"cuda": torch.version.cuda}
    return found


def main() -> None:
    """Measure part by part, and keep what is found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8.0, help="for all parts together")
    parser.add_argument("--tiny", action="store_true", help="small models, few steps, no limit, any machine")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the folder of the result")
    parser.add_argument("--docs", action="store_true", help="only put what was measured before into docs/full_size.md")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--doomed", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.doomed:
        be_killed(options.doomed)
    elif options.part:
        plan = json.loads((options.folder / "plan.json").read_text(encoding="utf-8"))
        PARTS[options.part].run(Plan(plan, options.folder / "notes.jsonl"))
    elif options.docs:
        update_docs(project_root() / "docs" / "full_size.md")
    elif not (CUDA or options.tiny):
        sys.exit("no GPU here, or a torch without CUDA: --tiny runs the same on this machine, small")
    else:
        measure_all(options.minutes, options.tiny, options.output)


def measure_all(minutes: float, tiny: bool, output: Path) -> Path:
    """All parts, each with its share of the minutes that are left."""
    end = time.time() + 60 * minutes
    name = "tiny" if tiny else re.sub(r"[^a-z0-9]+", "-", torch.cuda.get_device_name().lower()).strip("-")
    head = {"command": " ".join(["python benchmarks/gpu.py", *sys.argv[1:]]), "started": now(), **machine()}
    report = Report(output / f"gpu-{name}.json", head)
    for name, part in PARTS.items():
        ahead = sum(PARTS[other].share for other in list(PARTS)[list(PARTS).index(name) :])
        seconds = 600.0 if tiny else (end - time.time()) * part.share / ahead
        missing = [library for library in part.needs if find_spec(library) is None]
        if missing:
            report.leave_out(name, f"left out: {', '.join(missing)} not installed (pip install {' '.join(missing)})")
        elif seconds < 15:
            report.leave_out(name, "left out: no time left")
        else:
            run_part(name, report, tiny, seconds)
    report.content["finished"] = now()
    report.write()
    print(f"kept in {report.file}")
    return report.file


def update_docs(page: Path) -> None:
    """Put the table of hours as it is now, measured or assumed, in the place of the one that stands there."""
    from minirbt_helpers.training import hours_table, machines

    renew_table(page, hours_table(machines()))


def now() -> str:
    """The time, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


if __name__ == "__main__":
    main()
