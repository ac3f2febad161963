"""Fine-tuning on a task with transformers' Trainer, and using what was learned (notebook 05)."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from datasets import Dataset, disable_progress_bars, enable_progress_bars
from transformers import (
    BertForMaskedLM,
    BertForSequenceClassification,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_callback import PrinterCallback, ProgressCallback, TrainerCallback

from ..errors import CourseError
from ..recipe import Recipe
from ..workspace import atomic_folder, progress_bar, write_json
from .registry import Task, find_task


@dataclass(frozen=True)
class Finetuned:
    """What fine-tuning leaves.

    Attributes:
        model, tokenizer: ready to use.
        task: the task.
        accuracy: share of dev rows answered rightly after the last epoch, 0 to 1.
        by_epoch: that share after every epoch.
        learning_rate, epochs, seed, rows: how it was trained, on how many rows.
    """

    model: BertForSequenceClassification
    tokenizer: PreTrainedTokenizerBase
    task: Task
    accuracy: float
    by_epoch: tuple[float, ...]
    learning_rate: float
    epochs: int
    seed: int
    rows: int

    @torch.no_grad()
    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[dict[str, float]]:
        """Probability of every label for every text (for pairs: with ``pairs`` as second sentences)."""
        encoded = self.tokenizer(
            list(texts), list(pairs) if pairs else None, padding=True, truncation=True, return_tensors="pt"
        ).to(self.model.device)
        shares = self.model(**encoded).logits.softmax(-1).tolist()
        return [dict(zip(self.task.meanings, row, strict=True)) for row in shares]

    def save(self, folder: str | Path) -> None:
        """Write model, tokenizer and ``result.json``, whole or not at all."""
        with atomic_folder(folder) as new:
            self.model.save_pretrained(new)
            self.tokenizer.save_pretrained(new)
            write_json(new / "result.json", self.result())

    def result(self) -> dict:
        """The figures as plain data."""
        names = ("accuracy", "by_epoch", "learning_rate", "epochs", "seed", "rows")
        return {"task": self.task.name, **{name: getattr(self, name) for name in names}}


def finetune(
    recipe: Recipe,
    task: str | Task,
    model: BertForMaskedLM,
    tokenizer: PreTrainedTokenizerBase,
    *,
    learning_rate: float | None = None,
    teacher_hidden: int | None = None,
    seed: int | None = None,
    progress: bool = True,
) -> Finetuned:
    """Fine-tune a pre-trained model on a task, by the published protocol.

    Args:
        recipe: epochs, batch, length, task folder, rows, and the learning rate unless given here.
        task: a name of :data:`TASKS`, or a task.
        model: its encoder is copied, and gets a fresh classifier; the model itself is not changed.
        tokenizer: the one it was trained with.
        learning_rate: None: the recipe's, or the published one for a model of this width.
        teacher_hidden: width from which the teacher's learning rate holds; None: the scale's teacher.
        seed: of classifier, order and dropout; None: the recipe's.
        progress: show a progress bar.

    Raises:
        CourseError: unknown task, missing or broken files.
    """
    task = task if isinstance(task, Task) else find_task(task)
    seed = recipe.seed if seed is None else seed
    wide = teacher_hidden or {"sample": 192, "full": 768}[recipe.scale]
    rate = learning_rate or recipe.task_learning_rate or task.learning_rate(model.config.hidden_size, wide)
    train, dev = (task.load(recipe.task_dir, split) for split in ("train", "dev"))
    train = train.select(range(min(len(train), recipe.task_rows or len(train))))
    set_seed(seed)
    classifier = with_classifier(model, task)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            classifier,
            TrainingArguments(
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
            ),
            train_dataset=encode(train, tokenizer, recipe.task_length),
            eval_dataset=encode(dev, tokenizer, recipe.task_length),
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=lambda got: {"accuracy": float((got.predictions.argmax(-1) == got.label_ids).mean())},
        )
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        if progress:
            trainer.add_callback(_Bar(f"{task.name} {classifier.config.hidden_size}-wide"))
        trainer.train()
    by_epoch = tuple(row["eval_accuracy"] for row in trainer.state.log_history if "eval_accuracy" in row)
    return Finetuned(classifier.eval(), tokenizer, task, by_epoch[-1], by_epoch, rate, recipe.epochs, seed, len(train))


def with_classifier(model: BertForMaskedLM, task: Task) -> BertForSequenceClassification:
    """A copy of the model's encoder under a fresh classifier for the task."""
    config = type(model.config).from_dict(model.config.to_dict())
    config.id2label = dict(enumerate(task.meanings))
    config.label2id = {meaning: index for index, meaning in enumerate(task.meanings)}
    classifier = BertForSequenceClassification(config)
    missing, unexpected = classifier.bert.load_state_dict(model.bert.state_dict(), strict=False)
    if unexpected or any(not name.startswith("pooler") for name in missing):
        raise CourseError(f"the encoder does not fit: {missing or unexpected}", fix="give a BERT of save_pretrained")
    return classifier


def encode(rows: Dataset, tokenizer: PreTrainedTokenizerBase, length: int) -> Dataset:
    """Token ids, segment ids and labels of a task's rows, cut to ``length`` tokens."""
    pairs = "text_pair" in rows.column_names

    def tokens(batch: dict) -> dict:
        return tokenizer(batch["text"], batch["text_pair"] if pairs else None, truncation=True, max_length=length)

    disable_progress_bars()
    try:
        return rows.map(tokens, batched=True, remove_columns=["text"] + ["text_pair"] * pairs)
    finally:
        enable_progress_bars()


class _Bar(TrainerCallback):
    """One bar for all steps, with the dev accuracy as soon as there is one."""

    def __init__(self, title: str):
        self.title = title

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self.bar = progress_bar(total=state.max_steps, desc=self.title, unit="step")

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.bar.update()

    def on_evaluate(self, args, state, control, metrics=None, **kwargs) -> None:
        self.bar.set_postfix(dev=f"{metrics['eval_accuracy']:.1%}")

    def on_train_end(self, args, state, control, **kwargs) -> None:
        self.bar.close()
