"""Make the reader that notebook 05 asks: a model of the family, fine-tuned on questions about passages.

    python data_samples/make_texts.py CORPORA WORK
    python data_samples/make_reader.py WORK TASKS          # an hour on one core
    python data_samples/make_reader.py WORK TASKS --ship

Real questions are few, and a small model hardly begins to learn from them: so most questions are made. Some words of a
sentence are taken out, and a question word stands for them; half of the passages are short, half of all questions
in traditional characters. The real ones are those of CMRC 2018 and DRCD that benchmarks/real_tasks.py gives to train
on, each with several stretches of its passage. Nothing is chosen on the held-out thirds of both, which are scored. No
made passage shares twelve ideographs in a row with a passage of CMRC 2018 or DRCD.
Needs ``pip install opencc-python-reimplemented``, as make_texts.py does.
"""

import argparse
import copy
import json
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch
from datasets import Dataset
from make_texts import IDEOGRAPH, Unseen, converter, lines_of

from minirbt_helpers.models import load_model, load_tokenizer
from minirbt_helpers.recipe import load_recipe
from minirbt_helpers.tasks import TASKS, as_markdown, finetune, own_task
from minirbt_helpers.tasks.answering import span_rows
from minirbt_helpers.tasks.finetuned import Finetuned
from minirbt_helpers.tasks.floors import floor_rows
from minirbt_helpers.text import load_segmenter
from minirbt_helpers.verdict import Verdict, compare

HERE = Path(__file__).parent
SHIPPED = HERE / "models"
SCORES = HERE / "results" / "reader.json"
BASE = "rbt3"  # per minute, three layers learn as much of this as six
SOURCES = ("wikipedia_shards", "taiwan_md", "commonvoice_wiki", "taiwan_nature_travel")
MADE, CHECKED = 80_000, 500  # made questions to train on, and to look at
LONGEST = {"short": 45, "long": 100}  # characters of a made passage
STRETCHES, STRETCH = 4, 200  # how many stretches of a real passage, of how many characters at least
REAL = ("cmrc2018", "drcd")
SETTINGS = {"epochs": 1, "task_batch_size": 16, "task_length": 128, "task_attention_dropout": 0.0}
RATE = 5e-4
LONGEST_ANSWER = 16  # tokens: of 8, 12, 16, 20, 30 and 98 the best on real questions that it learned from
Cut = Callable[[str], list[str]]
SENTENCE = re.compile(r"[^。！？；!?;]+[。！？；!?;]*")
MARK = re.compile(r"[，。；！？：、,;!?]")
NO_ANSWER = set(
    "的了在是和与也就不有这那他她它我你们个之其而及或以于为被把对从到所可能会要都很更最又再已并但却因如则等着过地"
)
EDGES = "，、：（）「」“”《》。！？；!?;"  # marks that begin no question, and end none
WHERE = set("在于到至往赴抵")
NUMBER = re.compile(r"^[约近第]?[\d一二三四五六七八九十百千万亿两几.,%]+")
DATE = re.compile(r"年|月|日|世纪|时期|時期|時候")


def main() -> None:
    """Train a reader, or ship the one that is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("tasks", type=Path, help="the official files, a sub-folder per task")
    parser.add_argument("--precision", default="bf16", help="fp32 where the processor has no bfloat16 products")
    parser.add_argument("--ship", action="store_true")
    parser.add_argument("--hardware", default="one CPU core", help="for the card")
    asked = parser.parse_args()
    splits = [sys.executable, str(HERE.parent / "benchmarks" / "real_tasks.py"), str(asked.tasks)]
    subprocess.run([*splits, str(asked.work / "splits")], check=True)
    if asked.ship:
        ship(asked.work, asked.hardware)
        return
    make_questions(asked.work, asked.tasks)
    train(asked.work, asked.precision).save(asked.work / "reader")


def made_questions(lines: Sequence[str], cut: Cut, draw: random.Random) -> Iterator[dict]:
    """An article of SQuAD's form for every line of which a question can be made."""
    for place, line in enumerate(lines):
        sentences = SENTENCE.findall(line)
        if len(sentences) < 2:  # a line that is one sentence stands among its neighbours
            sentences = [one for other in lines[max(0, place - 2) : place + 3] for one in SENTENCE.findall(other)]
        asked = draw.randrange(len(sentences))
        if len(sentences[asked]) <= LONGEST["long"] and (made := question(sentences[asked], cut, draw)):
            text, answer, start = made
            start += sum(map(len, sentences[:asked]))
            most = LONGEST[draw.choice(("short", "long"))]
            context, start = stretch("".join(sentences), start, start + len(answer), most, draw)
            yield article("", context, text, [(answer, start)])


def article(number: str, context: str, text: str, answers: Sequence[tuple[str, int]]) -> dict:
    """An article of one passage and one question; answers with the places where they begin."""
    found = [{"text": answer, "answer_start": start} for answer, start in answers]
    return {"paragraphs": [{"context": context, "qas": [{"id": number, "question": text, "answers": found}]}]}


def stretch(text: str, first: int, last: int, most: int, draw: random.Random) -> tuple[str, int]:
    """Clauses of a text around the characters from ``first`` to ``last``, and where these now begin.

    Clauses are put before and behind as long as the stretch has ``most`` characters at most.
    """
    edges = sorted({0, len(text), *(mark.end() for mark in MARK.finditer(text))})
    begin = max(edge for edge in edges if edge <= first)
    end = min(edge for edge in edges if edge >= last)
    while True:
        earlier = [edge for edge in edges if edge < begin and end - edge <= most]
        later = [edge for edge in edges if edge > end and edge - begin <= most]
        if not earlier and not later:
            return text[begin:end], first - begin
        if earlier and (not later or draw.random() < 0.5):
            begin = earlier[-1]
        else:
            end = later[0]


def question(sentence: str, cut: Cut, draw: random.Random) -> tuple[str, str, int] | None:
    """A question, its answer and where that begins; None where no words of the sentence can be asked for."""
    if any(map(str.isspace, sentence)):  # the words know nothing of blanks
        return None
    words = cut(sentence)
    spans = [
        (first, last)
        for first in range(len(words))
        for last in range(first + 1, min(first + 4, len(words)) + 1)
        if can_be_asked(words[first:last])
    ]
    if not spans:
        return None
    counted = [span for span in spans if NUMBER.match("".join(words[slice(*span)]))]
    first, last = draw.choice(counted if counted and draw.random() < 0.5 else spans)
    answer = "".join(words[first:last])
    begin, end = clause_around(words, first, last, draw)
    kept = [word for word in words[begin:first] if draw.random() > 0.12]
    behind = [word for word in words[last:end] if draw.random() > 0.12]
    mark = asking(words[first:last], words[first - 1] if first else "", draw)
    before, after = "".join(kept).strip(EDGES), "".join(behind).strip(EDGES)
    if len(IDEOGRAPH.findall(before + after)) < 4:
        return None
    if draw.random() < 0.25:  # the question word first, or last
        text = f"{mark}{after}，{before}？" if draw.random() < 0.5 else f"{before}{after}的是{mark}？"
    else:
        text = f"{before}{mark}{after}？"
    return text, answer, sum(map(len, words[:first]))


def can_be_asked(words: Sequence[str]) -> bool:
    """Whether words may be an answer: two to twelve letters, no particle at an end, few words of one character."""
    answer = "".join(words)
    if not 2 <= len(answer) <= 12 or not answer.isalnum() or answer[0] in NO_ANSWER or answer[-1] in NO_ANSWER:
        return False
    return all(len(word) > 1 or word == "的" or NUMBER.match(answer) for word in words)


def clause_around(words: Sequence[str], first: int, last: int, draw: random.Random) -> tuple[int, int]:
    """From which word to which the clause goes that has these; now and then its neighbour belongs to it."""
    marks = [place for place, word in enumerate(words) if word in "，：,:；。！？"]
    before = [place + 1 for place in marks if place < first] or [0]
    after = [place for place in marks if place >= last] or [len(words)]
    begin = before[-2] if len(before) > 1 and draw.random() < 0.4 else before[-1]
    end = after[1] if len(after) > 1 and draw.random() < 0.3 else after[0]
    return (0 if len(before) == 1 and draw.random() < 0.5 else begin), end


def asking(answer: Sequence[str], before: str, draw: random.Random) -> str:
    """The question word for an answer."""
    text, last = "".join(answer), answer[-1]
    if DATE.search(text) and NUMBER.match(text):
        return draw.choice(("什么时候", "何时", "哪一年" if "年" in text else "哪天", "什么时间"))
    if NUMBER.match(text):
        unit = NUMBER.sub("", text)
        return draw.choice(("多少", "几")) + (unit if len(unit) < 3 else "")
    if len(answer) > 1 and len(last) > 1 and draw.random() < 0.4:
        return draw.choice(("哪个", "什么", "哪一个", "哪家" if last in ("公司", "医院") else "什么")) + last
    if before and before[-1] in WHERE:
        return draw.choice(("哪里", "什么地方", "哪儿", "哪个地方"))
    return draw.choice(("什么", "什么", "什么", "谁", "哪些", "何"))


def make_questions(work: Path, tasks: Path) -> None:
    """Write the questions to train on, made and real, and some made ones to look at."""
    segmenter, draw, to_traditional = load_segmenter(SHIPPED / "segmenter"), random.Random(0), converter()
    unseen = Unseen([passage for file in sorted(tasks.glob("*/*.json")) for passage in passages(file)])
    lines = [line for name in SOURCES for line in unseen(lines_of(work / "everyday" / f"{name}.txt"))]
    made: list[dict] = []
    while len(made) < MADE + CHECKED:
        made += made_questions(lines, lambda sentence: segmenter([sentence])[0], draw)
    made = draw.sample(made, MADE + CHECKED)
    for number, one in enumerate(made):
        made[number] = with_number(one, f"made-{number}", to_traditional if number % 2 else str)
    real = [part for name in REAL for one in data_of(part_of(work, name, "train")) for part in cut_up(one, draw)]
    print(f"{len(lines):,} lines, {len(made):,} made questions, {len(real):,} stretches with a real one", flush=True)
    write(work / "reader-dev.json", made[:CHECKED])
    write(work / "reader-train.json", [*made[CHECKED:], *real])


def with_number(made: dict, number: str, turn: Callable[[str], str]) -> dict:
    """A made article with the number of its question, in other characters where the answer keeps its place."""
    (passage,) = made["paragraphs"]
    (asked,) = passage["qas"]
    (answer,) = asked["answers"]
    start, text = answer["answer_start"], turn(answer["text"])
    context = turn(passage["context"])
    if context[start : start + len(text)] != text:
        return with_number(made, number, str)
    return article(number, context, turn(asked["question"]), [(text, start)])


def cut_up(real: dict, draw: random.Random) -> Iterator[dict]:
    """Stretches of a real article's passages, each with a question that is asked about it and its answer."""
    for passage in real["paragraphs"]:
        for asked in passage["qas"]:
            answer = asked["answers"][0]
            first = passage["context"].find(answer["text"], max(0, answer["answer_start"]))
            if first < 0:
                continue
            for _ in range(STRETCHES):
                last = first + len(answer["text"])
                context, start = stretch(passage["context"], first, last, STRETCH, draw)
                yield article(asked["id"], context, asked["question"], [(answer["text"], start)])


def part_of(work: Path, name: str, part: str) -> Path:
    """The file of a real task's questions to train on, or to score."""
    return work / "splits" / name / TASKS[name].files[part][0]


def data_of(file: Path) -> list[dict]:
    """The articles of a file of SQuAD's form."""
    return json.loads(file.read_text(encoding="utf-8"))["data"]


def passages(file: Path) -> list[str]:
    """The passages of a file of questions; none where a file has another form."""
    content = json.loads(file.read_text(encoding="utf-8")) if file.parent.name in REAL else {"data": []}
    return [one["context"] for article in content["data"] for one in article["paragraphs"]]


def write(file: Path, articles: list[dict]) -> None:
    """Write a file of SQuAD's form."""
    file.write_text(json.dumps({"data": articles}, ensure_ascii=False) + "\n", encoding="utf-8")


def train(work: Path, precision: str) -> Finetuned:
    """Fine-tune a model of the family on these questions."""
    task = own_task("reading", work / "reader-train.json", work / "reader-dev.json")
    model, tokenizer = load_model(SHIPPED / BASE), load_tokenizer(SHIPPED / BASE)
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False, enabled=precision == "bf16"):
        return finetune(load_recipe("sample", **SETTINGS), task, model, tokenizer, learning_rate=RATE)


def ship(work: Path, hardware: str) -> None:
    """Write the reader to data_samples/models in float16, its scores to data_samples/results, and its card."""
    reader = Finetuned.load(work / "reader")
    files = {part: (f"reader-{part}.json",) for part in ("train", "dev")}
    half = copy.deepcopy(reader.model).half()
    task = replace(reader.task, files=files)
    shutil.rmtree(SHIPPED / "reader", ignore_errors=True)
    replace(reader, model=half, task=task, longest=LONGEST_ANSWER).save(SHIPPED / "reader")
    reader = Finetuned.load(SHIPPED / "reader")  # scored as it is shipped
    folders = {"": work / "splits", "sample ": HERE / "tasks"}
    scores = {
        f"{title}{name}": scores_of(reader, TASKS[name].load(folder, "dev"))
        for title, folder in folders.items()
        for name in REAL
    }
    SCORES.write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    (SHIPPED / "reader" / "README.md").write_text(card(work, reader, scores, hardware), encoding="utf-8")


def scores_of(reader: Finetuned, rows: Dataset) -> dict[str, float]:
    """F1 and EM of the reader and of a rule, and how far the reader's F1 is ahead: a pair per passage."""
    ours = span_rows(reader.guess(rows), rows)
    ((rule, theirs),) = floor_rows(TASKS["cmrc2018"], rows, rows).items()
    places: dict[str, list[int]] = {}
    for place, text in enumerate(rows["context"]):
        places.setdefault(text, []).append(place)
    pairs = [[fmean(side["f1"][place] for place in group) for group in places.values()] for side in (ours, theirs)]
    ahead = compare(*pairs, paired=True)
    means = {name: round(fmean(values), 4) for name, values in ours.items()}
    means |= {f"rule_{name}": round(fmean(theirs[name]), 4) for name in ours}
    return {"questions": len(rows), "passages": len(places), "rule": rule, **means} | {
        "ahead": round(ahead.difference, 4),
        "bound": round(ahead.bound, 4),
    }


CARD = """---
language: zh
license: cc-by-sa-4.0
library_name: transformers
pipeline_tag: question-answering
---
# The reader ({shape})

A model of the MiniRBT course, `reader`: `{base}`, fine-tuned to find the answer to a question in a passage.
`BertForQuestionAnswering`, float16 on disk; the course loads it with `Finetuned.load`.

## Training
One epoch, batches of {batch}, learning rate {rate:g} ({hardware}), made by `data_samples/make_reader.py`:

* {made:,} questions made out of sentences of the course's texts (Wikipedia and Common Voice's sentences from it,
  taiwan-md, descriptions of Taiwan's animals, plants and sights; sources and licences: the card of `{base}`);
* {real:,} stretches of passages with real questions: the trial part and two thirds of the dev part of CMRC 2018, two
  thirds of the dev part of DRCD, {stretches} stretches a question, cut by article.

An answer has {longest} tokens at most: of a few limits the best on real questions that it learned from.

## Measured
On the held-out thirds, on which nothing was chosen, and on the course's own dev questions in the same two forms. The
rule answers with the sentence that shares most characters with the question. *Ahead*: difference in F1, in pairs
passage by passage, ± half of the 95% interval.

{table}

No made passage shares twelve ideographs in a row with a passage of CMRC 2018 or DRCD. The encoder was pre-trained on
texts from Wikipedia, from which these passages come, too. One training with one seed: another seed will score
otherwise.

**Licence** CC BY-SA 4.0, as CMRC 2018 is; DRCD is CC BY-SA 3.0. **Intended use** teaching: it finds an answer where a
question uses the words of its passage, and is often wrong.
"""


def card(work: Path, reader: Finetuned, scores: dict, hardware: str) -> str:
    """The model card."""
    lines = [
        {
            "questions of": name,
            "number": f"{one['questions']:,}",
            "reader, F1 / EM": f"{one['f1']:.1%} / {one['em']:.1%}",
            "rule, F1 / EM": f"{one['rule_f1']:.1%} / {one['rule_em']:.1%}",
            "ahead": str(Verdict(one["ahead"], 0.0, one["bound"])),
        }
        for name, one in scores.items()
    ]
    config, trained_on = reader.model.config, len(data_of(work / "reader-train.json"))
    return CARD.format(
        shape=f"{config.num_hidden_layers} x {config.hidden_size}",
        base=BASE,
        batch=SETTINGS["task_batch_size"],
        rate=RATE,
        hardware=hardware,
        made=MADE,
        longest=LONGEST_ANSWER,
        real=trained_on - MADE,
        stretches=STRETCHES,
        table=as_markdown(lines),
    )


if __name__ == "__main__":
    main()
