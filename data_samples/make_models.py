"""Train the shipped models anew, with the package's own commands, and ship them.

    python data_samples/make_texts.py CORPORA WORK     # texts and tokenizer
    python data_samples/make_models.py WORK            # hours on two cores; run it again to go on
    python data_samples/make_models.py WORK --ship     # measure, and write data_samples/models

WORK/<model> is what a command leaves; WORK/<model>.log what it said. Shipped is float16, with a card.
"""

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import torch
from make_texts import HELD_OUT as LAST_LINES
from make_texts import MIXTURES, SAMPLE_TIMES, SOURCES, WIKI
from transformers import BertForMaskedLM, BertTokenizer

from minirbt_helpers.tasks import as_markdown

HERE = Path(__file__).parent
SHIPPED = HERE / "models"
HELD_OUT = HERE / "results" / "heldout.json"
GROWTH = HERE / "results" / "growth.jsonl"
HELD_OUT_TEXTS = {  # an absolute folder stays what it is beside WORK
    "wiki": "heldout",
    "wiki, unlike any line read": "unlike",
    "sample": HERE / "corpus" / "heldout",
}
COMMON = "--teacher {work}/{teacher} --heldout {work}/heldout --output-dir {work}/runs --precision {precision}"
READING = f"{COMMON} --text {{work}}/talk"
RAISED = "--mask-probability 0.2 --checkpoint-every 200"
LAST = f"--length 128 --batch-size 32 --micro-batch 32 {RAISED} --warmup 0.02 --evaluate-every 400"
BATCH = "--length 128 --batch-size 32 --micro-batch 16 --evaluate-every 100 --checkpoint-every 200"
DISTILLED = f"distill {READING}"
SHORT = "--length 32 --batch-size 64 --micro-batch 64 --learning-rate 3e-3 --steps 16000"
LONG = "--length 128 --batch-size 16 --micro-batch 16 --learning-rate 2e-3 --steps 3600"


def newborn(name: str, options: str) -> tuple[str, str]:
    """The commands that make a student that starts at random: on short blocks first."""
    command = f"{DISTILLED} --mask-unit both --evaluate-every 1000 --checkpoint-every 500 {options}"
    short, output = f"{{work}}/{name}-short", f"{{work}}/{name}"
    return f"{command} {SHORT} --output {short}", f"{command} {LONG} --student-weights {short} --output {output}"


# Folder of the model: architecture, what it is, commands.
FAMILY = {
    "teacher": (
        "RoBERTa-wwm-ext",
        "The teacher: pre-trained from nothing, three layers, then six, then twelve; then on other texts",
        (
            f"pretrain {COMMON} --text {{work}}/technical --minutes 80 --compile --batch-size 64 --micro-batch 32 "
            f"{RAISED} --learning-rate 1.2e-3 --evaluate-every 200 --output {{work}}/teacher-first",
            f"pretrain {COMMON} --text {{work}}/wiki --model {{work}}/teacher-first --length 64 --batch-size 64 "
            f"--micro-batch 64 {RAISED} --learning-rate 1.2e-3 --warmup 0.0167 --decay 0 --steps 1800 "
            "--evaluate-every 500 --output {work}/teacher-more",
            f"pretrain {COMMON} --text {{work}}/sentences --model {{work}}/teacher-more {LAST} --learning-rate 1.2e-3 "
            "--steps 2300 --output {work}/teacher-last",
            f"pretrain {READING} --model {{work}}/teacher-last {LAST} --learning-rate 8e-4 --steps 2200 "
            "--output {work}/teacher",
        ),
    ),
    "assistant": (
        "RBT6",
        "The teacher assistant: the teacher's first six layers, distilled from it",
        (f"{DISTILLED} {BATCH} --learning-rate 1e-3 --steps 1600 --stage assistant --output {{work}}/assistant",),
    ),
    "student": (
        "MiniRBT-H256",
        "The student: distilled from the assistant, the second of two stages",
        newborn("student", "--stage student --from-teacher {work}/assistant"),
    ),
    "one-stage": (
        "MiniRBT-H256",
        "The student without the detour: distilled from the teacher",
        newborn("one-stage", "--stage one-stage"),
    ),
    "h288": (
        "MiniRBT-H288",
        "The wider student: distilled from the assistant",
        newborn("h288", "--stage student --student MiniRBT-H288 --from-teacher {work}/assistant"),
    ),
    "h312": (
        "RBT4-H312",
        "Wide and shallow: distilled from the teacher",
        newborn("h312", "--stage one-stage --student RBT4-H312"),
    ),
    "rbt3": (
        "RBT3",
        "The teacher's first three layers, trained on without distillation",
        (
            "init {work}/rbt3-start --teacher {work}/teacher --layers 0,1,2",
            f"pretrain {READING} {BATCH} --mask-unit both --learning-rate 1e-3 --steps 4000 "
            "--model {work}/rbt3-start --output {work}/rbt3",
        ),
    ),
}
CARD = """---
language: zh
license: cc-by-sa-4.0
library_name: transformers
pipeline_tag: fill-mask
---
# {title} ({shape})

A model of the MiniRBT course, `{folder}` at sample scale: {architecture} at a quarter of every width, with the
course's own WordPiece vocabulary of {entries:,} entries. `BertForMaskedLM`, float16 on disk, {parameters:.2f} million
parameters.

## Training
{story}

```sh
{commands}
```

On {hardware}, {tokens:.1f} million tokens. The texts and the tokenizer are those of `data_samples/make_texts.py`:

{texts}

## Measured
{tables}

Masked tokens asked: {asked}. None of the texts was
trained on; some of the wiki lines share twelve ideographs in a row with a line that the teacher's first part read, so
the lines unlike any read stand apart. All chosen tokens are replaced by [MASK]; `benchmarks/heldout.py` asks every
model the same.

**Licence** CC BY-SA 4.0, as some of the texts are. **Intended use** teaching and testing: it is a quarter as wide as
the published model and saw millions of tokens, not billions. It knows little, and what it says is not to be relied on.
"""


def main() -> None:
    """Train what is missing, or ship what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", action="append", choices=FAMILY, help="train these alone; repeat")
    parser.add_argument("--processes", type=int, default=1, help="that share a run, as many micro-batches permit")
    parser.add_argument("--precision", default="bf16", help="fp32 where the processor has no bfloat16 tiles (AMX)")
    parser.add_argument("--ship", action="store_true")
    parser.add_argument("--hardware", default="two CPU cores", help="for the cards")
    asked = parser.parse_args()
    if asked.ship:
        ship(asked.work, asked.hardware)
        return
    for name in asked.only or FAMILY:
        for command in FAMILY[name][2]:
            command = filled(command, asked.work, name, asked.precision)
            run(command, asked.work / f"{name}.log", asked.processes)


def filled(command: str, work: Path | str, name: str, precision: str) -> str:
    """A command of the family with its folders; the teacher's tokenizer is there before the teacher."""
    return command.format(work=work, teacher="tokenizer" if name == "teacher" else "teacher", precision=precision)


def run(command: str, log: Path, processes: int) -> None:
    """Run a command of the package, shared by some processes where it trains."""
    launcher = [sys.executable, "-m"]
    if processes > 1 and not command.startswith("init"):
        launcher += ["torch.distributed.run", "--nproc-per-node", str(processes), "-m"]
    print(command, flush=True)
    with open(log, "a", encoding="utf-8") as stream:
        subprocess.run([*launcher, "minirbt_helpers", *shlex.split(command)], stderr=stream, check=True)


def ship(work: Path, hardware: str) -> None:
    """Write every trained model to data_samples/models, measure all of them, and write their cards."""
    there = [name for name in FAMILY if (work / name / "model.safetensors").is_file()]
    for name in there:
        half(work / name, SHIPPED / name)
    measured = [word for text, folder in HELD_OUT_TEXTS.items() for word in ("--heldout", f"{text}={work / folder}")]
    benchmark = [sys.executable, str(HERE.parent / "benchmarks" / "heldout.py"), "--text", str(work / "talk")]
    subprocess.run([*benchmark, *measured, "--output", str(HELD_OUT)], check=True)
    with open(GROWTH, "w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in growth(work, "teacher"))
    figures = json.loads(HELD_OUT.read_text(encoding="utf-8"))
    for name in there:
        (SHIPPED / name / "README.md").write_text(card(work, name, figures, hardware), encoding="utf-8")


def half(source: Path, target: Path) -> None:
    """A model in float16, with its tokenizer and the recipe it was made with."""
    shutil.rmtree(target, ignore_errors=True)
    BertForMaskedLM.from_pretrained(source, dtype=torch.float16).save_pretrained(target)
    BertTokenizer.from_pretrained(source).save_pretrained(target)
    for name in ("recipe.json", "versions.json"):
        text = (source / name).read_text(encoding="utf-8")
        (target / name).write_text(text.replace(str(source.parent), "WORK"), encoding="utf-8")


def card(work: Path, name: str, figures: dict, hardware: str) -> str:
    """The model card, filled from the run and the measurements."""
    architecture, story, commands = FAMILY[name]
    model = BertForMaskedLM.from_pretrained(SHIPPED / name)
    config = model.config
    compared = dict.fromkeys([name, "teacher", "assistant", "bigrams", "most frequent token"])
    return CARD.format(
        title=story.split(":")[0],
        shape=f"{config.num_hidden_layers} x {config.hidden_size}",
        folder=name,
        architecture=architecture,
        entries=config.vocab_size,
        parameters=sum(weight.numel() for weight in model.parameters()) / 1e6,
        story=story + ".",
        commands="\n".join(f"minirbt {filled(one, 'WORK', name, precision_of(one, work))}" for one in commands),
        hardware=hardware,
        tokens=sum(one["steps"] * tokens_per_step(one) for one in map(settings, phases(work, name))) / 1e6,
        texts=texts_read(dict.fromkeys(option(one, "--text") for one in trainings(name))),
        tables="\n\n".join(table(text, figures[text], list(compared)) for text in HELD_OUT_TEXTS),
        asked=", ".join(f"{figures[text]['whole words'][name]['masked']:,} ({text})" for text in HELD_OUT_TEXTS),
    )


def texts_read(mixtures: Collection[str]) -> str:
    """A table of the texts: source, licence, and how much of them is in each mixture, a column each."""
    lines: dict[tuple[str, ...], dict[str, str]] = {}
    for corpus, (source, licence) in SOURCES.items():
        cells = {mixture: share(corpus, *MIXTURES[mixture].get(corpus, (0, 0))) for mixture in mixtures}
        if any(cells.values()):
            lines[source, *cells.values()] = {"source": source, "licence": licence} | cells
    own = {"source": "sample corpus of this course, training part", "licence": "CC0"}
    own |= dict.fromkeys(mixtures, f"{SAMPLE_TIMES} times; once in traditional form")
    return as_markdown([*lines.values(), own])


def share(corpus: str, times: int, most: int | None) -> str:
    """How much of a corpus is in a mixture, in words; nothing where none is."""
    if not times:
        return ""
    how_often = {1: "once", 2: "twice"}.get(times, f"{times} times")
    if corpus == WIKI:
        return f"all but the last {LAST_LINES:,} lines, {how_often}; once in traditional form"
    return f"all, {how_often}" if most is None else f"{most / 1e6:g}M characters of each file, {how_often}"


def phases(work: Path, name: str) -> list[Path]:
    """The folders of a model's runs, the earlier ones first."""
    outputs = [option(command, "--output") for command in trainings(name)]
    return [phase for one in outputs for phase in (*sorted(work.glob(f"{one}-growth/phase-[0-9]")), work / one)]


def trainings(name: str) -> list[str]:
    """The commands of a model in which something is trained."""
    return [command for command in FAMILY[name][2] if not command.startswith("init")]


def option(command: str, name: str) -> str:
    """The folder of WORK that a command of the family has for an option."""
    return command.split(f"{name} {{work}}/")[1].split()[0]


def precision_of(command: str, work: Path) -> str:
    """The number format that a command was run in; none where nothing is trained."""
    return "" if command.startswith("init") else settings(work / option(command, "--output"))["precision"]


def settings(phase: Path) -> dict:
    """The recipe of a run."""
    return json.loads((phase / "recipe.json").read_text(encoding="utf-8"))["recipe"]


def tokens_per_step(recipe: dict) -> int:
    """How many tokens a step of a run reads."""
    return recipe["batch_size"] * recipe["length"]


def growth(work: Path, name: str) -> Iterator[dict]:
    """What a run that grew knew of the held-out text, and after how many tokens."""
    before = 0
    for number, phase in enumerate(phases(work, name), 1):
        recipe = settings(phase)
        layers = json.loads((phase / "config.json").read_text(encoding="utf-8"))["num_hidden_layers"]
        for row in map(json.loads, (phase / "metrics.jsonl").read_text(encoding="utf-8").splitlines()):
            read = before + row["step"] * tokens_per_step(recipe)
            if "top1" in row:
                place = {"phase": number, "layers": layers, "length": recipe["length"], "tokens": read}
                yield place | {figure: round(row[figure], 4) for figure in ("top1", "top5", "mlm_loss")}
        before = read


def table(text: str, figures: dict, models: list[str]) -> str:
    """Top 1 and top 5 of some models on one held-out text: words of two tokens and more, and all."""
    lines = []
    for model in models:
        line = {f"{text}, top 1 / top 5": model}
        for title, figure in (("words of two and more", "words_"), ("all", "")):
            for unit, of in figures.items():
                line[f"{title}, {unit}"] = f"{of[model][f'{figure}top1']:.1%} / {of[model][f'{figure}top5']:.1%}"
        lines.append(line)
    return as_markdown(lines)


if __name__ == "__main__":
    main()
