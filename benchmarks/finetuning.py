"""Rows a second of fine-tuning, in processor time: this package, its earlier way, and transformers' example.

python benchmarks/finetuning.py [--task-dir FOLDER] [--rows N] [--epochs N] [--seeds N] [--model FOLDER …]

Three ways to the same thing, from rows to a dev score, with the same model, rate, batch and seeds:

- "now": ``minirbt_helpers.tasks.finetune``: rows tokenised once for all runs, batches of like length in random order,
  a quick dropout, dev rows scored 128 at a time;
- "sorted": as this package did it before: the Trainer's ``group_by_length``, rows tokenised and padded by the library
  in every run, torch's dropout, dev rows scored in batches as small as those that are trained on;
- "example": what transformers' example for text classification does by default: rows in random order, all padded to
  the full length.

The ways take turns, on one thread, seed by seed. Prints a JSON line per run, and last for every model rows a second
(of training, epochs counted; median over seeds), the ratios, and what dev accuracy says: the verdict over seeds.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
from datasets import disable_progress_bars
from transformers import DataCollatorWithPadding, Trainer, set_seed
from transformers.trainer_callback import PrinterCallback

from minirbt_helpers.models import load_model, load_tokenizer
from minirbt_helpers.recipe import Recipe, load_recipe
from minirbt_helpers.tasks import TASKS, finetune, with_head
from minirbt_helpers.tasks.finetuning import Prepared, prepare, training_arguments
from minirbt_helpers.verdict import compare

TASK, RATE = TASKS["chnsenticorp"], 5e-4
WAYS = ("now", "sorted", "example")


def now(recipe: Recipe, model, tokenizer, seed: int, prepared: Prepared) -> float:
    """Dev accuracy of this package's fine-tuning."""
    settings = {"learning_rate": RATE, "seed": seed, "prepared": prepared, "every_epoch": False, "progress": False}
    return finetune(recipe, TASK, model, tokenizer, **settings).score


def by_library(way: str, recipe: Recipe, model, tokenizer, seed: int) -> float:
    """Dev accuracy with transformers' own parts."""

    def tokens(batch: dict) -> dict:
        padding = "max_length" if way == "example" else False
        return tokenizer(batch["text"], truncation=True, max_length=recipe.task_length, padding=padding)

    train, dev = (TASK.load(recipe.task_dir, split) for split in ("train", "dev"))
    train, dev = (
        rows.map(tokens, batched=True, remove_columns=["text"])
        for rows in (train.select(range(min(len(train), recipe.task_rows))), dev)
    )
    set_seed(seed)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = training_arguments(recipe, RATE, seed, scratch, every_epoch=False)
        arguments.train_sampling_strategy = "random" if way == "example" else "group_by_length"
        arguments.per_device_eval_batch_size = recipe.task_batch_size
        trainer = Trainer(
            with_head(model, TASK, recipe.task_attention_dropout),
            arguments,
            train_dataset=train,
            eval_dataset=dev,
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=lambda got: {"accuracy": float((got.predictions.argmax(-1) == got.label_ids).mean())},
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        return trainer.evaluate()["eval_accuracy"]


def measure(folder: Path, recipe: Recipe, seeds: int) -> dict:
    """All ways with one model, turn and turn about."""
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    few = recipe.model_copy(update={"task_rows": 2 * recipe.task_batch_size, "epochs": 1})
    now(few, model, tokenizer, 0, prepare(few, TASK, tokenizer))  # whoever is first pays for loading libraries
    begin = time.process_time()
    prepared = prepare(recipe, TASK, tokenizer)
    once = (time.process_time() - begin) / seeds  # a share for every run
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    accuracy: dict[str, list[float]] = {way: [] for way in WAYS}
    for seed in range(seeds):
        for way in WAYS:
            begin = time.process_time()
            known = (recipe, model, tokenizer, seed)
            accuracy[way].append(now(*known, prepared) if way == "now" else by_library(way, *known))
            seconds[way].append(time.process_time() - begin + (once if way == "now" else 0))
            row = {"model": folder.name, "way": way, "seed": seed, "seconds": round(seconds[way][-1], 2)}
            print(json.dumps(row | {"accuracy": round(accuracy[way][-1], 4)}), flush=True)
    done = prepared.rows * recipe.epochs
    speed = {way: done / statistics.median(took) for way, took in seconds.items()}
    return {
        "model": folder.name,
        "rows_per_second": {way: round(one, 1) for way, one in speed.items()},
        "times_as_fast": {way: round(speed["now"] / speed[way], 2) for way in WAYS[1:]},
        "accuracy": {way: f"now {compare(accuracy['now'], accuracy[way])}" for way in WAYS[1:]},
    }


def main() -> None:
    """Measure every model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task-dir", default="data_samples/tasks")
    parser.add_argument("--model", type=Path, nargs="+", default=[Path("data_samples/models/student")])
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)  # processor time is then the time of one core
    disable_progress_bars()
    settings = {"task_dir": options.task_dir, "task_rows": options.rows, "epochs": options.epochs}
    recipe = load_recipe("sample", task_batch_size=16, **settings)
    for folder in options.model:
        print(json.dumps(measure(folder, recipe, options.seeds)), flush=True)


if __name__ == "__main__":
    main()
