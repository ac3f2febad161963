"""What the benchmarks of full size share: models, blocks, this engine and TextBrewer as it comes, and what they take.

Everything is made here, so that nothing has to be fetched: random weights (speed does not depend on them), and
random tokens, or those of a text, in memory.
"""

import gc
import itertools
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BertForMaskedLM, BertTokenizer, PreTrainedTokenizerBase

from minirbt_helpers.models import ARCHITECTURES
from minirbt_helpers.models.architectures import FULL_VOCABULARY
from minirbt_helpers.workspace import PACKAGE

ROOM = "minirbt_helpers.insight"
MEASURING = ("measured.speed", "measured.reading", "measured.hidden_states", "measured.attention")
RESULTS = Path(__file__).parent / "results"
SIZES = {
    "full": {"scale": "full", "vocabulary": FULL_VOCABULARY, "length": 512},
    "tiny": {"scale": "sample", "vocabulary": 500, "length": 32},
}
WARM_UP = 2  # steps that do not count
Columns = dict[str, NDArray]


# --- what is read ---------------------------------------------------------------------------------------------------


class Blocks:
    """Blocks in memory: as much of a dataset as the engine asks for, without the library.

    Args:
        columns: ``input_ids`` and ``continues``, [blocks, length] each.
        arrays: hand rows out as arrays, and not as lists.
    """

    def __init__(self, columns: Columns, arrays: bool = False):
        self.columns, self.arrays = columns, arrays

    def __len__(self) -> int:
        return len(self.columns["input_ids"])

    def __getitem__(self, places: int | slice | list[int]) -> dict:
        rows = {name: column[places] for name, column in self.columns.items()}
        return rows if self.arrays else {name: row.tolist() for name, row in rows.items()}

    def first(self, most: int | None) -> "Blocks":
        """The first blocks; None: all."""
        return Blocks({name: column[:most] for name, column in self.columns.items()}, self.arrays)

    def with_format(self, form: str) -> "Blocks":
        """The same blocks, with rows as arrays."""
        return Blocks(self.columns, arrays=form == "numpy")


def random_blocks(count: int, length: int, entries: int) -> Blocks:
    """Blocks of random tokens, in words of one or two."""
    draws = np.random.default_rng(0)
    ids = draws.integers(104, entries, (count, length), np.uint16)
    ids[:, 0], ids[:, -1] = 101, 102
    return Blocks({"input_ids": ids, "continues": draws.random((count, length)) < 0.4})


def text_blocks(folder: Path, words: PreTrainedTokenizerBase, length: int, segmenter: Callable | None) -> Blocks:
    """The whole blocks of a text; without a segmenter each Chinese token is a word of its own."""
    from minirbt_helpers.text import read_lines, text_files
    from minirbt_helpers.text.corpus import Batch, BlockText, Packer

    lines = [line for file in text_files(folder) for line in read_lines(file)]
    rows = None if segmenter else [[] for _ in lines]
    ids, continues = Packer(words, length).add(BlockText(words, segmenter)(Batch(lines, rows)))
    return Blocks({"input_ids": ids, "continues": continues})


def tokenizer(entries: int) -> BertTokenizer:
    """A tokenizer with as many entries as the published one: BERT's special tokens, then characters."""
    special = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
    rest = (number for number in range(entries) if number not in special.values())
    return BertTokenizer(vocab=special | {chr(0x4E00 + number): number for number in rest})


# --- what trains ----------------------------------------------------------------------------------------------------


def random_model(name: str, sizes: dict, **settings: object) -> BertForMaskedLM:
    """A member of the family with random weights, of the sizes of a case."""
    longest = max(512, sizes["length"])
    return ARCHITECTURES[name].random_model(
        sizes["scale"], sizes["vocabulary"], max_position_embeddings=longest, **settings
    )


def recipe_of(sizes: dict, **settings: object):
    """The published recipe at the sizes of a case."""
    from minirbt_helpers.recipe import DEPARTURES, SCALES, load_recipe

    published = {name: SCALES["full"][name] for name in DEPARTURES}
    workers = 4 if torch.cuda.is_available() else 0
    return load_recipe(sizes["scale"], **{**published, "length": sizes["length"], "workers": workers, **settings})


class Engine:
    """A stage of distillation in this engine, ready to take steps of any size.

    Args:
        teacher: its architecture.
        stage: of :data:`minirbt_helpers.training.STAGES`.
        sizes: of :data:`SIZES`.
        precision: number format.
        compiled: with torch.compile.
    """

    def __init__(self, teacher: str, stage: str, sizes: dict, precision: str, compiled: bool = False):
        from minirbt_helpers.training.distillation import prepare
        from minirbt_helpers.training.machine import keep_freed_memory

        self.sizes, self.recipe = sizes, recipe_of(sizes, precision=precision, compile=compiled)
        words = tokenizer(sizes["vocabulary"])
        self.ready = prepare(self.recipe, stage, random_model(teacher, sizes), tokenizer=words)
        if not torch.cuda.is_available():
            keep_freed_memory()

    def seconds(self, micro_batch: int, parts: int = 1, count: int = 5) -> float:
        """Seconds of a step of so many micro-batches: the mean of ``count``, after some that warm up."""
        from minirbt_helpers.models.attention import fast_on_cpu
        from minirbt_helpers.training.machine import timed

        stream, steps = self.stream(micro_batch, parts, WARM_UP + count), self.steps()

        def take(many: int) -> None:
            for step, batches in itertools.islice(stream, many):
                steps.take(step, batches, self.recipe.learning_rate / 10)

        with torch.random.fork_rng(devices=[]), fast_on_cpu(self.ready.teacher, self.ready.student):
            take(WARM_UP)
            return timed(self.ready.world, lambda: take(count)) / count

    def stream(self, micro_batch: int, parts: int, count: int) -> Iterator[tuple[int, list[dict]]]:
        """So many steps' micro-batches, through the loop's own loader, numbered from 1."""
        from minirbt_helpers.training.loop import shared_batches

        size = {"batch_size": parts * micro_batch, "micro_batch": micro_batch, "steps": count}
        recipe = self.recipe.model_copy(update=size)
        blocks = random_blocks(min(512, parts * micro_batch), self.sizes["length"], self.sizes["vocabulary"])
        return enumerate(shared_batches(recipe, self.ready.batches(recipe, blocks), self.ready.world, 0), 1)

    def steps(self):
        """The loop's own steps, with a new optimiser."""
        from minirbt_helpers.training.loop import Steps

        for weight in self.ready.pupil.parameters():
            weight.grad = None  # of a step that broke off for want of memory
        return Steps(self.recipe, self.ready.pupil, self.ready.world)


class Stock:
    """The same stage in TextBrewer's own loop, set up as the published code does; arguments as :class:`Engine`.

    Batches are masked before the clock starts, and nothing is logged, which favours it.
    """

    def __init__(self, teacher: str, stage: str, sizes: dict, precision: str):
        from minirbt_helpers.models import take_layers
        from minirbt_helpers.training import STAGES
        from minirbt_helpers.training.machine import join_world

        self.sizes, self.recipe, self.device = sizes, recipe_of(sizes, precision=precision), join_world().device
        self.teacher = random_model(teacher, sizes).to(self.device)
        name = getattr(self.recipe, STAGES[stage].student)
        depth = ARCHITECTURES[name].shape(sizes["scale"]).layers
        first = STAGES[stage].start == "first layers"
        student = take_layers(self.teacher, range(depth)) if first else random_model(name, sizes)
        self.student = student.to(self.device)

    def seconds(self, micro_batch: int, parts: int = 1, count: int = 5) -> float:
        """Seconds of a step of so many micro-batches: the mean of ``count``, after some that warm up."""
        from minirbt_helpers.training.machine import autocast

        stamps: list[float] = []
        with tempfile.TemporaryDirectory() as folder, autocast(self.recipe, self.device):
            distiller = self._distiller(folder, parts, WARM_UP + count + 1)
            with distiller:
                distiller.train(
                    torch.optim.AdamW(self._groups(), lr=self.recipe.learning_rate / 10),
                    Stamped(self._batches(micro_batch), stamps, self.device),
                    num_steps=WARM_UP + count + 1,
                    max_grad_norm=self.recipe.clip,
                    output_hidden_states=True,
                )
        return (stamps[(WARM_UP + count) * parts] - stamps[WARM_UP * parts]) / count

    def _distiller(self, folder: str, parts: int, steps: int):
        from minirbt_helpers.training import hidden_matches

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            from textbrewer import DistillationConfig, GeneralDistiller, TrainingConfig

        def adapt(batch: dict, outputs) -> dict:
            seen = {"logits": outputs.logits, "hidden": outputs.hidden_states, "losses": outputs.loss}
            return seen | {"logits_mask": batch["labels"] != -100}

        matches = hidden_matches(self.teacher.config, self.student.config, self.recipe)
        training = TrainingConfig(parts, device=self.device, output_dir=folder, ckpt_steps=10 * steps)
        config = DistillationConfig(temperature=self.recipe.temperature, intermediate_matches=matches)
        return GeneralDistiller(training, config, self.teacher, self.student, adapt, adapt)

    def _groups(self) -> list[dict]:
        plain, decayed = [], []
        for name, weight in self.student.named_parameters():
            (plain if "bias" in name or "LayerNorm" in name else decayed).append(weight)
        return [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]

    def _batches(self, micro_batch: int) -> list[dict]:
        from minirbt_helpers.text import WholeWordCollator

        length, entries = self.sizes["length"], self.sizes["vocabulary"]
        collator = WholeWordCollator(tokenizer(entries))
        blocks = random_blocks(micro_batch, length, entries)
        return [collator(blocks.columns, seed) for seed in (1, 2)]


class Stamped:
    """Batches over and over, and the time at which each was asked for."""

    def __init__(self, batches: list[dict], stamps: list[float], device: torch.device):
        self.batches, self.stamps, self.device = batches, stamps, device

    def __iter__(self) -> Iterator[dict]:
        for batch in self.batches:
            wait(self.device)
            self.stamps.append(time.perf_counter())
            yield batch


# --- what it takes --------------------------------------------------------------------------------------------------


def operations(teacher: str, student: str, sizes: dict) -> float:
    """Operations of a token's distillation in matrix products."""
    from minirbt_helpers.training.costs import distillation_operations

    configs = (ARCHITECTURES[name].config(sizes["scale"], sizes["vocabulary"]) for name in (teacher, student))
    return distillation_operations(*configs, sizes["length"])


def peak(dtype: torch.dtype, device: torch.device, tiny: bool = False) -> float:
    """Operations per second of the fastest of several matrix products of this format."""
    large = (
        ((8192, 8192, 8192), (16384, 8192, 8192)) if device.type == "cuda" else ((2048, 2048, 2048), (2048, 768, 3072))
    )
    shapes = ((128, 128, 128),) if tiny else large
    return max(insight().product_rate(*shape, dtype, str(device)) for shape in shapes)


def wait(device: torch.device) -> None:
    """Go on when a GPU has done all it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(device: torch.device) -> float:
    """The most memory that was in use since :func:`forget_peak`, in GiB: a GPU's, or the process's."""
    return (torch.cuda.max_memory_allocated(device) if device.type == "cuda" else resident_peak()) / 2**30


def resident_peak() -> int:
    """The most memory this process had resident, in bytes (``ru_maxrss`` would count its parent's); 0: not known."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def forget_peak(device: torch.device) -> None:
    """Count the most memory in use from now on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")


def release() -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@cache
def insight() -> ModuleType:
    """The room :mod:`minirbt_helpers.insight`; where what draws is not installed, its measuring half alone."""
    with suppress(ModuleNotFoundError):
        return import_module(ROOM)
    room = ModuleType(ROOM)
    room.__path__ = [str(PACKAGE / "insight")]  # a room without its door, which brings the pictures
    sys.modules[ROOM] = room
    for name in MEASURING:
        with suppress(ModuleNotFoundError):  # scipy, say: its part is left out
            vars(room).update(vars(import_module(f"{ROOM}.{name}")))
    return room


def hardware() -> str:
    """What this machine computes with."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} cores of {insight().hardware()}"


def last_line(*arguments: str) -> str:
    """What a Python program prints last, run in a process of its own.

    Raises:
        RuntimeError: it failed; with the last line of its complaint.
    """
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1][:200])
    return done.stdout.splitlines()[-1]
