"""What notebook 04's live runs come to, seed by seed: two stages, one stage, the published temperature, no teacher.

All have the live recipe of the sample scale; another seed changes start, order and masks. Measured is all held-out
text, whole words masked: first guesses in all and for words of two and more, and how many different answers there are;
beside them bigrams, counted in the training text. Seconds are of processor time. Rows are appended to
benchmarks/results/live.jsonl, and those that are there already are not made again; live.md has means and verdicts.

    python benchmarks/live.py [--seeds 3]
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import fmean

import torch
from heldout import by_counts
from students import append, is_there, read, ruling, spread

from minirbt_helpers.course import Lesson
from minirbt_helpers.models import find_architecture
from minirbt_helpers.recipe import live_recipe, load_recipe
from minirbt_helpers.tasks import as_markdown
from minirbt_helpers.training import MaskedPositions, distill, held_out, held_out_questions, pretrain
from minirbt_helpers.training.distillation import newborn
from minirbt_helpers.training.runs import identity

RESULTS = Path(__file__).parent / "results" / "live.jsonl"
WAYS = ("two stages", "one stage", "one stage, T = 8", "plain MLM")
AGAINST = {"two stages": "one stage", "one stage": "plain MLM", "one stage, T = 8": "one stage"}
MEASURED = ("words_top1", "top1", "top5")


def main() -> None:
    """Make what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    for seed in range(asked.seeds):
        lesson = Lesson(load_recipe("sample", seed=seed))
        for way in WAYS:
            key = {"way": way, "seed": seed, "teacher": identity(lesson.teacher)}
            if not is_there(key, RESULTS):
                append(key | made(way, lesson), RESULTS)
    rows = [row for row in read(RESULTS) if row["teacher"] == identity(lesson.teacher)]
    table = markdown(rows, by_counts(lesson, "word")["bigrams"])
    RESULTS.with_suffix(".md").write_text(table, encoding="utf-8")
    print(table)


def made(way: str, lesson: Lesson) -> dict:
    """The figures of one run, and its processor seconds, those of the assistant included."""
    recipe, teacher = live_recipe(lesson.recipe), lesson.teacher
    if way.endswith("T = 8"):
        recipe = recipe.model_copy(update={"temperature": 8.0})
    texts, began = {"blocks": lesson.blocks, "heldout": lesson.heldout, "progress": False}, time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        if way == "two stages":
            quarter = {name: getattr(recipe, name) // 4 for name in ("steps", "evaluate_every")}
            short = recipe.model_copy(update=quarter)
            teacher = distill(short, "assistant", **texts, teacher=teacher, output=Path(folder) / "assistant").model
        student = newborn(recipe, find_architecture(recipe.student), teacher)
        arguments = texts | {"output": Path(folder) / "student"}
        if way == "plain MLM":
            model = pretrain(recipe, student, **arguments).model
        else:
            model = distill(recipe, "student", teacher=teacher, student=student, **arguments).model
    seconds = time.process_time() - began
    figures = held_out(model, lesson.heldout, lesson.tokenizer, limit=None)
    named = {name: round(figures[name], 5) for name in (*MEASURED, "masked")}
    settings = {name: getattr(recipe, name) for name in ("steps", "batch_size", "length", "temperature")}
    shown = {"answers": answers(model, lesson), "seconds": round(seconds, 1)}
    return named | shown | settings


@torch.no_grad()
def answers(model, lesson: Lesson) -> int:
    """How many different first guesses a model gives to all questions."""
    answer = MaskedPositions(model, hidden=False)
    said = [answer(**batch)["logits"].argmax(-1) for batch in held_out_questions(lesson.heldout, lesson.tokenizer)]
    return len(torch.cat(said).unique())


def markdown(rows: list[dict], bigrams: dict) -> str:
    """Means and standard deviations over the seeds, then the verdicts, in pairs of one seed."""
    ways = {way: [row for row in rows if row["way"] == way] for way in WAYS}
    lines = [
        {"way": way}
        | {name: spread([row[name] for row in of], percent=True) for name in MEASURED}
        | {name: f"{fmean(row[name] for row in of):.0f}" for name in ("answers", "seconds")}
        | {"seeds": str(len(of))}
        for way, of in ways.items()
    ]
    nothing = dict.fromkeys(("answers", "seconds", "seeds"), "–")
    lines.append({"way": "bigrams"} | {name: f"{bigrams[name]:.1%}" for name in MEASURED} | nothing)
    verdicts = [
        {"way": way, "against": other} | {name: ruling(name, ways[way], ways[other]) for name in MEASURED[:2]}
        for way, other in AGAINST.items()
    ]
    return as_markdown(lines) + "\n\n" + as_markdown(verdicts) + "\n"


if __name__ == "__main__":
    main()
