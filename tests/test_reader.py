"""How the shipped reader's questions are made, and what its file of scores may say."""

import json
import random
import sys

import pytest
from conftest import ROOT

from minirbt_helpers.tasks import TASKS, Finetuned
from minirbt_helpers.tasks.answering import span_rows
from minirbt_helpers.text import load_segmenter

sys.path.insert(0, str(ROOT / "data_samples"))
import make_reader

READER = ROOT / "data_samples" / "models" / "reader"
LINES = [
    "城里有三家书店。最大的书店开在火车站对面，一共有两万多本书；老板姓王，以前是中学老师。",
    "这种鸟生活在山区的森林里，身长约三十厘米。它在1998年第一次被人拍到，现在受到保护。",
    "运河全长四十七公里，修建于十六世纪，连接北方的港口和南方的粮仓。",
] * 20


@pytest.fixture(scope="module")
def made() -> list[dict]:
    """Made articles."""
    segmenter = load_segmenter(ROOT / "data_samples" / "models" / "segmenter")
    return list(make_reader.made_questions(LINES, lambda text: segmenter([text])[0], random.Random(0)))


def test_a_made_answer_stands_in_its_passage_and_not_in_its_question(made):
    assert len(made) > len(LINES) / 2
    for article in made:
        ((passage,),) = [article["paragraphs"]]
        ((asked,),) = [passage["qas"]]
        (answer,) = asked["answers"]
        start = answer["answer_start"]
        assert passage["context"][start : start + len(answer["text"])] == answer["text"]
        assert asked["question"].endswith("？") and 2 <= len(answer["text"]) <= 12
        assert answer["text"] not in asked["question"]


def test_a_stretch_keeps_what_is_asked_for_and_is_as_long_as_it_may_be():
    draw = random.Random(0)
    text = "".join(LINES[:3])
    for _ in range(200):
        first = draw.randrange(len(text) - 12)
        last, most = first + draw.randint(1, 12), draw.randint(20, 120)
        context, start = make_reader.stretch(text, first, last, most, draw)
        assert context in text and context[start : start + last - first] == text[first:last]
        edges = [0, *(mark.end() for mark in make_reader.MARK.finditer(text)), len(text)]
        least = min(edge for edge in edges if edge >= last) - max(edge for edge in edges if edge <= first)
        assert len(context) <= max(most, least)
        begin = text.index(context)
        assert {begin, begin + len(context)} <= set(edges)  # whole clauses


def test_other_characters_are_taken_only_where_the_answer_keeps_its_place():
    article = make_reader.article("", "书店在城里。", "什么在城里？", [("书店", 0)])
    turned = make_reader.with_number(article, "7", lambda text: text.replace("书", "書"))
    ((asked,),) = [one["qas"] for one in turned["paragraphs"]]
    assert (asked["id"], asked["answers"][0]["text"]) == ("7", "書店")
    moved = make_reader.with_number(article, "7", lambda text: text.replace("书店在", "在书店"))
    assert moved["paragraphs"][0]["context"] == "书店在城里。"


def test_a_question_without_an_answer_in_its_passage_is_left_out():
    article = make_reader.article("1", "书店在城里。", "谁在城里？", [("书店", 0), ("城", 3)])
    lost = make_reader.article("2", "书店在城里。", "谁在山里？", [("庙", 0)])
    assert len(list(make_reader.cut_up(article, random.Random(0)))) == make_reader.STRETCHES
    assert not list(make_reader.cut_up(lost, random.Random(0)))


@pytest.mark.slow
def test_the_shipped_reader_scores_what_its_file_says():
    noted = json.loads((ROOT / "data_samples" / "results" / "reader.json").read_text(encoding="utf-8"))
    reader = Finetuned.load(READER)
    for name in make_reader.REAL:
        rows = TASKS[name].load(ROOT / "data_samples" / "tasks", "dev")
        scores, said = span_rows(reader.guess(rows), rows), noted[f"sample {name}"]
        for measure, values in scores.items():  # rounding may turn an answer
            assert abs(sum(values) / len(values) - said[measure]) <= 2.01 / len(values)
    assert not [path for path in READER.iterdir() if path.suffix == ".bin"]


def test_the_reader_s_files_name_no_folder_of_a_machine():
    for file in READER.glob("*.json"):
        assert "/work" not in (text := file.read_text(encoding="utf-8")) and "/home" not in text, file.name
