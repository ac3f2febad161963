"""Laws of answering by a span: what EM and F1 count, where answers stand, what a window holds."""

import difflib
import json
import re

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from minirbt_helpers.errors import CourseError
from minirbt_helpers.lines import read_lines
from minirbt_helpers.models import load_model
from minirbt_helpers.tasks import TASKS, exact_match, f1_score, finetune, own_task
from minirbt_helpers.tasks.answering import LONGEST, best_answers, span_scores, token_span, windows
from minirbt_helpers.tasks.finetuning import learnable
from minirbt_helpers.tasks.formats import read_questions

# --- EM and F1 ------------------------------------------------------------------------------------------------------


def test_golden_scores(shared):
    rows = [json.loads(line) for line in read_lines(shared / "golden" / "cmrc_metrics.jsonl")]
    assert len(rows) == 200
    for row in rows:
        assert exact_match(row["prediction"], row["answers"]) == pytest.approx(row["em"], abs=1e-9), row
        assert f1_score(row["prediction"], row["answers"]) == pytest.approx(row["f1"], abs=1e-9), row


@pytest.mark.parametrize(
    ("prediction", "answers", "em", "f1"),
    [
        ("北京", ["北京"], 1, 1),
        (" 《北京》。", ["北京"], 1, 1),  # the script's punctuation and outer blanks do not count
        ("ＧＰＳ", ["GPS"], 0, 0),  # full-width letters are other letters
        ("gps", ["GPS"], 1, 1),
        ("3.5 m", ["3.5m"], 0, 0),  # a blank inside counts, and makes two tokens of one
        ("北京大学", ["北京"], 0, 2 / 3),
        ("京北", ["北京"], 0, 1 / 2),  # the longest run in common is one character
        ("iPhone手机", ["手机"], 0, 4 / 5),  # a run of Latin letters is one token
        ("", ["北京"], 0, 0),
        ("。", ["，"], 1, 0),  # nothing is left of either: equal, but no token in common
        ("北京", [], 0, 0),
        ("上海", ["北京", "上海市", "上海"], 1, 1),
    ],
)
def test_hard_cases(prediction, answers, em, f1):
    assert exact_match(prediction, answers) == em
    assert f1_score(prediction, answers) == pytest.approx(f1)


TEXTS = st.text(st.sampled_from("北京大学在上海 Ab1.5,，。《》-—…ＡéA"), max_size=12)


def words(piece: str) -> list[str]:
    """Sentences first, then words; no abbreviation is made of the letters above."""
    from nltk.tokenize import NLTKWordTokenizer  # three seconds: not for whoever runs other tests
    from nltk.tokenize.punkt import PunktSentenceTokenizer

    return [word for part in PunktSentenceTokenizer().tokenize(piece) for word in NLTKWordTokenizer().tokenize(part)]


def defined(prediction: str, answer: str) -> float:
    """F1 in other words: drop, split, and let difflib find the longest run in common."""
    sequences = []
    for text in (prediction, answer):
        kept = re.sub(r"[-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』]", "", text.lower().strip())
        pieces = re.split("([\u4e00-\u9fa5])", kept)
        sequences.append([word for piece in pieces for word in words(piece)])
    first, second = sequences
    run = difflib.SequenceMatcher(None, first, second, autojunk=False).find_longest_match().size
    return 2 * run / (len(first) + len(second)) if run else 0.0


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=3))
def test_f1_is_what_its_definition_says(prediction, answers):
    assert f1_score(prediction, answers) == pytest.approx(max(defined(prediction, answer) for answer in answers))
    assert 0 <= f1_score(prediction, answers) <= 1
    assert exact_match(prediction, [*answers, prediction]) == 1


# --- files ----------------------------------------------------------------------------------------------------------


def written(folder, content) -> list[dict]:
    file = folder / "questions.json"
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return list(read_questions(file))


def squad(context: str, *answers: dict) -> dict:
    asked = {"id": "Q", "question": "哪里？", "answers": list(answers)}
    return {"data": [{"title": "城市", "paragraphs": [{"id": "P", "context": context, "qas": [asked]}]}]}


def asking(**fields: object) -> dict:
    """A file with one question, some of its fields changed."""
    content = squad("我在北京。", {"text": "北京", "answer_start": 2})
    content["data"][0]["paragraphs"][0]["qas"][0] |= fields
    return content


def test_a_wrong_place_is_mended_and_a_missing_answer_kept_for_scoring(tmp_path):
    context = "北京在北方，上海在南方，北京更冷。"
    answers = [{"text": "北京", "answer_start": at} for at in (0, -1, 11, 12)]
    (row,) = written(tmp_path, squad(context, *answers, {"text": "广州", "answer_start": 3}))
    assert row["answers"]["answer_start"] == [0, 0, 12, 12, -1]
    assert row["repaired"] == 2 and row["answers"]["text"][-1] == "广州"


def test_both_forms_of_cmrc_are_read_alike(tmp_path):
    asked = {"query_id": "Q", "query_text": "哪里？", "answers": ["北京"]}
    first_form = [{"context_id": "P", "context_text": "我在北京。", "title": "城市", "qas": [asked]}]
    other = squad("我在北京。", {"text": "北京", "answer_start": 2})
    assert written(tmp_path, first_form) == written(tmp_path, other)


def test_answers_may_be_two_lists_as_datasets_exports_them(tmp_path):
    both = squad("我在北京。", {"text": "北京", "answer_start": 2}), squad("我在北京。")
    both[1]["data"][0]["paragraphs"][0]["qas"][0]["answers"] = {"text": ["北京"], "answer_start": [2]}
    assert written(tmp_path, both[0]) == written(tmp_path, both[1])


def test_a_test_file_needs_no_answers(tmp_path):
    file = tmp_path / "test.json"
    asked = {"id": "Q", "question": "哪里？"}
    file.write_text(json.dumps({"data": [{"paragraphs": [{"context": "我在北京。", "qas": [asked]}]}]}))
    (row,) = TASKS["drcd"].read(file, labelled=False)
    assert row["answers"] == {"text": [], "answer_start": []}
    with pytest.raises(CourseError, match="answers"):
        TASKS["drcd"].read(file)


@pytest.mark.slow
def test_real_cmrc_has_the_known_two_hundred_wrong_places(shared):
    rows = TASKS["cmrc2018"].load(shared / "tasks", "dev")
    missing = sum(start < 0 for answers in rows["answers"] for start in answers["answer_start"])
    assert (sum(rows["repaired"]), missing) == (7, 193)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"rows": []}, 'no "data"'),
        ({"data": [{"paragraphs": [{"id": "P7", "qas": []}]}]}, "passage P7"),
        ({"data": [{"paragraphs": [{"id": "P7", "context": "天", "qas": [{"id": "Q"}]}]}]}, "question"),
        ({"data": ["text"]}, "passage text"),
        ({"data": [{"paragraphs": [{"id": "P7", "context": " ", "qas": []}]}]}, "passage P7: .*no text"),
        ({"data": None}, r"questions\.json: no \"data\""),
        (5, r"questions\.json: no \"data\""),
        ({"data": [{"paragraphs": None}]}, 'article 1: "paragraphs" is no list'),
        (asking(question=None), r"1 question without text \(passage P, question Q\), and 0 questions to use"),
        (asking(question=[7]), r"passage P, question Q: .*no text: \[7\]"),
        (asking(question=True), "passage P, question Q: .*no text: True"),
        (asking(answers="北京"), "passage P, question Q: .*no list of texts: '北京'"),
        (asking(answers={"text": "北京", "answer_start": 2}), "passage P, question Q: .*no list of texts"),
        (asking(answers=[{"text": ["北京"], "answer_start": 2}]), "passage P, question Q: .*no text"),
        (asking(answers=[{"text": "北京", "answer_start": "two"}]), "passage P, question Q: .*no number"),
        (asking(answers=[]), "no question has an answer"),
        (asking(answers={"text": ["北京"], "answer_start": []}), "passage P, question Q"),
    ],
)
def test_what_is_no_passage_is_named(tmp_path, content, message):
    with pytest.raises(CourseError, match=message):
        written(tmp_path, content)


# --- windows and spans ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def questions() -> Dataset:
    return TASKS["cmrc2018"].load("data_samples/tasks", "dev")


def test_windows_hold_every_character_of_the_passage(questions, tokenizer):
    cut = windows(questions, tokenizer, 64)
    seen = [set() for _ in questions]
    for row, offsets, ids in zip(cut["row"], cut["offsets"], cut["input_ids"], strict=True):
        assert len(ids) == len(offsets) <= 64
        seen[row] |= {place for first, last in offsets for place in range(first, last)}
    for row, places in zip(questions, seen, strict=True):
        assert {place for place, character in enumerate(row["context"]) if not character.isspace()} <= places


@pytest.mark.slow
def test_a_model_that_knows_the_spans_scores_full_marks(questions, tokenizer):
    cut = windows(questions, tokenizer, 128)
    longest = max(map(len, cut["input_ids"]))
    logits = np.full((2, len(cut), longest), -5.0, dtype=np.float32)
    for side, name in enumerate(("start_positions", "end_positions")):
        logits[side, np.arange(len(cut)), cut[name]] = 5
    best = best_answers(*logits, cut, questions["context"])
    assert all(answers[0].margin > 0 for answers in best)
    assert span_scores([answers[0].text for answers in best], questions)["em"] == 1


def test_candidates_come_best_first_and_only_once(questions, tokenizer):
    few = questions.select(range(3))
    cut = windows(few, tokenizer, 64)
    longest = max(map(len, cut["input_ids"]))
    logits = np.random.default_rng(0).normal(size=(2, len(cut), longest)).astype(np.float32)
    for passage, answers in zip(few["context"], best_answers(*logits, cut, few["context"], top=10), strict=True):
        assert [one.score for one in answers] == sorted((one.score for one in answers), reverse=True)
        assert len({(one.start, one.text) for one in answers}) == len(answers) == 10
        assert all(passage.startswith(one.text, one.start) and one.text for one in answers)


def test_an_empty_passage_has_no_answer(tokenizer):
    row = {"question": ["哪里？"], "context": [" "], "answers": [{"text": [], "answer_start": []}]}
    cut = windows(Dataset.from_dict(row), tokenizer, 64)
    logits = np.zeros((2, 1, len(cut[0]["input_ids"])), dtype=np.float32)
    assert best_answers(*logits, cut, [" "]) == [[]]


OFFSETS = [(-1, -1), (0, 2), (2, 3), (3, 5), (5, 6), (-1, -1)]  # of "北京在上海。" between [CLS] and [SEP], say


@pytest.mark.parametrize(
    ("texts", "starts", "span"),
    [
        (["上海"], [3], (3, 3)),
        ([" 上海"], [2], (3, 3)),  # blanks at the ends have no token
        (["上海 "], [3], (3, 3)),
        (["广州", "上海", "北京"], [-1, 3, 0], (3, 3)),  # the first that has a place
        (["广州"], [-1], (0, 0)),
        ([" "], [2], (0, 0)),
        ([], [], (0, 0)),
        (["。天"], [5], (0, 0)),  # half of it is beyond the window
    ],
)
def test_the_first_answer_with_a_place_is_taught(texts, starts, span):
    assert token_span(OFFSETS, {"text": texts, "answer_start": starts}) == span
    assert token_span(OFFSETS, {"answer_start": starts, "text": texts}) == span


def test_a_question_is_cut_by_its_tokens(tokenizer):
    """Sixteen words of many letters are sixteen tokens or more; a short question stays as it is."""
    long, short = "2008年10月" * 8, "哪里？"
    rows = {"question": [long, short, "year 2008 " * 3], "context": ["我在北京。" * 3] * 3}
    rows |= {"answers": [{"text": [], "answer_start": []}] * 3}
    cut = windows(Dataset.from_dict(rows), tokenizer, 32)
    seen = {
        row: ids[1 : ids.index(tokenizer.sep_token_id)] for row, ids in zip(cut["row"], cut["input_ids"], strict=True)
    }
    whole = [tokenizer(question, add_special_tokens=False)["input_ids"] for question in rows["question"]]
    assert len(whole[0]) > 16 < len(rows["question"][2]) and len(whole[2]) <= 16
    assert [seen[row] for row in range(3)] == [ids[:16] for ids in whole]


def logits_of(length: int, begin: int, end: int, score: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores of one window, -9 but at the two ends of a span."""
    starts, ends = np.full((2, length), -9.0, dtype=np.float32)
    starts[begin] = ends[end] = score / 2
    return starts, ends


def test_no_answer_is_longer_than_the_limit():
    offsets = [(-1, -1), *((place, place + 1) for place in range(LONGEST + 1)), (-1, -1)]
    cut, passage = {"row": [0], "offsets": [offsets]}, "天" * (LONGEST + 1)
    for end, most in ((LONGEST, LONGEST), (LONGEST + 1, 1)):
        starts, ends = logits_of(len(offsets), 1, end, 10)
        ((best,),) = best_answers([starts], [ends], cut, [passage])
        assert len(best.text) == LONGEST if most > 1 else len(best.text) < LONGEST


@pytest.mark.parametrize("order", [(4.0, 6.0), (6.0, 4.0)])
def test_a_span_s_best_score_over_its_windows_counts(order):
    """The two windows, of different lengths, hold the same two tokens; "no answer" scores -18 in both."""
    offsets = [(-1, -1), (0, 1), (1, 2), (-1, -1)], [(-1, -1), (0, 1), (1, 2), (2, 3), (-1, -1)]
    starts, ends = zip(
        *(logits_of(len(one), 1, 2, score) for one, score in zip(offsets, order, strict=True)), strict=True
    )
    ((best,),) = best_answers(starts, ends, {"row": [0, 0], "offsets": offsets}, ["北京。"])
    assert (best.text, best.score, best.margin) == ("北京", 6, 24)


def test_only_questions_with_a_whole_answer_in_a_window_are_learned(tokenizer):
    context = "我在北京。" * 40
    answers = [{"text": [text], "answer_start": [0]} for text in ("我在", context[:150], "北")]
    answers[2]["answer_start"] = [-1]
    rows = {"question": ["哪里？"] * 3, "context": [context] * 3, "answers": answers}
    cut = windows(Dataset.from_dict(rows), tokenizer, 64)
    count, kept = learnable(cut)
    assert count == 1 and kept.to_list() == cut.filter(lambda window: window["row"] == 0).to_list() and len(kept) > 1


@pytest.mark.slow
def test_finetuning_on_questions_repeats_itself_and_answers(tokenizer, recipe, few_rows, tmp_path):
    run = recipe.model_copy(update={"epochs": 2, "task_batch_size": 3, "task_dir": str(few_rows)})
    model = load_model("data_samples/models/student")
    first, second = (finetune(run, "drcd", model, tokenizer, learning_rate=1e-3, progress=False) for _ in range(2))
    assert first.by_epoch == second.by_epoch and len(first.by_epoch) == 2
    assert set(first.scores) == {"em", "f1"} and first.score == first.scores["f1"]
    passage = "小明住在北京。" * 100  # more than 512 tokens
    answers = first.answer("小明住在哪裡？", passage, top=3)
    assert len(answers) == 3 and all(passage.startswith(one.text, one.start) for one in answers)
    dev = first.task.load(run.task_dir, "dev")
    assert first.measure(dev) == pytest.approx(first.scores)
    first.write_predictions(tmp_path / "predictions.json", dev)
    written = json.loads((tmp_path / "predictions.json").read_text(encoding="utf-8"))
    assert list(written) == dev["id"] and list(written.values()) == first.guess(dev)
    assert set(first.guess(dev, null_threshold=1e9)) == {""} and first.guess(dev, null_threshold=-1e9) == first.guess(
        dev
    )
    unanswered = dev.map(lambda row: {"answers": {"text": [], "answer_start": []}})
    with pytest.raises(CourseError, match="cannot be scored"):
        first.measure(unanswered)
    with pytest.raises(CourseError, match="no labels"):
        first.predict(["北京"])


@pytest.mark.slow
def test_questions_that_cannot_be_learned_are_counted_and_left_out(tokenizer, recipe, tmp_path):
    """One answer stands elsewhere than the file says, one nowhere; a file with none that stands is refused."""
    good, moved, missing = ({"text": text, "answer_start": at} for text, at in (("北京", 2), ("北京", 5), ("广州", 2)))
    files = {}
    for name, answers in {"train": (good, moved, missing), "bad": (missing,)}.items():
        passages = [article for answer in answers for article in squad("我在北京。", answer)["data"]]
        files[name] = tmp_path / f"{name}.json"
        files[name].write_text(json.dumps({"data": passages}), encoding="utf-8")
    run = recipe.model_copy(update={"epochs": 1})
    model = load_model("data_samples/models/student")
    result = finetune(run, own_task("mine", files["train"], files["train"]), model, tokenizer, progress=False)
    assert (result.rows, result.repaired, result.skipped) == (2, 1, 1)
    with pytest.raises(CourseError, match="no question has an answer"):
        finetune(run, own_task("mine", files["bad"], files["train"]), model, tokenizer, progress=False)


@pytest.mark.slow
def test_a_taught_reader_follows_its_teacher(tokenizer, recipe, few_rows):
    """TextBrewer gets both sides' logits, padding apart: the loss falls below that of the student alone."""
    run = recipe.model_copy(update={"epochs": 1, "task_dir": str(few_rows), "hard_label_weight": 0.0})
    model = load_model("data_samples/models/student")
    teacher = finetune(run, "drcd", model, tokenizer, learning_rate=1e-3, every_epoch=False, progress=False)
    settings = {"learning_rate": 1e-3, "seed": 1, "every_epoch": False, "progress": False}
    more = run.model_copy(update={"epochs": 6})
    taught = finetune(more, "drcd", model, tokenizer, teacher=teacher, **settings)
    passage, question = "小明住在北京，他在一家書店工作。", "小明在哪裡工作？"
    pair = tokenizer(question, passage, return_tensors="pt")

    def distance(one, other) -> float:
        with torch.no_grad():
            sides = [side.model(**pair) for side in (one, other)]
        first, second = (torch.stack([side.start_logits, side.end_logits]).softmax(-1) for side in sides)
        return float((first - second).abs().sum())

    fresh = finetune(run, "drcd", model, tokenizer, **settings | {"learning_rate": 1e-9})
    assert distance(taught, teacher) < distance(fresh, teacher)
