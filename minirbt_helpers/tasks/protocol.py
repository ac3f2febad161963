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
from functools import lru_cache
from pathlib import Path

from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from ..errors import CourseError
from ..lines import read_lines
from ..recipe import Recipe
from ..workspace import clear_disk_errors, progress_bar
from .finetuned import Finetuned
from .finetuning import check_fit, check_vocabularies, finetune
from .registry import TASKS, Task, find_task
from .report import majority_of

EPOCHS = (2, 3, 5, 10)  # published
SEEDS = (0, 1, 2)
ROW = b'{"model": '  # how a row of a results file begins
SHAPING = ("num_attention_heads", "hidden_act", "hidden_dropout_prob", "classifier_dropout", "layer_norm_eps")
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
        The rows of this sweep, those found in the file among them, under the names given here.

    Raises:
        CourseError: an unknown model or task, a model or tokenizer that does not fit, a setting that is none, a task
            that cannot be read, a file that holds something else or cannot be written, all before the first run;
            or what :func:`~minirbt_helpers.tasks.finetuning.finetune` raises. What was finished stays in the file.
    """
    tasks = [task if isinstance(task, Task) else find_task(task) for task in tasks]
    _check(recipe, models, rates, epochs, teacher)
    file = Path(file)
    _mend_last_line(file)
    done = {identity(row): row for row in read_results(file)}
    weights = {name: _digest(*model) for name, model in models.items()}
    data = {task.name: _read(recipe, task) for task in tasks}
    with clear_disk_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        open(file, "ab").close()

    def rates_of(name: str, task: Task) -> Sequence[float]:
        given = rates.get(name) if isinstance(rates, Mapping) else rates
        return given or (recipe.task_learning_rate or task.learning_rate(models[name][0].config.num_hidden_layers),)

    def lesson(task: Task) -> dict:
        return {"learning_rate": rates_of(teacher, task)[0], "epochs": max(epochs), "seed": recipe.seed}

    @lru_cache(maxsize=1)  # trained when the first student asks for it, and kept for its task's runs
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
        row |= {"weights": weights[name], **data[task.name]}
        row |= {"rest": _rest(recipe, {"weights": weights[teacher]} | lesson(task) if teacher else None)}
        if identity(row) not in done:
            begin = time.monotonic()
            settings = {"learning_rate": rate, "seed": seed, "every_epoch": False, "progress": False}
            run = recipe.model_copy(update={"epochs": count})
            result = finetune(run, task, *models[name], teacher=taught(task.name) if teacher else None, **settings)
            row |= result.scores | {"rows": result.rows, "seconds": round(time.monotonic() - begin, 1)}
            row |= {"finished": datetime.now(UTC).isoformat(timespec="seconds")}
            _append(file, row)
            done[identity(row)] = row
        found.append(done[identity(row)] | {"model": name, "teacher": teacher or ""})
    return found


def _check(recipe: Recipe, models: Models, rates: Rates | None, epochs: Sequence[int], teacher: str | None) -> None:
    for name in [*([teacher] if teacher else []), *(rates if isinstance(rates, Mapping) else [])]:
        if name not in models:
            raise CourseError(f"no model {name!r} in this sweep", fix=f"one of {', '.join(models)}")
    if teacher and len(models) == 1:
        raise CourseError(f"{teacher} has nobody to teach", fix="name a student, too")
    for rate in [rate for some in rates.values() for rate in some] if isinstance(rates, Mapping) else rates or ():
        if not 0 < rate < float("inf"):
            raise CourseError(f"a learning rate of {rate}", fix="a number above 0, such as 1e-4")
    if any(count < 1 for count in epochs):
        raise CourseError(f"epochs {', '.join(map(str, epochs))}", fix="1 or more")
    for name, (model, tokenizer) in models.items():
        check_fit(model, tokenizer, recipe)
        if teacher:
            check_vocabularies(models[teacher][1], tokenizer, f"{teacher} and {name}")


def read_results(file: str | Path) -> list[dict]:
    """The rows of a sweep's file; none if there is no file yet, and none for a last line that was cut off.

    Raises:
        CourseError: another line that is no result (file and line named).
    """
    if not Path(file).exists():
        return []
    rows, lines = [], list(read_lines(file))
    if lines and _is_cut_off(lines[-1].encode()):
        del lines[-1]
    for number, line in enumerate(lines, 1):
        try:
            rows.append(_result(json.loads(line)))
        except (ValueError, KeyError, TypeError) as problem:
            raise CourseError(
                f"not a result of a sweep ({type(problem).__name__}: {problem})",
                where=f"{file}, line {number}",
                fix="mend or remove the line, or name another file",
            ) from None
    return rows


def _result(row: dict) -> dict:
    """The row, if it has all that a table needs."""
    identity(row)
    also = ("model", "teacher", "rows", "dev_rows", "majority", "seconds", "finished")
    for name in (*also, "accuracy" if "accuracy" in row else "f1"):
        row[name]
    return row


def identity(row: Mapping[str, object]) -> tuple:
    """What makes a run this one and no other: names of models do not, their weights do."""
    names = ("task", "learning_rate", "epochs", "seed", "batch", "length", "attention_dropout")
    names += ("weights", "data", "rest")
    return tuple(row[name] for name in names)


def _append(file: Path, row: dict) -> None:
    with clear_disk_errors(file), open(file, "ab") as stream:
        stream.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def _is_cut_off(line: bytes) -> bool:
    """Whether a line is the beginning of a row, and no more."""
    try:
        json.loads(line)
    except ValueError:
        return line.startswith(ROW[: len(line)])
    return False


def _mend_last_line(file: Path) -> None:
    """Take away a row that was cut off, or end one that lacks its line end; anything else is left alone."""
    content = file.read_bytes() if file.exists() else b""
    begin = content.rfind(b"\n") + 1
    if begin == len(content):
        return
    with clear_disk_errors(file), open(file, "r+b") as stream:
        if _is_cut_off(content[begin:]):
            stream.truncate(begin)
        elif content[begin:].startswith(ROW):
            stream.seek(0, os.SEEK_END)
            stream.write(b"\n")


def _digest(model: BertForMaskedLM, tokenizer: PreTrainedTokenizerBase) -> str:
    """Of all that fine-tuning takes over: the encoder, how it computes, and what it reads (not the MLM head)."""
    reading = json.loads(tokenizer.backend_tokenizer.to_str()) | {"truncation": None, "padding": None}
    settings = {name: getattr(model.config, name, None) for name in SHAPING}
    digest = hashlib.sha256(json.dumps([settings, reading], sort_keys=True).encode())
    for name, weight in sorted(model.bert.state_dict().items()):
        digest.update(name.encode() + weight.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _rest(recipe: Recipe, lesson: dict | None) -> str:
    """A digest of what else a run depends on: fixed settings, and how its teacher was made and is listened to."""
    names = ["warmup", "weight_decay"]
    if lesson:
        names += ["temperature", "temperature_squared", "kd_weight", "hard_label_weight"]
    settings = json.dumps([{name: getattr(recipe, name) for name in names}, lesson], sort_keys=True)
    return hashlib.sha256(settings.encode()).hexdigest()[:12]


def _read(recipe: Recipe, task: Task) -> dict:
    """What a row of results says of the task's rows: a digest, how many are scored, and their majority class."""
    train, dev = (task.load(recipe.task_dir, split) for split in ("train", "dev"))
    used = train.select(range(min(len(train), recipe.task_rows or len(train))))
    rows = json.dumps([task.labels, used.to_list(), dev.to_list()], ensure_ascii=False)
    digest = hashlib.sha256(rows.encode()).hexdigest()[:12]
    return {"data": digest, "dev_rows": len(dev), "majority": majority_of(train, dev) if task.layout else None}
