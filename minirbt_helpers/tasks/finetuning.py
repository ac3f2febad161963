"""Fine-tuning on a task with transformers' Trainer, and using what was learned (notebook 05)."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from datasets import Dataset
from transformers import (
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    DataCollatorWithPadding,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_callback import PrinterCallback, ProgressCallback, TrainerCallback

from ..errors import CourseError
from ..recipe import Recipe
from ..workspace import atomic_folder, progress_bar, quiet_datasets, write_json
from .answering import Answer, best_answers, span_scores, windows
from .registry import Task, find_task

Scores = dict[str, float]  # "accuracy", or "em" and "f1", from 0 to 1


@dataclass(frozen=True)
class Finetuned:
    """What fine-tuning leaves.

    Attributes:
        model, tokenizer: ready to use.
        task: the task.
        by_epoch: the scores on the dev rows after every epoch.
        learning_rate, epochs, seed, rows, length: how it was trained, on how many rows of at most how many tokens.
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

    @property
    def scores(self) -> Scores:
        """The scores on the dev rows after the last epoch."""
        return self.by_epoch[-1]

    @property
    def score(self) -> float:
        """The one that counts: accuracy, or F1."""
        return self.scores[self.task.metric]

    @torch.no_grad()
    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[dict[str, float]]:
        """Probability of every label for every text (for pairs: with ``pairs`` as second sentences).

        Raises:
            CourseError: the task asks questions: see :meth:`answer`.
        """
        if not self.task.answers:
            raise CourseError(f"{self.task.name} has no labels", fix="answer(question, passage)")
        encoded = self.tokenizer(
            list(texts), list(pairs) if pairs else None, padding=True, truncation=True, return_tensors="pt"
        ).to(self.model.device)
        shares = self.model(**encoded).logits.softmax(-1).tolist()
        return [dict(zip(self.task.meanings, row, strict=True)) for row in shares]

    @torch.no_grad()
    def answer(self, question: str, passage: str, top: int = 5) -> list[Answer]:
        """The best spans of a passage of any length, best first.

        Raises:
            CourseError: the task has labels: see :meth:`predict`.
        """
        if self.task.answers:
            raise CourseError(f"{self.task.name} has labels, not spans", fix="predict(texts)")
        row = {"question": [question], "context": [passage], "answers": [{"text": [], "answer_start": []}]}
        cut = windows(Dataset.from_dict(row), self.tokenizer, self.length)
        inputs = [{name: window[name] for name in self.tokenizer.model_input_names} for window in cut]
        batch = self.tokenizer.pad(inputs, return_tensors="pt").to(self.model.device)
        outputs = self.model(**batch)
        return best_answers(outputs.start_logits.cpu(), outputs.end_logits.cpu(), cut, [passage], top)[0]

    def save(self, folder: str | Path) -> None:
        """Write model, tokenizer and ``result.json``, whole or not at all."""
        with atomic_folder(folder) as new:
            self.model.save_pretrained(new)
            self.tokenizer.save_pretrained(new)
            write_json(new / "result.json", self.result())

    def result(self) -> dict:
        """The figures as plain data."""
        names = ("scores", "by_epoch", "learning_rate", "epochs", "seed", "rows", "length")
        return {"task": self.task.name, **{name: getattr(self, name) for name in names}}


def finetune(
    recipe: Recipe,
    task: str | Task,
    model: BertForMaskedLM,
    tokenizer: PreTrainedTokenizerBase,
    *,
    learning_rate: float | None = None,
    seed: int | None = None,
    progress: bool = True,
) -> Finetuned:
    """Fine-tune a pre-trained model on a task, by the published protocol.

    Args:
        recipe: epochs, batch, length, task folder, rows, and the learning rate unless given here.
        task: a name of :data:`TASKS`, or a task.
        model: its encoder is copied, and gets a fresh head; the model itself is not changed.
        tokenizer: the one it was trained with.
        learning_rate: None: the recipe's, or the published one for a model of this depth.
        seed: of head, order and dropout; None: the recipe's.
        progress: show a progress bar.

    Raises:
        CourseError: unknown task, missing or broken files.
    """
    task = task if isinstance(task, Task) else find_task(task)
    seed = recipe.seed if seed is None else seed
    rate = learning_rate or recipe.task_learning_rate or task.learning_rate(model.config.num_hidden_layers)
    train, dev = (task.load(recipe.task_dir, split) for split in ("train", "dev"))
    train = train.select(range(min(len(train), recipe.task_rows or len(train))))
    set_seed(seed)
    lesson = (_labels if task.answers else _spans)(task, model, train, dev, tokenizer, recipe.task_length)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            lesson.model,
            _arguments(recipe, rate, seed, scratch),
            train_dataset=lesson.train,
            eval_dataset=lesson.dev,
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=lesson.scores,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        if progress:
            trainer.add_callback(_Bar(f"{task.name} {model.config.hidden_size}-wide", task.metric))
        trainer.train()
    by_epoch = tuple(
        {name: row[f"eval_{name}"] for name in task.metrics} for row in trainer.state.log_history if "eval_loss" in row
    )
    settings = {"learning_rate": rate, "epochs": recipe.epochs, "seed": seed}
    return Finetuned(
        lesson.model.eval(), tokenizer, task, by_epoch, **settings, rows=len(train), length=recipe.task_length
    )


def _arguments(recipe: Recipe, rate: float, seed: int, scratch: str) -> TrainingArguments:
    return TrainingArguments(
        output_dir=scratch,
        learning_rate=rate,
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.task_batch_size,
        per_device_eval_batch_size=recipe.task_batch_size,
        warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay,
        train_sampling_strategy="group_by_length",  # less padding
        eval_strategy="epoch",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        seed=seed,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


class _Lesson(NamedTuple):
    """A task made ready for the Trainer."""

    model: PreTrainedModel
    train: Dataset
    dev: Dataset
    scores: Callable[[EvalPrediction], Scores]


def _labels(task: Task, model: BertForMaskedLM, train: Dataset, dev: Dataset, tokenizer, length: int) -> _Lesson:
    def scores(got: EvalPrediction) -> Scores:
        return {"accuracy": float((got.predictions.argmax(-1) == got.label_ids).mean())}

    return _Lesson(with_head(model, task), *(encode(rows, tokenizer, length) for rows in (train, dev)), scores)


def _spans(task: Task, model: BertForMaskedLM, train: Dataset, dev: Dataset, tokenizer, length: int) -> _Lesson:
    answerable = train.filter(lambda row: max(row["answers"]["answer_start"], default=-1) >= 0)
    cut = windows(dev, tokenizer, length)

    def scores(got: EvalPrediction) -> Scores:
        best = best_answers(*got.predictions, cut, dev["context"])
        return span_scores((answers[0].text if answers else "" for answers in best), dev)

    return _Lesson(with_head(model, task), windows(answerable, tokenizer, length), cut, scores)


def with_head(model: BertForMaskedLM, task: Task) -> PreTrainedModel:
    """A copy of the model's encoder under a fresh head: a classifier, or where the answer begins and ends."""
    config = type(model.config).from_dict(model.config.to_dict())
    if task.answers:
        config.id2label = dict(enumerate(task.meanings))
        config.label2id = {meaning: index for index, meaning in enumerate(task.meanings)}
    headed = (BertForSequenceClassification if task.answers else BertForQuestionAnswering)(config)
    missing, unexpected = headed.bert.load_state_dict(model.bert.state_dict(), strict=False)
    if unexpected or any(not name.startswith("pooler") for name in missing):
        raise CourseError(f"the encoder does not fit: {missing or unexpected}", fix="give a BERT of save_pretrained")
    return headed


def encode(rows: Dataset, tokenizer: PreTrainedTokenizerBase, length: int) -> Dataset:
    """Token ids, segment ids and labels of a task's rows, cut to ``length`` tokens."""
    pairs = "text_pair" in rows.column_names

    def tokens(batch: dict) -> dict:
        return tokenizer(batch["text"], batch["text_pair"] if pairs else None, truncation=True, max_length=length)

    with quiet_datasets():
        return rows.map(tokens, batched=True, remove_columns=["text"] + ["text_pair"] * pairs)


class _Bar(TrainerCallback):
    """One bar for all steps, with the dev score as soon as there is one."""

    def __init__(self, title: str, metric: str):
        self.title, self.metric = title, metric

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self.bar = progress_bar(total=state.max_steps, desc=self.title, unit="step")

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.bar.update()

    def on_evaluate(self, args, state, control, metrics=None, **kwargs) -> None:
        self.bar.set_postfix({f"dev {self.metric}": f"{metrics[f'eval_{self.metric}']:.1%}"})

    def on_train_end(self, args, state, control, **kwargs) -> None:
        self.bar.close()
