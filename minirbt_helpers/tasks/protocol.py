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
from typing import NamedTuple

from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from ..errors import CourseError, line_of
from ..language import _
from ..lines import read_lines
from ..names import shown_name
from ..recipe import Recipe
from ..workspace import clear_disk_errors, progress_bar
from .finetuned import Finetuned
from .finetuning import Prepared, check_fit, check_vocabularies, finetune, prepare, used_rows
from .floors import RowScores, floor_rows, mean_floors
from .metrics import mean_score
from .overlaps import Overlap, overlap
from .registry import TASKS, Task, find_task

EPOCHS = (2, 3, 5, 10)  # published
SEEDS = (0, 1, 2)
ROW = b'{"model": '  # how a row of a results file begins
SHAPING = ("num_attention_heads", "hidden_act", "hidden_dropout_prob", "classifier_dropout", "layer_norm_eps")
Models = Mapping[str, tuple[BertForMaskedLM, PreTrainedTokenizerBase]]
Rates = Sequence[float] | Mapping[str, Sequence[float] | Mapping[str, Sequence[float]]]
ORDER = "buckets"  # how rows are put in order; a run in another order is another run


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
    temperatures: Sequence[float] | None = None,
    progress: bool = True,
) -> list[dict]:
    """Fine-tune every model on every task with every setting, and keep a JSON line per run.

    A run that stands in the file already (same weights, rows and settings, and the same teacher trained alike) is
    not repeated, so a sweep that was stopped goes on where it was, and a larger one adds to a smaller one. All files
    of all tasks are read before the first run.

    A line also says what the rules without a network score on the same rows (``floors``), how many dev rows stand in
    the train rows (``overlap``), the scores on each half of the dev rows (``halves``), and all of this on the dev rows
    that do not stand in train (``unseen``), where there are others.

    Args:
        recipe: task folder, length, batch, rows.
        models: by name, each with its tokenizer.
        file: JSON lines; made, or gone on with.
        tasks: names, or tasks.
        rates: learning rates to try, for all models, by name, or by name and task's name
            (:func:`~minirbt_helpers.tasks.search_rates` finds these); None: the published one for each model's depth.
        epochs, seeds: to try.
        teacher: the model that, fine-tuned with the first of its rates and the most epochs, teaches all others
            on every task; None: no teacher.
        temperatures: of the teaching, to try; None: the recipe's.
        progress: show a progress bar over all runs.

    Returns:
        The rows of this sweep, those found in the file among them, under the names given here.

    Raises:
        CourseError: an unknown model or task, a model or tokenizer that does not fit, a setting that is none, a task
            that cannot be read, a file that holds something else or cannot be written, all before the first run;
            or what :func:`~minirbt_helpers.tasks.finetuning.finetune` raises. What was finished stays in the file.
    """
    found = (task if isinstance(task, Task) else find_task(task) for task in tasks)
    tasks = list({task.name: task for task in found}.values())
    _check(recipe, models, rates, epochs, teacher, temperatures)
    file = Path(file)
    with clear_disk_errors(file):
        _mend_last_line(file)
    done = {identity(row): row for row in read_results(file)}
    bench = _Bench(recipe, models, tasks, rates, teacher, max(epochs))
    with clear_disk_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        open(file, "ab").close()
    trials = [
        _Trial(name, task, rate, count, seed, temperature)
        for task in tasks
        for name in models
        if name != teacher
        for rate in dict.fromkeys(bench.rates(name, task))
        for temperature in dict.fromkeys((temperatures or (recipe.temperature,)) if teacher else (None,))
        for count in dict.fromkeys(epochs)
        for seed in dict.fromkeys(seeds)
    ]
    found = []
    for trial in (bar := progress_bar(trials, show=progress, unit=_("run"))):
        place = _("{model} on {task}").format(model=shown_name(trial.model), task=trial.task.name)
        bar.set_description(place)
        row = bench.settings(trial)
        if identity(row) not in done:
            done[identity(row)] = row | bench.run(trial)
            _append(file, done[identity(row)])
        found.append(done[identity(row)] | {"model": trial.model, "teacher": teacher or ""})
    return found


class _Trial(NamedTuple):
    model: str
    task: Task
    rate: float
    epochs: int
    seed: int
    temperature: float | None  # of the teaching; None: plain


class _Ground(NamedTuple):
    """What a task's rows say without a model."""

    overlap: Overlap
    floors: dict[str, RowScores]


class _Bench:
    """Makes the runs of a sweep; what several of them need is made once."""

    def __init__(
        self, recipe: Recipe, models: Models, tasks: Sequence[Task], rates: Rates | None, teacher: str | None, most: int
    ):
        self.recipe, self.models, self.given, self.teacher, self.most = recipe, models, rates, teacher, most
        self.weights = {name: _digest(*model) for name, model in models.items()}
        self.tasks = {task.name: task for task in tasks}
        self.data = {task.name: _read(recipe, task) for task in tasks}
        self.taught, self.ground = lru_cache(maxsize=1)(self._taught), lru_cache(maxsize=1)(self._ground)
        self._last: tuple[tuple[str, str], Prepared] | None = None

    def rates(self, name: str, task: Task) -> Sequence[float]:
        """The learning rates to try, the first of which a teacher takes."""
        given = self.given.get(name) if isinstance(self.given, Mapping) else self.given
        given = given.get(task.name) if isinstance(given, Mapping) else given
        published = task.learning_rate(self.models[name][0].config.num_hidden_layers)
        return given or (self.recipe.task_learning_rate or published,)

    def settings(self, trial: _Trial) -> dict:
        """The part of a row that is known before the run."""
        recipe, lesson = self.recipe, self._lesson(trial.task) if self.teacher else None
        row = {"model": trial.model, "task": trial.task.name, "teacher": self.teacher or ""}
        row |= {"learning_rate": trial.rate, "epochs": trial.epochs, "seed": trial.seed}
        row |= {"batch": recipe.task_batch_size, "length": recipe.task_length}
        row |= {"attention_dropout": recipe.task_attention_dropout}
        row |= {"temperature": trial.temperature} if self.teacher else {}
        row |= {"weights": self.weights[trial.model], **self.data[trial.task.name]}
        return row | {"rest": _rest(recipe, {"weights": self.weights[self.teacher]} | lesson if lesson else None)}

    def run(self, trial: _Trial) -> dict:
        """The part of a row that a run leaves."""
        begin = time.monotonic()
        change = {"epochs": trial.epochs} | ({"temperature": trial.temperature} if self.teacher else {})
        result = finetune(
            self.recipe.model_copy(update=change),
            trial.task,
            *self.models[trial.model],
            learning_rate=trial.rate,
            seed=trial.seed,
            teacher=self.taught(trial.task.name) if self.teacher else None,
            prepared=self.prepared(trial.task.name, trial.model),
            every_epoch=False,
            progress=False,
        )
        row = result.scores | self._beside(trial.task.name, result.by_row)
        row |= {"kd": list(result.kd)} if self.teacher else {}
        row |= {"rows": result.rows, "seconds": round(time.monotonic() - begin, 1)}
        return row | {"finished": datetime.now(UTC).isoformat(timespec="seconds")}

    def _beside(self, task_name: str, by_row: RowScores) -> dict:
        """What stands beside a score: floors, halves and overlaps."""
        overlap, floors = self.ground(task_name)
        every, unseen = range(overlap.rows), overlap.unseen
        row = {"overlap": {"exact": len(overlap.exact), "runs": len(overlap.runs)}}
        row |= {"floors": mean_floors(floors, every), "halves": _halves(by_row, every)}
        if len(unseen) == overlap.rows:
            return row
        scores = {name: mean_score(found[place] for place in unseen) for name, found in by_row.items()}
        beside = {"dev_rows": len(unseen), "floors": mean_floors(floors, unseen), "halves": _halves(by_row, unseen)}
        return row | {"unseen": scores | beside}

    def _lesson(self, task: Task) -> dict:
        """How the teacher is fine-tuned."""
        rate = self.rates(self.teacher, task)[0]
        return {"learning_rate": rate, "epochs": self.most, "seed": self.recipe.seed}

    def _taught(self, task_name: str) -> Finetuned:
        """The fine-tuned teacher, made when the first student asks for it."""
        settings = self._lesson(self.tasks[task_name])
        run = self.recipe.model_copy(update={"epochs": settings.pop("epochs")})
        settings |= {"prepared": self.prepared(task_name, self.teacher), "every_epoch": False, "progress": False}
        return finetune(run, self.tasks[task_name], *self.models[self.teacher], **settings)

    def _ground(self, task_name: str) -> _Ground:
        train, dev = used_rows(self.recipe, self.tasks[task_name])
        return _Ground(overlap(train, dev), floor_rows(self.tasks[task_name], train, dev))

    def prepared(self, task_name: str, model: str) -> Prepared:
        """The task's tokenised rows, made anew for another task or another tokenizer alone."""
        tokenizer = self.models[model][1]
        key = task_name, _reading(tokenizer)
        if self._last is None or self._last[0] != key:
            self._last = key, prepare(self.recipe, self.tasks[task_name], tokenizer)
        return self._last[1]


def _halves(by_row: RowScores, rows: Sequence[int]) -> dict[str, list[float]]:
    """The scores on every other row, and on the rest: what is chosen on one half can be scored on the other."""
    return {
        name: [mean_score(scores[row] for row in rows[begin::2]) for begin in (0, 1)]
        for name, scores in by_row.items()
        if len(rows) > 1
    }


def _check(
    recipe: Recipe,
    models: Models,
    rates: Rates | None,
    epochs: Sequence[int],
    teacher: str | None,
    temperatures: Sequence[float] | None,
) -> None:
    for name in [*([teacher] if teacher else []), *(rates if isinstance(rates, Mapping) else [])]:
        if name not in models:
            raise CourseError(
                "no model {name!r} in this sweep", fix="one of {names}", name=name, names=", ".join(models)
            )
    if teacher and len(models) == 1:
        raise CourseError("{teacher} has nobody to teach", fix="name a student, too", teacher=teacher)
    if temperatures and not teacher:
        raise CourseError("temperatures, and nobody teaches", fix="name a teacher (--taught-by)")
    for temperature in temperatures or ():
        if not 0 < temperature < float("inf"):
            raise CourseError(
                "a temperature of {temperature}", fix="a number above 0, such as 8", temperature=temperature
            )
    for rate in _all_rates(rates):
        if not 0 < rate < float("inf"):
            raise CourseError("a learning rate of {rate}", fix="a number above 0, such as 1e-4", rate=rate)
    if any(count < 1 for count in epochs):
        raise CourseError("epochs {epochs}", fix="1 or more", epochs=", ".join(map(str, epochs)))
    for name, (model, tokenizer) in models.items():
        check_fit(model, tokenizer, recipe)
        if teacher:
            check_vocabularies(models[teacher][1], tokenizer, f"{teacher} and {name}")


def _all_rates(rates: Rates | None) -> list[float]:
    if isinstance(rates, Mapping):
        return [rate for some in rates.values() for rate in _all_rates(some)]
    return list(rates or ())


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
                "not a result of a sweep ({kind}: {problem})",
                where=line_of(file, number),
                fix="mend or remove the line, or name another file",
                kind=type(problem).__name__,
                problem=problem,
            ) from None
    return rows


def _result(row: dict) -> dict:
    """The row, if it has all that a table needs."""
    identity(row)
    if "floors" not in row:  # of an earlier day
        row["floors"] = {} if row["majority"] is None else {"majority": {"accuracy": row["majority"]}}
    also = ("model", "teacher", "rows", "dev_rows", "seconds", "finished")
    for name in (*also, "accuracy" if "accuracy" in row else "f1"):
        row[name]
    return row


def identity(row: Mapping[str, object]) -> tuple:
    """What makes a run this one and no other: names of models do not, their weights do."""
    names = ("task", "learning_rate", "epochs", "seed", "batch", "length", "attention_dropout")
    names += ("weights", "data", "rest")
    return *(row[name] for name in names), row.get("temperature")


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


def _reading(tokenizer: PreTrainedTokenizerBase) -> str:
    """All that a tokenizer reads by, as text."""
    settings = json.loads(tokenizer.backend_tokenizer.to_str()) | {"truncation": None, "padding": None}
    return json.dumps(settings, sort_keys=True)


def _digest(model: BertForMaskedLM, tokenizer: PreTrainedTokenizerBase) -> str:
    """Of all that fine-tuning takes over: the encoder, how it computes, and what it reads (not the MLM head)."""
    settings = {name: getattr(model.config, name, None) for name in SHAPING}
    digest = hashlib.sha256(json.dumps([settings, _reading(tokenizer)], sort_keys=True).encode())
    for name, weight in sorted(model.bert.state_dict().items()):
        digest.update(name.encode() + weight.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _rest(recipe: Recipe, lesson: dict | None) -> str:
    """A digest of what else a run depends on: fixed settings, and how its teacher was made and is listened to."""
    names = ["warmup", "weight_decay"]
    if recipe.clip != Recipe.model_fields["clip"].default:  # files of runs with the default go on without it
        names.append("clip")
    if lesson:
        names += ["temperature_squared", "kd_weight", "hard_label_weight"]
    settings = json.dumps([ORDER, {name: getattr(recipe, name) for name in names}, lesson], sort_keys=True)
    return hashlib.sha256(settings.encode()).hexdigest()[:12]


def _read(recipe: Recipe, task: Task) -> dict:
    """What a row of results says of the task's rows: a digest, and how many are scored."""
    train, dev = used_rows(recipe, task)
    rows = json.dumps([task.labels, train.to_list(), dev.to_list()], ensure_ascii=False)
    return {"data": hashlib.sha256(rows.encode()).hexdigest()[:12], "dev_rows": len(dev)}
