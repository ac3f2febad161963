"""What a start is worth to a new model: random, from counts, and from counts with heads that look at neighbours.

The first phase of ``minirbt pretrain`` (three layers, short blocks, single tokens masked) from each start, with the
same batches, seed by seed. Measured is all held-out text. Leaves JSON lines in benchmarks/results; rows that are
there already are not made again.

    python benchmarks/starts.py --text T --heldout H
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

from datasets import Dataset
from students import append, is_there
from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from minirbt_helpers.course import Lesson
from minirbt_helpers.models import find_architecture
from minirbt_helpers.recipe import Recipe, load_recipe
from minirbt_helpers.training import GROWTH, held_out, pretrain
from minirbt_helpers.training.growing import depth_of, length_of, random_start, seedling, settings_of

RESULTS = Path(__file__).parent / "results" / "starts.jsonl"
ARCHITECTURE = find_architecture("RoBERTa-wwm-ext")
PHASE = GROWTH[0]
DEPTH = depth_of(PHASE, ARCHITECTURE)
LOOKS = 6  # at held-out text, on the way


def from_nothing(recipe: Recipe, blocks: Dataset, tokenizer: PreTrainedTokenizerBase) -> BertForMaskedLM:
    """BERT's random start, without dropout as the others."""
    return random_start(recipe, ARCHITECTURE, tokenizer, DEPTH)


def from_counts(recipe: Recipe, blocks: Dataset, tokenizer: PreTrainedTokenizerBase) -> BertForMaskedLM:
    """Embeddings and bias from counts, attention at random."""
    model = with_neighbours(recipe, blocks, tokenizer)
    model.bert.encoder.layer[0].attention = from_nothing(recipe, blocks, tokenizer).bert.encoder.layer[0].attention
    return model


def with_neighbours(recipe: Recipe, blocks: Dataset, tokenizer: PreTrainedTokenizerBase) -> BertForMaskedLM:
    """As ``minirbt pretrain`` begins."""
    return seedling(recipe, ARCHITECTURE, tokenizer, blocks, DEPTH)


STARTS: dict[str, Callable[[Recipe, Dataset, PreTrainedTokenizerBase], BertForMaskedLM]] = {
    "random": from_nothing,
    "from counts": from_counts,
    "from counts, looking at neighbours": with_neighbours,
}


def main() -> None:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text")
    parser.add_argument("--heldout")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    for seed in range(asked.seeds):
        recipe = load_recipe("sample", seed=seed, text=asked.text, heldout=asked.heldout)
        lesson = Lesson(recipe)
        blocks, heldout = lesson.blocks_of(length_of(PHASE, recipe))
        settings = settings_of(PHASE, recipe).model_copy(
            update={"steps": asked.steps, "evaluate_every": asked.steps // LOOKS, "checkpoint_every": asked.steps}
        )
        for name, start in STARTS.items():
            tokens = settings.batch_size * settings.length * asked.steps
            key = {"start": name, "seed": seed, "steps": asked.steps, "tokens": tokens}
            if is_there(key, RESULTS):
                continue
            model = start(settings, blocks, lesson.tokenizer)
            with tempfile.TemporaryDirectory() as folder:
                texts = {"blocks": blocks, "heldout": heldout, "tokenizer": lesson.tokenizer}
                done = pretrain(settings, model, **texts, output=Path(folder) / "model", progress=False)
            row = key | {
                "way": [[look["step"], round(look["mlm_loss"], 3)] for look in done.metrics if "mlm_loss" in look]
            }
            for unit in ("word", "token"):
                found = held_out(done.model, heldout, lesson.tokenizer, unit=unit, limit=None)
                row[unit] = {figure: round(found[figure], 4) for figure in ("top1", "top5", "mlm_loss", "masked")}
            append(row, RESULTS)


if __name__ == "__main__":
    main()
