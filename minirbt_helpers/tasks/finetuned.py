"""A fine-tuned model in use: predictions for texts, answers from passages, files to hand in (notebook 05)."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

import torch
from datasets import Dataset
from safetensors import SafetensorError
from torch import Tensor
from transformers import (
    AutoTokenizer,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ..errors import CourseError, some
from ..hub import require_tokenizer, save_tokenizer
from ..language import _
from ..marks import restore_known_marks
from ..sniffing import require_config, require_weights, require_whole
from ..workspace import MODEL_FILES, atomic_file, atomic_folder, check_folder, quiet_transformers, write_json
from .answering import LONGEST, Answer, best_answers, span_scores, windows
from .registry import Task, task_from_json
from .tables import JSON

Scores = dict[str, float]  # "accuracy", or "em" and "f1", from 0 to 1
BATCH = 64


@dataclass(frozen=True)
class Finetuned:
    """What fine-tuning leaves.

    Attributes:
        model, tokenizer: ready to use.
        task: the task.
        by_epoch: the scores on the dev rows after every epoch (or after the last one alone).
        learning_rate, epochs, seed, rows, length: how it was trained, on how many rows of at most how many tokens.
        repaired, skipped: answers that were found elsewhere than the train file says, and questions that were
            left out because no answer of theirs is in the passage, or whole in a window.
        teacher: who taught it on the task; "" where nobody did.
        longest: most tokens of an answer: those of the longest one that was taught, but at least
            :data:`~minirbt_helpers.tasks.answering.LONGEST`.
        by_row: per measure, the score of every dev row after the last epoch; not saved.
        kd: of a taught model, for every epoch the mean ``kd_loss``, its ``floor`` and the ``gap`` between; not saved.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    task: Task
    by_epoch: tuple[Scores, ...]
    learning_rate: float
    epochs: int
    seed: int
    rows: int
    length: int
    repaired: int = 0
    skipped: int = 0
    teacher: str = ""
    longest: int = LONGEST
    by_row: Mapping[str, Sequence[float]] = field(default_factory=dict)
    kd: tuple[dict[str, float], ...] = ()

    @property
    def scores(self) -> Scores:
        """The scores on the dev rows after the last epoch."""
        return self.by_epoch[-1]

    @property
    def score(self) -> float:
        """The one that counts: accuracy, or F1."""
        return self.scores[self.task.metric]

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[dict[str, float]]:
        """Probability of every label for every text (for pairs: with ``pairs`` as second sentences).

        Raises:
            CourseError: the task asks questions (see :meth:`answer`), reads pairs and got none, or the other way round.
        """
        if not self.task.layout:
            raise CourseError("{name} has no labels", fix="answer(question, passage)", name=self.task.name)
        if bool(self.task.layout.pair) != (pairs is not None):
            raise CourseError(
                "{name} reads pairs" if self.task.layout.pair else "{name} reads single texts",
                fix="predict(texts, pairs)" if self.task.layout.pair else "predict(texts)",
                name=self.task.name,
            )
        if not len(texts):
            return []
        encoded = self.tokenizer(
            list(texts), list(pairs) if pairs is not None else None, truncation=True, max_length=self.length
        )
        (logits,) = self._forward([dict(zip(encoded, row, strict=True)) for row in zip(*encoded.values(), strict=True)])
        return [dict(zip(self.task.meanings, row.softmax(-1).tolist(), strict=True)) for row in logits]

    def answer(self, question: str, passage: str, top: int = 5) -> list[Answer]:
        """The best spans of a passage of any length, best first.

        Raises:
            CourseError: the task has labels: see :meth:`predict`.
        """
        row = {"question": [question], "context": [passage], "answers": [{"text": [], "answer_start": []}]}
        return self.answer_rows(Dataset.from_dict(row), top)[0]

    def answer_rows(self, rows: Dataset, top: int = 1) -> list[list[Answer]]:
        """The best spans for every question of a table (as :meth:`Task.load` and :meth:`Task.read` give it)."""
        if self.task.layout:
            raise CourseError("{name} has labels, not spans", fix="predict(texts)", name=self.task.name)
        cut = windows(rows, self.tokenizer, self.length)
        names = self.tokenizer.model_input_names
        starts, ends = self._forward([{name: window[name] for name in names} for window in cut])
        return best_answers(starts, ends, cut, rows["context"], top, self.longest)

    @torch.no_grad()
    def _forward(self, examples: Sequence[dict]) -> tuple[list[Tensor], ...]:
        """Every output of the model for every example, in their order; batches are of similar lengths."""
        order = sorted(range(len(examples)), key=lambda place: len(examples[place]["input_ids"]))
        found: dict[int, tuple[Tensor, ...]] = {}
        for begin in range(0, len(order), BATCH):
            places = order[begin : begin + BATCH]
            batch = self.tokenizer.pad([examples[place] for place in places], return_tensors="pt")
            outputs = self.model(**batch.to(self.model.device)).to_tuple()
            found |= dict(zip(places, zip(*(output.cpu() for output in outputs), strict=True), strict=True))
        return tuple(list(output) for output in zip(*(found[place] for place in range(len(examples))), strict=True))

    def guess(self, rows: Dataset, null_threshold: float | None = None) -> list[str]:
        """One prediction a row: a label as the files spell it, or the text of a span.

        Args:
            rows: with or without labels.
            null_threshold: for questions that may have no answer: "" where the best span's margin over
                "no answer" is below it; None: always a span, as CMRC and DRCD ask for.
        """
        if self.task.layout:
            spelled = dict(zip(self.task.meanings, self.task.labels, strict=True))
            shares = self.predict(rows["text"], rows["text_pair"] if "text_pair" in rows.column_names else None)
            return [spelled[max(share, key=share.get)] for share in shares]
        best = (answers[0] if answers else None for answers in self.answer_rows(rows))
        return [one.text if one and (null_threshold is None or one.margin >= null_threshold) else "" for one in best]

    def can_measure(self, rows: Dataset) -> bool:
        """Whether some of the rows have labels, or some of the questions answers."""
        if self.task.layout:
            return "label" in rows.column_names and any(label is not None for label in rows["label"])
        return any(answers["text"] for answers in rows["answers"])

    def measure(self, rows: Dataset, guesses: Sequence[str] | None = None) -> Scores:
        """The scores on other rows than the dev ones; rows without label (OCNLI's ``-``) or answer do not count.

        Args:
            rows: with labels or answers.
            guesses: what :meth:`guess` or :meth:`write_predictions` gave for them; None: made here.

        Raises:
            CourseError: rows without labels or answers: they can be predicted, but not scored.
        """
        if not self.can_measure(rows):
            raise CourseError("rows without labels cannot be scored", fix="write_predictions(file, rows)")
        guesses = self.guess(rows) if guesses is None else guesses
        if not self.task.layout:
            return span_scores(guesses, rows)
        pairs = [(truth, guess) for truth, guess in zip(rows["label"], guesses, strict=True) if truth is not None]
        return {"accuracy": sum(self.task.labels[truth] == guess for truth, guess in pairs) / len(pairs)}

    def write_predictions(self, file: str | Path, rows: Dataset, null_threshold: float | None = None) -> list[str]:
        """Write predictions as the task's publisher wants them handed in, and return them as :meth:`guess` does.

        Questions (CMRC 2018, DRCD): one JSON object, id to answer. CLUE's tasks (OCNLI, TNEWS) and every task
        whose files are JSON: a line ``{"id": …, "label": …}`` a row. The others: a TSV with ``index`` and
        ``prediction``.

        Raises:
            CourseError: two questions with one id, or the file cannot be written (both before the model runs).
        """
        known = rows["id"] if "id" in rows.column_names else [None] * len(rows)
        numbers = [place if one is None else one for place, one in enumerate(known)]
        if not self.task.layout and len(set(numbers)) < len(numbers):
            twice = Counter(numbers).most_common(1)[0][0]
            first, second = [place for place, number in enumerate(numbers, 1) if number == twice][:2]
            raise CourseError(
                "two questions have the id {twice!r}",
                where=_("questions {first} and {second}").format(first=first, second=second),
                fix="give every question an id of its own",
                twice=twice,
            )
        with atomic_file(file) as stream:
            guesses = self.guess(rows, null_threshold)
            pairs = list(zip(numbers, guesses, strict=True))
            if not self.task.layout:
                json.dump(dict(pairs), stream, ensure_ascii=False, indent=1)
            elif Path(self.task.files["train"][0]).suffix in JSON:
                lines = ({"id": number, "label": guess} for number, guess in pairs)
                stream.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            else:
                stream.write("index\tprediction\n" + "".join(f"{number}\t{guess}\n" for number, guess in pairs))
        return guesses

    def save(self, folder: str | Path) -> None:
        """Write model, tokenizer, ``result.json`` and ``task.json``, whole or not at all; see :meth:`load`.

        Raises:
            CourseError: what :func:`check_output` says, or a full disk.
        """
        check_output(folder)
        with atomic_folder(folder) as new:
            self.model.save_pretrained(new)
            save_tokenizer(self.tokenizer, new)
            write_json(new / "result.json", self.result())
            write_json(new / "task.json", asdict(self.task))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """What :meth:`save` wrote.

        Raises:
            CourseError: not such a folder, or one from which files or weights are missing.
        """
        folder = Path(folder)
        for file in filter(Path.is_file, (folder / "task.json", folder / "result.json")):
            require_whole(file)
        try:
            task = task_from_json(json.loads((folder / "task.json").read_text(encoding="utf-8")))
            result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            require_tokenizer(folder)
            require_config(folder)
            require_weights(folder)
            kind = BertForSequenceClassification if task.layout else BertForQuestionAnswering
            with quiet_transformers():
                model, found = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
                tokenizer = restore_known_marks(AutoTokenizer.from_pretrained(folder))
            del result["task"], result["scores"]
            tuned = cls(model.eval(), tokenizer, task, tuple(result.pop("by_epoch")), **result)
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as problem:
            raise CourseError(
                "not a fine-tuned model ({kind}: {problem})",
                where=folder,
                fix="a folder that `minirbt finetune --output` wrote",
                kind=type(problem).__name__,
                problem=str(problem).splitlines()[0][:120],
            ) from problem
        if missing := sorted(found["missing_keys"]):
            raise CourseError(
                "weights are missing: {names}",
                where=folder,
                fix="fine-tune again: `minirbt finetune --output` writes them all",
                names=some(missing),
            )
        return tuned

    def result(self) -> dict:
        """The figures as plain data."""
        names = (
            "scores", "by_epoch", "learning_rate", "epochs", "seed", "rows", "length", "repaired", "skipped", "teacher",
            "longest",
        )  # fmt: skip
        return {"task": self.task.name, **{name: getattr(self, name) for name in names}}


def check_output(folder: str | Path) -> None:
    """:func:`~minirbt_helpers.workspace.check_folder`, for what :meth:`Finetuned.save` writes."""
    check_folder(folder, "minirbt finetune", ("task.json", "result.json"), MODEL_FILES)
