"""How much faster fine-tuning is by sorting and padding to the batch than by padding every row to 512 tokens.

python benchmarks/finetuning.py [--task-dir FOLDER] [--rows N] [--epochs N] [--seeds N] [--model FOLDER]

The alternative is what transformers' example for text classification does with ``pad_to_max_length`` at 512 tokens, in
the same Trainer with the same rows, rate, seed and number of steps. Both take turns. Prints a JSON line per run, and
last rows trained on per second (median over seeds), their ratio, and the dev accuracy of every seed.
"""

import argparse
import json
import statistics
import tempfile
import time

from datasets import disable_progress_bars
from transformers import DataCollatorWithPadding, set_seed
from transformers.trainer_callback import PrinterCallback

from minirbt_helpers.models import load_model, load_tokenizer
from minirbt_helpers.recipe import Recipe, load_recipe
from minirbt_helpers.tasks import TASKS, with_head
from minirbt_helpers.tasks.finetuning import training_arguments
from minirbt_helpers.tasks.trainer import OrderedTrainer

TASK, RATE, LENGTH = TASKS["chnsenticorp"], 1e-3, 512


def run(way: str, recipe: Recipe, model, tokenizer, seed: int) -> tuple[float, float]:
    """Seconds of training, and dev accuracy."""

    def tokens(batch: dict) -> dict:
        padding = "max_length" if way == "padded" else False
        return tokenizer(batch["text"], truncation=True, max_length=LENGTH, padding=padding)

    train, dev = (
        TASK.load(recipe.task_dir, split).map(tokens, batched=True, remove_columns=["text"])
        for split in ("train", "dev")
    )
    set_seed(seed)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = training_arguments(recipe, RATE, seed, scratch, every_epoch=False)
        if way == "padded":
            arguments.train_sampling_strategy = "random"
        trainer = OrderedTrainer(
            with_head(model, TASK, recipe.task_attention_dropout),
            arguments,
            train_dataset=train.select(range(min(len(train), recipe.task_rows))),
            eval_dataset=dev,
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=lambda got: {"accuracy": float((got.predictions.argmax(-1) == got.label_ids).mean())},
        )
        trainer.remove_callback(PrinterCallback)
        begin = time.perf_counter()
        trainer.train()
        return time.perf_counter() - begin, trainer.evaluate()["eval_accuracy"]


def main() -> None:
    """Measure both, turn and turn about."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task-dir", default="data_samples/tasks")
    parser.add_argument("--model", default="data_samples/models/student")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    recipe = load_recipe(
        "sample", task_dir=options.task_dir, task_rows=options.rows, epochs=options.epochs, task_length=LENGTH
    )
    model, tokenizer = load_model(options.model), load_tokenizer(options.model)
    disable_progress_bars()
    found: dict[str, list[tuple[float, float]]] = {"sorted": [], "padded": []}
    for seed in range(options.seeds):
        for way, runs in found.items():
            runs.append(run(way, recipe, model, tokenizer, seed))
            print(json.dumps({"way": way, "seed": seed, "seconds": runs[-1][0], "accuracy": runs[-1][1]}), flush=True)
    done = min(options.rows, len(TASK.load(options.task_dir, "train"))) * options.epochs
    speed = {name: done / statistics.median(seconds for seconds, _ in runs) for name, runs in found.items()}
    accuracy = {name: [round(score, 4) for _, score in runs] for name, runs in found.items()}
    print(json.dumps({"rows_per_second": speed, "ratio": speed["sorted"] / speed["padded"], "accuracy": accuracy}))


if __name__ == "__main__":
    main()
