"""What the sample data promises: sizes, formats, balance, variety, nothing twice, no label for free."""

import json
import sys
from collections import Counter
from itertools import chain

import pytest
from conftest import ROOT, first

from minirbt_helpers.lines import read_lines
from minirbt_helpers.tasks import TASKS
from minirbt_helpers.text import is_chinese

sys.path.insert(0, str(ROOT / "data_samples"))
import measure

SIZES = {
    "chnsenticorp": (500, 150), "lcqmc": (500, 150), "bq": (400, 120), "ocnli": (600, 180), "tnews": (600, 150),
    "cmrc2018": (80, 25), "drcd": (40, 15),
}  # fmt: skip
# The most that a model may get right which sees characters, but no order; a careful reader gets nearly all.
BY_CHARACTERS = {"chnsenticorp": 0.84, "lcqmc": 0.65, "bq": 0.65, "ocnli": 0.5, "tnews": 0.6}
CLASSIFIED = [name for name in TASKS if TASKS[name].answers]
ASKED = [name for name in TASKS if not TASKS[name].answers]
SPLITS = ("train", "dev")


def read_jsonl(file: str) -> list[dict]:
    return [json.loads(line) for line in (ROOT / file).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def parts() -> dict:
    """All rows: ``parts[task][split]`` as a list of dicts."""
    return {
        name: {split: list(task.load("data_samples/tasks", split)) for split in SPLITS} for name, task in TASKS.items()
    }


@pytest.fixture(scope="module")
def paragraphs() -> list[str]:
    return [line for lines in measure.corpus().values() for line in lines]


# --- the gaps -------------------------------------------------------------------------------------------------------


def test_every_gap_is_one_token_and_the_two_sets_share_none(tokenizer):
    sets = [read_jsonl(f"data_samples/{name}.jsonl") for name in ("cloze", "cloze_unseen")]
    assert list(map(len, sets)) == [20, 30]
    for question in chain.from_iterable(sets):
        assert question.keys() == {"text", "answer", "pinyin", "english", "kind"}
        assert question["text"].count("[MASK]") == 1
        assert tokenizer.tokenize(question["answer"]) == [question["answer"]]
    filled = [question["text"].replace("[MASK]", question["answer"]) for question in chain.from_iterable(sets)]
    assert len(set(filled)) == len(filled)


def test_the_small_talk_that_the_models_read_holds_no_question():
    """Five characters in a row of a question would be a hint; the sentence of the course itself has no other words."""
    lines = list(read_lines(ROOT / "data_samples" / "smalltalk.txt"))
    assert len(set(lines)) == len(lines) and all(line[-1] in "。！？”" for line in lines)
    assert not any("今天天气很好" in line for line in lines)
    for question in chain.from_iterable(read_jsonl(f"data_samples/{name}.jsonl") for name in ("cloze", "cloze_unseen")):
        text = question["text"].replace("[MASK]", question["answer"])
        if "天气" not in text:
            runs = {text[at : at + 5] for at in range(len(text) - 4)}
            assert not any(run in line for run in runs for line in lines), question


# --- the corpus -----------------------------------------------------------------------------------------------------


def test_the_corpus_is_large_and_of_many_topics(paragraphs):
    assert len(paragraphs) >= 1200 and len(measure.corpus("train")) >= 15
    assert measure.corpus("heldout").keys() == measure.corpus("train").keys()
    assert sum(map(is_chinese, chain.from_iterable(paragraphs))) >= 120_000


def test_every_line_of_the_corpus_is_a_clean_paragraph(paragraphs):
    for line in paragraphs:
        assert line == line.strip() and "\t" not in line and len(line) >= 20, line
        assert line[-1] in "。！？”…》：）", line


def test_nothing_in_the_corpus_stands_twice(paragraphs):
    assert len(set(paragraphs)) == len(paragraphs)
    long = [sentence for sentence in measure.sentences(paragraphs) if len(sentence) >= 8]
    assert [sentence for sentence, count in Counter(long).items() if count > 1] == []


@pytest.mark.slow
def test_the_corpus_is_as_varied_as_an_encyclopaedia(shared, paragraphs):
    ours = measure.statistics(paragraphs)
    wiki = list(read_lines(shared / "corpora" / "commonvoice_wiki.txt"))
    theirs = measure.statistics(measure.of_length(wiki, int(ours["Chinese characters"])))
    assert ours["distinct 4-grams"] >= theirs["distinct 4-grams"]
    assert ours["repeated sentences"] <= theirs["repeated sentences"]
    assert ours["ten openings"] <= theirs["ten openings"]
    assert ours["spread"] >= theirs["spread"]


def test_held_out_paragraphs_share_no_long_run_with_the_training_ones():
    train, heldout = (list(chain.from_iterable(measure.corpus(part).values())) for part in ("train", "heldout"))
    seen = {run[at : at + 12] for line in train for run in measure.chinese_runs(line) for at in range(len(run) - 11)}
    for line in heldout:
        for run in measure.chinese_runs(line):
            assert not {run[at : at + 12] for at in range(len(run) - 11)} & seen, line


# --- the tasks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_sizes(parts, name):
    unit = (lambda rows: len({row["context"] for row in rows})) if name in ASKED else len
    assert tuple(unit(parts[name][split]) for split in SPLITS) == SIZES[name]


@pytest.mark.parametrize("name", CLASSIFIED)
def test_labels_are_balanced(parts, name):
    for split in SPLITS:
        counts = Counter(row["label"] for row in parts[name][split])
        assert len(counts) == len(TASKS[name].answers) and max(counts.values()) - min(counts.values()) <= 2


@pytest.mark.parametrize("name", CLASSIFIED)
def test_no_row_stands_twice(parts, name):
    rows = [row for split in SPLITS for row in parts[name][split]]
    keys = [(row["text"], row.get("text_pair")) for row in rows]
    assert len(set(keys)) == len(keys)
    if name != "ocnli":  # there, three hypotheses share a premise
        assert max(Counter(row["text"] for row in rows).values()) == 1


@pytest.mark.parametrize("name", TASKS)
def test_no_text_of_the_dev_part_is_in_the_training_part(parts, name):
    fields = ("context", "question") if name in ASKED else ("text", "text_pair")
    train, dev = ({row.get(field) for row in parts[name][split] for field in fields} for split in SPLITS)
    assert (train - {None}).isdisjoint(dev)


@pytest.mark.parametrize("name", ASKED)
def test_every_answer_stands_where_it_should(parts, name):
    for split, annotators in zip(SPLITS, (1, 3 if name == "cmrc2018" else 2), strict=True):
        for row in parts[name][split]:
            texts, starts = row["answers"]["text"], row["answers"]["answer_start"]
            assert len(texts) == annotators and not row["repaired"], row["question"]
            for text, start in zip(texts, starts, strict=True):
                assert text and row["context"].find(text) == start >= 0, row["question"]


@pytest.mark.parametrize("name", ASKED)
def test_every_passage_has_three_or_four_questions(parts, name):
    for split in SPLITS:
        counts = Counter(row["context"] for row in parts[name][split]).values()
        assert set(counts) <= ({3, 4} if name == "cmrc2018" else {3})
        ids = [row["id"] for row in parts[name][split]]
        assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", first(CLASSIFIED))
def test_no_label_can_be_had_by_a_shortcut(name):
    guessed = measure.guesses(name)
    assert guessed["length"] <= guessed["chance"] + 0.1
    assert guessed["characters"] <= BY_CHARACTERS[name]
    assert guessed.get("second sentence", 0) <= guessed["chance"] + 0.2
    assert guessed.get("overlap", 0) <= guessed["chance"] + 0.2


# --- all of it ------------------------------------------------------------------------------------------------------


def every_text(parts: dict, paragraphs: list[str]) -> list[str]:
    fields = ("text", "text_pair", "context", "question")
    rows = chain.from_iterable(rows for splits in parts.values() for rows in splits.values())
    return [*paragraphs, *(row[field] for row in rows for field in fields if row.get(field))]


@pytest.mark.slow
def test_the_segmenter_gives_every_text_back(parts, paragraphs, segmenter):
    texts = every_text(parts, paragraphs)
    for text, words in zip(texts, segmenter(texts), strict=True):
        assert "".join(words) == "".join(text.split())


@pytest.mark.slow
def test_traditional_characters_are_in_drcd_alone(parts, paragraphs):
    for name in TASKS:
        texts = every_text({name: parts[name]}, [])
        share = measure.statistics(texts)["traditional"]
        assert share > 0.2 if name == "drcd" else share < 0.0005, name
    assert measure.statistics(paragraphs)["traditional"] < 0.0005


def test_no_simplified_character_is_in_drcd(parts):
    texts = "".join(every_text({"drcd": parts["drcd"]}, []))
    assert [character for character in texts if measure.is_simplified(character)] == []


def test_the_samples_are_small():
    files = [file for file in (ROOT / "data_samples").rglob("*") if file.is_file() and "models" not in file.parts]
    assert sum(file.stat().st_size for file in files if file.suffix != ".pyc") < 3e6
