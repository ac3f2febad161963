"""How well the sample models fill in masked Chinese: the figures of the model cards.

Top 1 and top 5 on held-out text, whole words and single tokens masked, in all and by class: words of two tokens and
more lead, for marks and the commonest characters are most of what a weak model gets right. Beside the models stand two
that know no more than counts: the most frequent tokens, and those most frequent beside the token to the left (if it is
masked, to the right; if both are, anywhere). Every chosen token is replaced by [MASK], and all are asked the same.
Besides, the gaps of data_samples/cloze.jsonl, and of cloze_unseen.jsonl, which nobody looked at while a model was made;
a question is *new* if its sentence stands nowhere in the texts, its ideographs compared.

    python benchmarks/heldout.py --text runs/family/wiki --heldout wiki=runs/family/heldout \\
        --heldout sample=data_samples/corpus/heldout --output data_samples/results/heldout.json
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from minirbt_helpers.course import Lesson
from minirbt_helpers.insight import model_folders
from minirbt_helpers.models import load_model, load_tokenizer, take_layers
from minirbt_helpers.recipe import load_recipe
from minirbt_helpers.tasks import as_markdown
from minirbt_helpers.text import is_chinese, text_lines
from minirbt_helpers.text.masking import IGNORED
from minirbt_helpers.training import CLASSES, classed_questions, held_out
from minirbt_helpers.workspace import versions, write_json

SAMPLES = Path(__file__).parents[1] / "data_samples"
MODELS = SAMPLES / "models"
CLOZE = ("cloze", "cloze_unseen")
UNITS = {"whole words": "word", "single tokens": "token"}
BEST = 5


def main() -> None:
    """Measure every model on every held-out text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=MODELS, help="folder with a folder per model")
    parser.add_argument("--text", help="what the counts are taken from")
    parser.add_argument("--heldout", action="append", required=True, help="name=file or folder; repeat")
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    teacher = asked.models / "teacher"
    models = {name: load_model(folder) for name, folder in model_folders(asked.models).items()}
    models["assistant, untrained"] = take_layers(models["teacher"], range(6))
    models["every second layer, untrained"] = take_layers(models["teacher"], range(0, 12, 2))
    result: dict = {"versions": versions()}
    for name, text in (one.split("=", 1) for one in asked.heldout):
        lesson = Lesson(load_recipe("sample", teacher=str(teacher), text=asked.text, heldout=text))
        table = {}
        for unit, kind in UNITS.items():
            table[unit] = {
                model: figures(held_out(weights, lesson.heldout, lesson.tokenizer, unit=kind, limit=None))
                for model, weights in models.items()
            }
            table[unit] |= by_counts(lesson, kind)
        result[name] = table
        print(markdown(name, table), flush=True)
    result["cloze"] = all_cloze(models, load_tokenizer(teacher), asked.text)
    for name, table in result["cloze"].items():
        print(as_markdown([{name: model, **{key: str(n) for key, n in of.items()}} for model, of in table.items()]))
    write_json(asked.output, result)


def all_cloze(
    models: dict[str, BertForMaskedLM], tokenizer: PreTrainedTokenizerBase, text: str | None
) -> dict[str, dict]:
    """Both sets of gaps, asked of all models."""
    read = "\n".join(map(ideographs, text_lines(text or load_recipe("sample").text)))
    result = {}
    for name in CLOZE:
        lines = (SAMPLES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        questions = [json.loads(line) for line in lines]
        sentences = [ideographs(one["text"].replace("[MASK]", one["answer"])) for one in questions]
        new = torch.tensor([sentence not in read for sentence in sentences])
        result[name] = {model: cloze(weights, tokenizer, questions, new) for model, weights in models.items()}
    return result


def ideographs(line: str) -> str:
    """A line without everything else."""
    return "".join(filter(is_chinese, line))


@torch.no_grad()
def cloze(
    model: BertForMaskedLM, tokenizer: PreTrainedTokenizerBase, questions: list[dict], new: torch.Tensor
) -> dict[str, int]:
    """How many gaps are filled in right at the first guess, and among five; in all, and of the new ones."""
    encoded = tokenizer([one["text"] for one in questions], return_tensors="pt", padding=True)
    logits = model(**encoded).logits[encoded["input_ids"] == tokenizer.mask_token_id]  # [questions, vocabulary]
    right = torch.tensor(tokenizer.convert_tokens_to_ids([one["answer"] for one in questions]))
    hits = logits.topk(BEST).indices == right[:, None]  # [questions, 5]
    counts = {"right": int(hits[:, 0].sum()), "among five": int(hits.sum()), "asked": len(questions)}
    of_new = {"right, new": hits[new, 0], "among five, new": hits[new], "asked, new": new}
    return counts | {name: int(found.sum()) for name, found in of_new.items()}


def figures(measured: dict) -> dict:
    """What is kept of a measurement."""
    return {name: round(value, 5) for name, value in measured.items() if name != "kd_loss"}


def by_counts(lesson: Lesson, unit: str) -> dict[str, dict]:
    """The two models that only count, asked as :func:`held_out` asks."""
    size, ignored = len(lesson.tokenizer), lesson.tokenizer.all_special_ids
    tokens = np.concatenate(list(lesson.blocks.with_format("numpy")[:]["input_ids"])).astype(np.int64)
    alone = np.bincount(tokens, minlength=size)
    alone[ignored] = 0
    pairs = np.bincount(tokens[:-1] * size + tokens[1:], minlength=size * size).reshape(size, size)
    pairs[:, ignored] = 0
    after, before = best(pairs), best(pairs.T)
    common = np.argsort(-alone)[:BEST]

    def frequent(ids: np.ndarray, row: int, place: int) -> np.ndarray:
        return common

    def beside(ids: np.ndarray, row: int, place: int) -> np.ndarray:
        left, right = ids[row, place - 1], ids[row, place + 1]
        if left not in ignored:
            return after[left]
        return before[right] if right not in ignored else common

    return {"most frequent token": asked_of(frequent, lesson, unit), "bigrams": asked_of(beside, lesson, unit)}


def best(pairs: np.ndarray) -> np.ndarray:
    """For every token its most frequent neighbours: [vocabulary, BEST]."""
    return torch.from_numpy(pairs).topk(BEST).indices.numpy()


def asked_of(guess: Callable, lesson: Lesson, unit: str) -> dict:
    """Top 1 and top 5 of a way to guess, in all and by class, over all held-out blocks."""
    hits = np.zeros((len(CLASSES), 3))  # top1, top5, masked
    for batch, classes in classed_questions(lesson.heldout, lesson.tokenizer, unit=unit, limit=None):
        ids, labels, kinds = batch["input_ids"].numpy(), batch["labels"].numpy(), classes.numpy()
        for row, place in zip(*np.nonzero(labels != IGNORED), strict=True):
            guesses, right = guess(ids, row, place), labels[row, place]
            hits[kinds[row, place]] += (guesses[0] == right, right in guesses, 1)
    named = {"": hits.sum(0)} | {f"{name}_": of for name, of in zip(CLASSES, hits, strict=True)}
    return figures(
        {
            f"{name}{figure}": value
            for name, (first, fifth, masked) in named.items()
            for figure, value in (("top1", first / masked), ("top5", fifth / masked), ("masked", int(masked)))
        }
    )


def markdown(name: str, table: dict) -> str:
    """The table of a held-out text, in per cent: words of two tokens and more first, then all."""
    lines = []
    for model in table["whole words"]:
        line = {f"{name}, top 1 / top 5": model}
        for title, figure in (("words of two and more", "words_"), ("all", "")):
            for unit in UNITS:
                of = table[unit][model]
                line[f"{title}, {unit}"] = f"{of[f'{figure}top1']:.1%} / {of[f'{figure}top5']:.1%}"
        lines.append(line)
    return as_markdown(lines)


if __name__ == "__main__":
    main()
