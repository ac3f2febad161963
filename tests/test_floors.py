"""Laws of what stands beside a score: rules without a network, dev rows that stand in train, and fair splits."""

import json
import sys
from pathlib import Path

import pytest
from datasets import Dataset

from minirbt_helpers.tasks import TASKS, Layout, Task, closest_sentence, floors, overlap
from minirbt_helpers.tasks.floors import highest, mean_floors
from minirbt_helpers.tasks.overlaps import RUN

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import real_tasks

MOODS = Task("moods", "glad or not?", {}, Layout("text"), answers={"0": "sad", "1": "glad"})


def texts(*rows: tuple[str, int]) -> Dataset:
    return Dataset.from_list([{"text": text, "label": label} for text, label in rows])


def question(text: str, passage: str, *answers: str) -> dict:
    places = [passage.find(answer) for answer in answers]
    return {"question": text, "context": passage, "answers": {"text": list(answers), "answer_start": places}}


# --- floors ---------------------------------------------------------------------------------------------------------


def test_letters_are_ahead_of_the_majority_where_letters_tell():
    """好 stands in every glad text; a dev row asks with words that train has not."""
    train = texts(*((f"今天{word}很好", 1) for word in "山水花鸟鱼虫"), *((f"昨天{word}不行", 0) for word in "风雨雪"))
    found = floors(MOODS, train, texts(("房间很好", 1), ("房间不行", 0), ("早饭不行", 0)))
    assert found == {"majority": {"accuracy": 1 / 3}, "letters": {"accuracy": 1.0}}
    assert highest(found, "accuracy") == ("letters", 1.0) and highest(found, "f1") == ("", 0.0)


def test_rows_of_one_label_have_the_majority_alone():
    assert floors(MOODS, texts(("好", 1), ("很好", 1)), texts(("好", 1), ("坏", 0))) == {"majority": {"accuracy": 0.5}}


def test_pairs_are_told_by_shared_characters_and_by_the_second_text():
    same = [("怎么还款", "怎么还款呢"), ("如何提额", "如何提额啊"), ("卡丢了", "我卡丢了"), ("改密码", "要改密码")]
    other = [("怎么还款", "几点开门"), ("如何提额", "天气好吗"), ("卡丢了", "利息多少"), ("改密码", "谁在那里")]
    rows = [(*pair, "1") for pair in same] + [(*pair, "0") for pair in other]
    table = Dataset.from_list([{"text": one, "text_pair": two, "label": int(label)} for one, two, label in rows])
    found = floors(TASKS["bq"], table, table)
    assert found["shared characters"] == {"accuracy": 1.0} and found["majority"] == {"accuracy": 0.5}
    assert found["second text alone"]["accuracy"] > 0.5


def test_the_sentence_that_shares_most_characters_answers():
    """A hit is an answer at its marked place in that sentence, not elsewhere in the passage."""
    passage = "山上有座塔。塔建于唐代，高三十米！塔下有河。"
    assert closest_sentence("这座塔建于什么时候？", passage).start == 6
    rows = [question("塔建于什么年代？", passage, "唐代"), question("塔建于哪里？", passage, "山上")]
    found = floors(TASKS["drcd"], Dataset.from_list(rows), Dataset.from_list(rows))
    (rule,) = found.values()
    assert rule["hits"] == 0.5 and rule["em"] == 0 and 0 < rule["f1"] < 0.5


def test_floors_of_some_rows_are_means_over_these():
    assert mean_floors({"majority": {"accuracy": [1.0, 0.0, 1.0]}}, [0, 2]) == {"majority": {"accuracy": 1.0}}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rule", "f1", "hits"), [("cmrc2018", 0, 0.25, 0.71), ("drcd", 0, 0.16, 0.82)])
def test_the_floor_of_real_questions_is_the_known_one(shared, name, rule, f1, hits):
    dev = TASKS[name].load(shared / "tasks", "dev").select(range(0, 3000, 10))
    found = floors(TASKS[name], dev, dev)["sentence with most shared characters"]
    assert abs(found["f1"] - f1) < 0.04 and abs(found["hits"] - hits) < 0.07


# --- overlaps -------------------------------------------------------------------------------------------------------


def test_rows_that_stand_in_train_are_found_with_other_blanks_and_by_a_long_run():
    long = "这家旅馆的房间又大又干净服务员也很热情下次还来住"
    train = texts(("房间 很好", 1), (long, 1))
    dev = texts(("房间很好", 0), (f"我说{long[:RUN]}", 1), (f"我说{long[: RUN - 1]}", 1), ("坏", 0))
    found = overlap(train, dev)
    assert (found.exact, found.runs, found.unseen) == ({0}, {1}, [2, 3])
    assert str(found).startswith("1 of 4 dev rows stand in train (25.0%), 1 more share a run of 20 characters")


def test_a_pair_stands_in_train_in_either_order_and_half_a_pair_does_not():
    train = Dataset.from_list([{"text": "甲", "text_pair": "乙", "label": 1}])
    dev = [{"text": one, "text_pair": two, "label": 1} for one, two in (("乙", "甲"), ("甲", "丙"))]
    assert overlap(train, Dataset.from_list(dev)).exact == {0}


def test_a_passage_that_both_have_is_a_run_and_the_same_question_about_it_a_whole_row():
    passage = "长江全长约六千三百公里，是亚洲最长的河流，流入东海。"
    train = Dataset.from_list([question("长江有多长？", passage, "六千三百公里")])
    dev = Dataset.from_list(
        [question("长江有多长？", passage, "六千三百公里"), question("流入哪里？", passage, "东海")]
    )
    found = overlap(train, dev)
    assert (found.exact, found.runs) == ({0}, {1})


@pytest.mark.slow
def test_the_known_leaks_of_the_real_files_are_found(shared):
    """Word for word 338 of 1,200; two more differ by blanks alone."""
    task = TASKS["chnsenticorp"]
    found = overlap(*(task.load(shared / "tasks", split) for split in ("train", "dev")))
    assert len(found.exact) == 340 and len(found.runs) == 18


# --- splits of the real files ---------------------------------------------------------------------------------------


def article(title: str, *counts: int) -> dict:
    """An article with a passage for every count, and so many questions about each."""
    passages = [
        {"context": f"{title}第{part}段说的是花", "qas": [ask(f"{title}{part}-{one}") for one in range(size)]}
        for part, size in enumerate(counts)
    ]
    return {"title": title, "paragraphs": passages}


def ask(name: str, text: str = "说的是什么？") -> dict:
    return {"id": name, "question": text, "answers": [{"text": "花", "answer_start": 7}]}


@pytest.fixture
def official(tmp_path) -> Path:
    """Files in the official forms, with a few rows each."""
    folder = tmp_path / "official"
    trial, dev = [article(one, 2) for one in "甲乙"], [article(one, 1, 2) for one in "丙丁戊己庚辛乙"]
    trial[0]["paragraphs"][0]["qas"].append(ask("empty", " "))
    rows = {
        "cmrc2018/cmrc2018_trial.json": json.dumps({"data": trial}),
        "cmrc2018/cmrc2018_dev.json": json.dumps({"data": dev}),
        "drcd/DRCD_dev.json": json.dumps({"data": [*dev, article("丙", 3)]}),
        "ocnli/train.10k.json": "".join(inference(number) for number in range(9)),
        "ocnli/dev.json": "".join(inference(number) for number in range(20, 25)),
        "lcqmc/dev.tsv": "".join(f"花{number}\t草{number}\t1\n" for number in range(8)),
        "bq/train_other.tsv": "".join(f"花{number}\t草{number}\t0\n" for number in range(7)),
        "bq/dev.tsv": "".join(f"树{number}\t草{number}\t1\n" for number in range(4)),
        "tnews/train.json": "".join(f'{{"label": "100", "sentence": "花{number}"}}\n' for number in range(6)),
        "tnews/dev.json": '{"label": "100", "sentence": "花3"}\n',
        "chnsenticorp/train.tsv": "label\ttext_a\n" + "".join(f"1\t花{number}\n" for number in range(6)),
        "chnsenticorp/dev.tsv": "label\ttext_a\n0\t草\n1\t花\n",
    }
    for name, content in rows.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def inference(number: int) -> str:
    return json.dumps({"sentence1": f"花{number}", "sentence2": f"草{number}", "label": "neutral"}) + "\n"


def titles(file: Path) -> set[str]:
    return {one["title"] for one in json.loads(file.read_text(encoding="utf-8"))["data"]}


def test_the_splits_share_no_article_and_no_row_is_lost(official, tmp_path, capsys):
    output = tmp_path / "splits"
    real_tasks.write(official, output, (None, None), (None, None))
    sizes = {name: [len(task.load(output, part)) for part in ("train", "dev")] for name, task in TASKS.items()}
    for name, whole in (("cmrc2018", 25), ("drcd", 24)):
        train, dev = (titles(output / name / TASKS[name].files[part][0]) for part in ("train", "dev"))
        assert not train & dev and dev
        taken = sum(sizes[name])  # a trial article that is scored is left out of train
        assert taken == whole or (name == "cmrc2018" and "乙" in dev and taken == whole - 2)
        assert sizes[name][0] >= 2 * (whole - 4) / 3
    assert {name: sizes[name] for name in ("ocnli", "lcqmc", "bq", "tnews", "chnsenticorp")} == {
        "ocnli": [9, 5], "lcqmc": [4, 4], "bq": [7, 4], "tnews": [6, 1], "chnsenticorp": [6, 2],
    }  # fmt: skip
    assert "tnews: 6 to train on, 1 to score; 1 of 1 dev rows stand in train" in capsys.readouterr().out


def test_the_first_rows_are_the_same_ones_however_many_are_kept(official, tmp_path):
    for name, rows in (("all", None), ("some", 3)):
        real_tasks.write(official, tmp_path / name, (rows, rows), (rows, rows))
    for name in ("ocnli", "chnsenticorp", "drcd"):
        some, whole = (TASKS[name].load(tmp_path / one, "train").to_list() for one in ("some", "all"))
        assert some == whole[: len(some)] and 3 <= len(some) < len(whole)
