"""Fine-tuning on a task with transformers' Trainer (notebook 05)."""

import tempfile
from collections.abc import Callable
from typing import NamedTuple

from datasets import Dataset
from transformers import (
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    DataCollatorWithPadding,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_callback import PrinterCallback, ProgressCallback, TrainerCallback

from ..errors import CourseError
from ..hub import vocabulary_size
from ..recipe import Recipe
from ..workspace import progress_bar, quiet_datasets
from .answering import LONGEST, SHORTEST_WINDOW, best_answers, longest_answer, span_scores, windows
from .finetuned import Finetuned, Scores
from .registry import Task, find_task
from .trainer import OrderedTrainer, by_length


def finetune(
    recipe: Recipe,
    task: str | Task,
    model: BertForMaskedLM,
    tokenizer: PreTrainedTokenizerBase,
    *,
    learning_rate: float | None = None,
    seed: int | None = None,
    teacher: Finetuned | None = None,
    every_epoch: bool = True,
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
        teacher: fine-tuned on the same task; the model then learns from its logits, too, with TextBrewer.
        every_epoch: score the dev rows after every epoch; otherwise after the last one alone.
        progress: show a progress bar.

    Raises:
        CourseError: unknown task, missing or broken files, no row to learn from, a model, tokenizer or teacher
            that does not fit.
    """
    task = task if isinstance(task, Task) else find_task(task)
    check_fit(model, tokenizer, recipe)
    if teacher:
        _check_teacher(teacher, task, tokenizer)
        check_fit(teacher.model, tokenizer, recipe, "the teacher")
    seed = recipe.seed if seed is None else seed
    published = task.learning_rate(model.config.num_hidden_layers)
    rate = next(one for one in (learning_rate, recipe.task_learning_rate, published) if one is not None)
    train, dev = (task.load(recipe.task_dir, split) for split in ("train", "dev"))
    train = train.select(range(min(len(train), recipe.task_rows or len(train))))
    set_seed(seed)
    headed = with_head(model, task, recipe.task_attention_dropout)
    lesson = (_labels if task.layout else _spans)(headed, train, dev, tokenizer, recipe.task_length)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = _trainer(
            lesson, training_arguments(recipe, rate, seed, scratch, every_epoch), tokenizer, recipe, teacher
        )
        if progress:
            trainer.add_callback(_Bar(f"{task.name} {model.config.hidden_size}-wide", task.metric))
        trainer.train()
        if not every_epoch:
            trainer.evaluate()
    by_epoch = tuple(
        {name: row[f"eval_{name}"] for name in task.metrics} for row in trainer.state.log_history if "eval_loss" in row
    )
    return Finetuned(
        lesson.model.eval(),
        tokenizer,
        task,
        by_epoch,
        learning_rate=rate,
        epochs=recipe.epochs,
        seed=seed,
        rows=lesson.rows,
        length=recipe.task_length,
        repaired=0 if task.layout else sum(train["repaired"]),
        skipped=len(train) - lesson.rows,
        teacher=f"{teacher.model.config.hidden_size}-wide" if teacher else "",
        longest=lesson.longest,
    )


def check_fit(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, recipe: Recipe, who: str = "the model"
) -> None:
    """Refuse a tokenizer that is not the model's, and texts longer than it has positions."""
    if (size := vocabulary_size(tokenizer)) > model.config.vocab_size:
        raise CourseError(
            f"the tokenizer has {size} entries, {who} {model.config.vocab_size}",
            fix="use the tokenizer that lies beside the model",
        )
    longest = model.config.max_position_embeddings
    if not SHORTEST_WINDOW <= recipe.task_length <= longest:
        raise CourseError(
            f"TASK_LENGTH {recipe.task_length}",
            fix=f"{SHORTEST_WINDOW} to {longest}: {who} has that many positions; longer passages go in windows",
        )


def _check_teacher(teacher: Finetuned, task: Task, tokenizer: PreTrainedTokenizerBase) -> None:
    if teacher.task.name != task.name:
        raise CourseError(
            f"the teacher was fine-tuned on {teacher.task.name}, not on {task.name}", fix="fine-tune it on the task"
        )
    if teacher.task.labels != task.labels:
        theirs, ours = ", ".join(teacher.task.labels), ", ".join(task.labels)
        raise CourseError(
            f"the teacher knows the labels {theirs}, and the rows have {ours}",
            fix="fine-tune the teacher on rows with the same labels",
        )
    check_vocabularies(teacher.tokenizer, tokenizer, "teacher and student")


def check_vocabularies(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase, who: str) -> None:
    """Refuse two tokenizers that have not the same entries under the same numbers."""
    if one.get_vocab() != other.get_vocab():
        raise CourseError(
            f"{who} have different vocabularies", fix="both must read the same tokens: take one tokenizer"
        )


class _Lesson(NamedTuple):
    """A task made ready for the Trainer; ``rows`` is how many of the train rows can be learned from."""

    model: PreTrainedModel
    rows: int
    train: Dataset
    dev: Dataset
    scores: Callable[[EvalPrediction], Scores]
    longest: int = LONGEST


def _labels(model: PreTrainedModel, train: Dataset, dev: Dataset, tokenizer, length: int) -> _Lesson:
    def scores(got: EvalPrediction) -> Scores:
        return {"accuracy": float((got.predictions.argmax(-1) == got.label_ids).mean())}

    encoded = encode(train, tokenizer, length), by_length(encode(dev, tokenizer, length))
    return _Lesson(model, len(train), *encoded, scores)


def _spans(model: PreTrainedModel, train: Dataset, dev: Dataset, tokenizer, length: int) -> _Lesson:
    cut = by_length(windows(dev, tokenizer, length))
    rows, taught = learnable(windows(train, tokenizer, length))
    longest = longest_answer(taught)

    def scores(got: EvalPrediction) -> Scores:
        best = best_answers(*got.predictions, cut, dev["context"], longest=longest)
        return span_scores((answers[0].text if answers else "" for answers in best), dev)

    return _Lesson(model, rows, taught, cut, scores, longest)


def learnable(cut: Dataset) -> tuple[int, Dataset]:
    """How many questions have a window with their whole answer, and all windows of these.

    Raises:
        CourseError: none has.
    """
    rows = cut["row"]
    learned = {row for row, start in zip(rows, cut["start_positions"], strict=True) if start}
    if not learned:
        raise CourseError("no question has an answer that stands in its passage", fix="check the train file")
    return len(learned), cut.select([place for place, row in enumerate(rows) if row in learned])


def _trainer(
    lesson: _Lesson, arguments: TrainingArguments, tokenizer, recipe: Recipe, teacher: Finetuned | None
) -> OrderedTrainer:
    parts = {
        "train_dataset": lesson.train,
        "eval_dataset": lesson.dev,
        "data_collator": DataCollatorWithPadding(tokenizer),
        "compute_metrics": lesson.scores,
    }
    if teacher is None:
        trainer = OrderedTrainer(lesson.model, arguments, **parts)
    else:
        from .distilling import DistillingTrainer

        trainer = DistillingTrainer(lesson.model, arguments, **parts, teacher=teacher.model, recipe=recipe)
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


def training_arguments(recipe: Recipe, rate: float, seed: int, scratch: str, every_epoch: bool) -> TrainingArguments:
    """The recipe's fine-tuning settings as the Trainer wants them."""
    return TrainingArguments(
        output_dir=scratch,
        learning_rate=rate,
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.task_batch_size,
        per_device_eval_batch_size=recipe.task_batch_size,
        warmup_steps=min(recipe.warmup, 1 - 1e-9),  # 1 would be one step, and less is a share
        max_grad_norm=recipe.clip,
        weight_decay=recipe.weight_decay,
        train_sampling_strategy="group_by_length",  # less padding; benchmarks/finetuning.py measures how much
        eval_strategy="epoch" if every_epoch else "no",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        seed=seed,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def with_head(model: BertForMaskedLM, task: Task, attention_dropout: float = 0.1) -> PreTrainedModel:
    """A copy of the model's encoder under a fresh head: a classifier, or where the answer begins and ends."""
    config = type(model.config).from_dict(model.config.to_dict())
    config.attention_probs_dropout_prob = attention_dropout
    if task.layout:
        config.id2label = dict(enumerate(task.meanings))
        config.label2id = {meaning: index for index, meaning in enumerate(task.meanings)}
    headed = (BertForSequenceClassification if task.layout else BertForQuestionAnswering)(config)
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
        return rows.map(tokens, batched=True, remove_columns=[name for name in rows.column_names if name != "label"])


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
