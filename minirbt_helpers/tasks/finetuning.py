"""Fine-tuning on a task with transformers' Trainer (notebook 05)."""

import tempfile
from contextlib import ExitStack
from typing import NamedTuple

from datasets import Dataset
from transformers import (
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_callback import PrinterCallback, ProgressCallback, TrainerCallback

from ..errors import CourseError
from ..hub import vocabulary_size
from ..language import N_, _
from ..marks import tell_unknown
from ..models.attention import fast_on_cpu, first_token_alone
from ..recipe import Recipe
from ..workspace import progress_bar, quiet_datasets
from .answering import LONGEST, SHORTEST_WINDOW, best_answers, longest_answer, span_rows, windows
from .finetuned import Finetuned
from .metrics import mean_score
from .registry import Task, find_task
from .trainer import EVALUATION_BATCH, Batches, OrderedTrainer, Rows, as_rows, by_length


def finetune(
    recipe: Recipe,
    task: str | Task,
    model: BertForMaskedLM,
    tokenizer: PreTrainedTokenizerBase,
    *,
    learning_rate: float | None = None,
    seed: int | None = None,
    teacher: Finetuned | None = None,
    prepared: "Prepared | None" = None,
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
        prepared: the task's rows, read and tokenised by :func:`prepare` for several runs; None: done here.
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
        check_fit(teacher.model, tokenizer, recipe, N_("the teacher"))
    seed = recipe.seed if seed is None else seed
    published = task.learning_rate(model.config.num_hidden_layers)
    rate = next(one for one in (learning_rate, recipe.task_learning_rate, published) if one is not None)
    prepared = prepared or prepare(recipe, task, tokenizer)
    set_seed(seed)
    headed = with_head(model, task, recipe.task_attention_dropout)
    lesson = Lesson(prepared)
    if progress:
        read = Dataset.from_dict({"input_ids": [row["input_ids"] for row in prepared.train_rows]})
        if told := tell_unknown(read, tokenizer):
            print(f"{task.name}: {told}")
    classifiers = (headed, teacher.model) if teacher else (headed,)
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        arguments = training_arguments(recipe, rate, seed, scratch, every_epoch)
        headed.to(arguments.device)  # what is quick on a CPU asks where the model is
        stack.enter_context(fast_on_cpu(headed))
        stack.enter_context(first_token_alone(*classifiers))
        trainer = _trainer(headed, lesson, arguments, tokenizer, recipe, teacher)
        if progress:
            title = _("{task} {width}-wide").format(task=task.name, width=model.config.hidden_size)
            trainer.add_callback(_Bar(title, task.metric))
        trainer.train()
        if not every_epoch:
            trainer.evaluate()
    by_epoch = tuple(
        {name: row[f"eval_{name}"] for name in task.metrics} for row in trainer.state.log_history if "eval_loss" in row
    )
    return Finetuned(
        headed.eval(),
        tokenizer,
        task,
        by_epoch,
        learning_rate=rate,
        epochs=recipe.epochs,
        seed=seed,
        rows=prepared.rows,
        length=recipe.task_length,
        repaired=0 if task.layout else sum(prepared.train["repaired"]),
        skipped=len(prepared.train) - prepared.rows,
        teacher=f"{teacher.model.config.hidden_size}-wide" if teacher else "",
        longest=prepared.longest,
        by_row=lesson.by_row,
        kd=trainer.kd_by_epoch() if teacher else (),
    )


def check_fit(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, recipe: Recipe, who: str = N_("the model")
) -> None:
    """Refuse a tokenizer that is not the model's, and texts longer than it has positions."""
    if (size := vocabulary_size(tokenizer)) > model.config.vocab_size:
        raise CourseError(
            "the tokenizer has {size} entries, {who} {entries}",
            fix="use the tokenizer that lies beside the model",
            size=size,
            who=_(who),
            entries=model.config.vocab_size,
        )
    longest = model.config.max_position_embeddings
    if not SHORTEST_WINDOW <= recipe.task_length <= longest:
        raise CourseError(
            "TASK_LENGTH {length}",
            fix="{shortest} to {longest}: {who} has that many positions; longer passages go in windows",
            length=recipe.task_length,
            shortest=SHORTEST_WINDOW,
            longest=longest,
            who=_(who),
        )


def _check_teacher(teacher: Finetuned, task: Task, tokenizer: PreTrainedTokenizerBase) -> None:
    if teacher.task.name != task.name:
        raise CourseError(
            "the teacher was fine-tuned on {theirs}, not on {ours}",
            fix="fine-tune it on the task",
            theirs=teacher.task.name,
            ours=task.name,
        )
    if teacher.task.labels != task.labels:
        theirs, ours = ", ".join(teacher.task.labels), ", ".join(task.labels)
        raise CourseError(
            "the teacher knows the labels {theirs}, and the rows have {ours}",
            fix="fine-tune the teacher on rows with the same labels",
            theirs=theirs,
            ours=ours,
        )
    check_vocabularies(teacher.tokenizer, tokenizer, N_("teacher and student"))


def check_vocabularies(one: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase, who: str) -> None:
    """Refuse two tokenizers that have not the same entries under the same numbers."""
    if one.get_vocab() != other.get_vocab():
        raise CourseError(
            "{who} have different vocabularies", fix="both must read the same tokens: take one tokenizer", who=_(who)
        )


class Prepared(NamedTuple):
    """A task's rows, read and tokenised once for all runs that share rows, tokenizer and length.

    Attributes:
        train, dev: as :meth:`~minirbt_helpers.tasks.Task.load` gives them, train cut to the recipe's ``task_rows``.
        rows: how many of the train rows can be learned from.
        train_rows, dev_rows: what the model reads; the dev rows (or windows) sorted by length.
        cut: the windows of the dev questions in that order; for labels the place of every sorted row in ``dev``.
    """

    train: Dataset
    dev: Dataset
    rows: int
    train_rows: Rows
    dev_rows: Rows
    cut: Dataset | list[int]
    longest: int = LONGEST


def used_rows(recipe: Recipe, task: Task) -> tuple[Dataset, Dataset]:
    """The train rows, the recipe's ``task_rows`` of them at most, and the dev rows."""
    train, dev = (task.load(recipe.task_dir, split) for split in ("train", "dev"))
    return train.select(range(min(len(train), recipe.task_rows or len(train)))), dev


def prepare(recipe: Recipe, task: Task, tokenizer: PreTrainedTokenizerBase) -> Prepared:
    """Read and tokenise a task's rows.

    Raises:
        CourseError: missing or broken files, or no row to learn from.
    """
    (train, dev), length = used_rows(recipe, task), recipe.task_length
    if task.layout:
        encoded, order = by_length(encode(dev, tokenizer, length))
        return Prepared(train, dev, len(train), as_rows(encode(train, tokenizer, length)), as_rows(encoded), order)
    rows, learned = learnable(windows(train, tokenizer, length))
    cut, _ = by_length(windows(dev, tokenizer, length))
    return Prepared(train, dev, rows, as_rows(learned), as_rows(cut), cut, longest_answer(learned))


class Lesson:
    """Scores the dev rows for the Trainer, and keeps the score of every row from the last time.

    Attributes:
        by_row: per measure, a score per dev row, in the rows' own order.
    """

    def __init__(self, prepared: Prepared):
        self.prepared, self.by_row = prepared, {}

    def __call__(self, got: EvalPrediction) -> dict[str, float]:
        dev, cut = self.prepared.dev, self.prepared.cut
        if isinstance(cut, Dataset):
            best = best_answers(*got.predictions, cut, dev["context"], longest=self.prepared.longest)
            self.by_row = span_rows((answers[0].text if answers else "" for answers in best), dev)
        else:
            right = dict(zip(cut, (got.predictions.argmax(-1) == got.label_ids).astype(float).tolist(), strict=True))
            self.by_row = {"accuracy": [right[place] for place in range(len(dev))]}
        return {name: mean_score(scores) for name, scores in self.by_row.items()}


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
    model: PreTrainedModel,
    lesson: Lesson,
    arguments: TrainingArguments,
    tokenizer: PreTrainedTokenizerBase,
    recipe: Recipe,
    teacher: Finetuned | None,
) -> OrderedTrainer:
    parts = {
        "train_dataset": lesson.prepared.train_rows,
        "eval_dataset": lesson.prepared.dev_rows,
        "data_collator": Batches(tokenizer.pad_token_id),
        "compute_metrics": lesson,
    }
    if teacher is None:
        trainer = OrderedTrainer(model, arguments, **parts)
    else:
        from .distilling import DistillingTrainer

        trainer = DistillingTrainer(model, arguments, **parts, teacher=teacher.model, recipe=recipe)
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
        per_device_eval_batch_size=max(EVALUATION_BATCH, recipe.task_batch_size),
        warmup_steps=min(recipe.warmup, 1 - 1e-9),  # 1 would be one step, and less is a share
        max_grad_norm=recipe.clip,
        weight_decay=recipe.weight_decay,
        remove_unused_columns=False,
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
        raise CourseError(
            "the encoder does not fit: {names}", fix="give a BERT of save_pretrained", names=missing or unexpected
        )
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
        self.bar = progress_bar(total=state.max_steps, desc=self.title, unit=_("step"))

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self.bar.update()

    def on_evaluate(self, args, state, control, metrics=None, **kwargs) -> None:
        measure = _("dev {measure}").format(measure=_(self.metric))
        self.bar.set_postfix({measure: f"{metrics[f'eval_{self.metric}']:.1%}"})

    def on_train_end(self, args, state, control, **kwargs) -> None:
        self.bar.close()
