"""The published protocol: every model on every task, several settings and seeds, the best mean counts (notebook 05).

Source: README of iflytek/MiniRBT: the learning rate by model size, 2, 3, 5 and 10 epochs, each at least three
times with other seeds, the best mean on the dev rows reported.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from ..errors import CourseError
from ..lines import read_lines
from ..recipe import Recipe
from ..workspace import clear_disk_errors, progress_bar
from .finetuned import Finetuned
from .finetuning import finetune
from .registry import TASKS, Task, find_task

EPOCHS = (2, 3, 5, 10)  # published
SEEDS = (0, 1, 2)
Models = Mapping[str, tuple[BertForMaskedLM, PreTrainedTokenizerBase]]
Rates = Sequence[float] | Mapping[str, Sequence[float]]


def sweep(
    recipe: Recipe,
    models: Models,
    file: str | Path,
    *,
    tasks: Iterable[str | Task] = tuple(TASKS),
    rates: Rates | None = None,
    epochs: Sequence[int] = EPOCHS,
    seeds: Sequence[int] = SEEDS,
    teacher: str | None = None,
    progress: bool = True,
) -> list[dict]:
    """Fine-tune every model on every task with every setting, and keep a JSON line per run.

    A run that stands in the file already (same weights, rows and settings, and the same teacher trained alike) is
    not repeated, so a sweep that was stopped goes on where it was, and a larger one adds to a smaller one. All files
    of all tasks are read before the first run.

    Args:
        recipe: task folder, length, batch, rows.
        models: by name, each with its tokenizer.
        file: JSON lines; made, or gone on with.
        tasks: names, or tasks.
        rates: learning rates to try, for all models or by name; None: the published one for each model's depth.
        epochs, seeds: to try.
        teacher: the model that, fine-tuned with the first of its rates and the most epochs, teaches all others
            on every task; None: no teacher.
        progress: show a progress bar over all runs.

    Returns:
        The rows of this sweep, those found in the file among them.

    Raises:
        CourseError: an unknown model or task, a task that cannot be read, a broken line in the file, or what
            :func:`~minirbt_helpers.tasks.finetuning.finetune` raises; what was finished before stays in the file.
    """
    tasks = [task if isinstance(task, Task) else find_task(task) for task in tasks]
    for name in [*([teacher] if teacher else []), *(rates if isinstance(rates, Mapping) else [])]:
        if name not in models:
            raise CourseError(f"no model {name!r} in this sweep", fix=f"one of {', '.join(models)}")
    weights = {name: _digest(model) for name, (model, _) in models.items()}
    data = {task.name: _rows_digest(recipe, task) for task in tasks}
    done = {_identity(row): row for row in read_results(file)}
    _drop_unfinished_line(Path(file))

    def rates_of(name: str, task: Task) -> Sequence[float]:
        given = rates.get(name) if isinstance(rates, Mapping) else rates
        return given or (recipe.task_learning_rate or task.learning_rate(models[name][0].config.num_hidden_layers),)

    def lesson(task: Task) -> dict:
        return {"learning_rate": rates_of(teacher, task)[0], "epochs": max(epochs), "seed": recipe.seed}

    @cache  # trained when the first student asks for it
    def taught(task_name: str) -> Finetuned:
        task = next(one for one in tasks if one.name == task_name)
        settings = lesson(task)
        run = recipe.model_copy(update={"epochs": settings.pop("epochs")})
        return finetune(run, task, *models[teacher], **settings, every_epoch=False, progress=False)

    trials = [
        (name, task, rate, count, seed)
        for task in tasks
        for name in models
        if name != teacher
        for rate in rates_of(name, task)
        for count in epochs
        for seed in seeds
    ]
    found = []
    for name, task, rate, count, seed in (bar := progress_bar(trials, show=progress, unit="run")):
        bar.set_description(f"{name} on {task.name}")
        row = {"model": name, "task": task.name, "teacher": teacher or "", "learning_rate": rate, "epochs": count}
        row |= {"seed": seed, "batch": recipe.task_batch_size, "length": recipe.task_length}
        row |= {"attention_dropout": recipe.task_attention_dropout}
        row |= {"weights": weights[name], "data": data[task.name]}
        row |= {"rest": _rest(recipe, {"weights": weights[teacher]} | lesson(task) if teacher else None)}
        if _identity(row) not in done:
            begin = time.monotonic()
            settings = {"learning_rate": rate, "seed": seed, "every_epoch": False, "progress": False}
            run = recipe.model_copy(update={"epochs": count})
            result = finetune(run, task, *models[name], teacher=taught(task.name) if teacher else None, **settings)
            row |= result.scores | {"rows": result.rows, "seconds": round(time.monotonic() - begin, 1)}
            row |= {"finished": datetime.now(UTC).isoformat(timespec="seconds")}
            _append(Path(file), row)
            done[_identity(row)] = row
        found.append(done[_identity(row)])
    return found


def read_results(file: str | Path) -> list[dict]:
    """The rows of a sweep's file; none if there is no file yet, and none for a last line that was cut off.

    Raises:
        CourseError: a line before the last that is no result (file and line named).
    """
    if not Path(file).exists():
        return []
    rows, lines = [], list(read_lines(file))
    whole = Path(file).read_bytes().endswith(b"\n")
    for number, line in enumerate(lines if whole else lines[:-1], 1):
        try:
            row = json.loads(line)
            _identity(row)
            rows.append(row)
        except (ValueError, KeyError, TypeError) as problem:
            raise CourseError(
                f"not a result of a sweep ({type(problem).__name__}: {problem})",
                where=f"{file}, line {number}",
                fix="mend or remove the line, or name another file",
            ) from None
    return rows


def _identity(row: Mapping[str, object]) -> tuple:
    """What makes a run this one and no other."""
    names = ("task", "teacher", "learning_rate", "epochs", "seed", "batch", "length", "attention_dropout")
    names += ("weights", "data", "rest")
    return tuple(row[name] for name in names)


def _append(file: Path, row: dict) -> None:
    with clear_disk_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "ab") as stream:
            stream.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())


def _drop_unfinished_line(file: Path) -> None:
    if file.exists():
        content = file.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            with clear_disk_errors(file), open(file, "r+b") as stream:
                stream.truncate(len(whole))


def _digest(model: BertForMaskedLM) -> str:
    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        digest.update(name.encode() + weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _rest(recipe: Recipe, lesson: dict | None) -> str:
    """A digest of what else a run depends on: fixed settings, and how its teacher was made and is listened to."""
    names = ["warmup", "weight_decay"]
    if lesson:
        names += ["temperature", "temperature_squared", "kd_weight", "hard_label_weight"]
    settings = json.dumps([{name: getattr(recipe, name) for name in names}, lesson], sort_keys=True)
    return hashlib.sha256(settings.encode()).hexdigest()[:12]


def _rows_digest(recipe: Recipe, task: Task) -> str:
    train, dev = (task.load(recipe.task_dir, split) for split in ("train", "dev"))
    used = train.select(range(min(len(train), recipe.task_rows or len(train))))
    rows = json.dumps([used.to_list(), dev.to_list()], ensure_ascii=False)
    return hashlib.sha256(rows.encode()).hexdigest()[:12]
