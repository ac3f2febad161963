"""Laws of the sweep: nothing is done twice, nothing finished is lost, the best mean is the best mean."""

import copy
import math
import statistics
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace

import pytest
from conftest import ROOT, minirbt
from hypothesis import given
from hypothesis import strategies as st

from minirbt_helpers.errors import CourseError
from minirbt_helpers.models import ARCHITECTURES, load_model
from minirbt_helpers.recipe import load_recipe
from minirbt_helpers.tasks import (
    TASKS,
    Layout,
    as_markdown,
    best_means,
    on_unseen,
    own_task,
    protocol,
    read_results,
    relative_table,
    score_table,
    search_rates,
    sweep,
    taught_table,
    verdict_table,
    write_report,
)
from minirbt_helpers.tasks.searching import SearchTask


def rows_of(*runs: tuple) -> list[dict]:
    """Results of (model, task, rate, epochs, seed, scores)."""
    names = ("model", "task", "learning_rate", "epochs", "seed")
    same = {
        "teacher": "",
        "batch": 32,
        "length": 128,
        "attention_dropout": 0,
        "weights": "w",
        "data": "d",
        "rest": "r",
        "rows": 9,
        "dev_rows": 9,
        "floors": {},
        "seconds": 1.0,
    }
    return [dict(zip(names, run[:5], strict=True)) | same | run[5] for run in runs]


# --- the best mean --------------------------------------------------------------------------------------------------


@given(st.dictionaries(st.integers(1, 4), st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=1))
def test_the_best_mean_is_that_of_one_setting(scores):
    """Not the mean of the best seeds, not the best seed of all settings, and not a setting with fewer seeds."""
    runs = [
        ("student", "ocnli", 1e-4, epochs, seed, {"accuracy": score})
        for epochs, seeds in scores.items()
        for seed, score in enumerate(seeds)
    ]
    best = best_means(rows_of(*runs))["student", "ocnli"]
    most = max(map(len, scores.values()))
    highest = max(statistics.fmean(seeds) for seeds in scores.values() if len(seeds) == most)
    assert statistics.fmean(best.scores["accuracy"]) == highest
    assert list(best.scores["accuracy"]) == scores[best.epochs] and best.tried == len(scores)


def test_questions_are_judged_by_f1_and_keep_the_em_of_the_same_runs():
    runs = [
        ("student", "drcd", 1e-4, 2, 0, {"f1": 0.5, "em": 0.4}),
        ("student", "drcd", 1e-4, 3, 0, {"f1": 0.6, "em": 0.1}),
    ]
    (best,) = best_means(rows_of(*runs)).values()
    assert (best.epochs, best.mean("f1"), best.mean("em"), best.spread("f1")) == (3, 0.6, 0.1, 0)


def test_no_mean_goes_over_two_models_or_two_sets_of_rows():
    """A model trained anew, or a task whose rows changed, counts with its latest runs alone, however good the old."""
    runs = rows_of(*(("student", "ocnli", 1e-4, 2, seed, {"accuracy": 0.9}) for seed in range(3)))
    later = [row | {"accuracy": 0.5} for row in runs]
    (retrained,) = best_means(runs + [row | {"weights": "new"} for row in later]).values()
    assert retrained.scores["accuracy"] == (0.5, 0.5, 0.5)
    other = [row | {"data": "new", "model": "teacher"} for row in later]
    assert set(best_means(runs + other)) == {("teacher", "ocnli")}


def test_tables_look_like_the_published_ones():
    """Rows are models, columns tasks in the README's order, and the second table is relative to the teacher."""
    runs = [
        ("teacher", "tnews", 2e-5, 3, 0, {"accuracy": 0.545}),
        ("teacher", "tnews", 2e-5, 3, 1, {"accuracy": 0.555}),
        ("student", "tnews", 1e-4, 3, 0, {"accuracy": 0.44}),
        ("teacher", "cmrc2018", 3e-5, 3, 0, {"f1": 0.873, "em": 0.68}),
        ("student", "cmrc2018", 1e-4, 3, 0, {"f1": 0.7847, "em": 0.563}),
    ]
    means = best_means(rows_of(*runs))
    assert score_table(means) == [
        {"model": "teacher", "cmrc2018": "87.3 / 68.0", "tnews": "55.0 ± 0.7"},
        {"model": "student", "cmrc2018": "78.5 / 56.3", "tnews": "44.0"},
    ]
    assert relative_table(means, "teacher")[1] == {
        "model": "student",
        "cmrc2018": "89.9% (89.9%) / 82.8% (82.8%)",
        "tnews": "80.0% (80.0%)",
    }
    assert as_markdown(score_table(means)).splitlines()[1] == "|---|---|---|"
    with pytest.raises(CourseError, match="no results of 'RoBERTa'"):
        relative_table(means, "RoBERTa")


# --- floors, shares, verdicts ---------------------------------------------------------------------------------------


def three(model: str, *scores: float, **more) -> list[dict]:
    """Three seeds of a model on BQ."""
    runs = rows_of(*((model, "bq", 1e-4, 3, seed, {"accuracy": score}) for seed, score in enumerate(scores)))
    return [
        row | {"floors": {"majority": {"accuracy": 0.5}, "shared characters": {"accuracy": 0.7}}} | more for row in runs
    ]


def test_a_run_that_stands_twice_counts_once():
    """Two machines' files put together are no six seeds, and a worse rate is not better for standing twice."""
    once = three("student", 0.75, 0.80, 0.75) + three("teacher", 0.72, 0.74, 0.75)
    means = [best_means(rows) for rows in (once, once + once)]
    verdicts = [str(found["student", "bq"].against(found["teacher", "bq"])) for found in means]
    assert verdicts[0] == verdicts[1] and len(means[1]["student", "bq"].seeds) == 3
    worse = three("student", 0.55, 0.6, 0.5, learning_rate=1e-3)
    assert best_means(worse + worse + once)["student", "bq"].learning_rate == 1e-4


def test_teaching_is_held_against_the_latest_plain_runs():
    old, new = three("student", 0.5, 0.5, 0.5, rest="old"), three("student", 0.30, 0.31, 0.29)
    taught = three("student", 0.32, 0.33, 0.31, teacher="teacher", temperature=8.0, rest="taught")
    for rows in (old + new + taught, old + taught + new):
        assert [line["plain"] for line in taught_table(rows)] == ["30.0%"]


def test_floors_stand_below_the_scores_and_shares_are_of_what_is_above():
    means = best_means(three("teacher", 0.80, 0.81, 0.79) + three("student", 0.76, 0.77, 0.75))
    assert score_table(means)[2:] == [
        {"model": "majority", "bq": "50.0"}, {"model": "shared characters", "bq": "70.0"},
    ]  # fmt: skip
    assert [row["bq"] for row in relative_table(means, "teacher")] == ["100.0% (100.0%)", "95.0% (60.0%)"]
    assert verdict_table(means)[1]["bq"] == "+6.0 ± 2.5 points: higher"
    assert verdict_table(means, "teacher") == [{"model": "student", "bq": "-4.0 ± 0.0 points: lower"}]  # pairs


def test_there_is_no_share_of_a_reference_at_the_floor():
    means = best_means(three("teacher", 0.70, 0.72, 0.69) + three("student", 0.75, 0.76, 0.74))
    assert {row["bq"] for row in relative_table(means, "teacher")} == {"reference at the floor"}
    assert verdict_table(means)[0]["bq"].endswith("not told apart")


def test_seeds_in_another_order_of_rows_are_no_pairs():
    means = best_means(three("teacher", 0.80, 0.81, 0.79) + three("student", 0.75, 0.76, 0.74, batch=16))
    assert verdict_table(means, "teacher")[0]["bq"] == "-5.0 ± 2.3 points: lower"


def test_the_chosen_setting_is_scored_where_it_was_not_chosen():
    """By hand: the other seeds choose, and where halves are known the other half does."""
    first, second = three("student", 0.9, 0.5, 0.5), three("student", 0.6, 0.6, 0.6, epochs=10)
    (best,) = best_means(first + second).values()
    assert (best.epochs, best.scores["accuracy"], best.chosen_on) == (3, (0.9, 0.5, 0.5), "other seeds")
    assert best.fair["accuracy"] == (0.6, 0.5, 0.5)  # without its lucky seed ten epochs are better
    assert best.fair_at["epochs"] == (10, 3) and best.fair_at["learning_rate"] == (1e-4,)
    halved = [row | {"halves": {"accuracy": [row["accuracy"] + 0.1, row["accuracy"] - 0.1]}} for row in first + second]
    assert best_means(halved)["student", "bq"].chosen_on == "other seeds and rows"
    (alone,) = best_means(first[:1] + second[:1]).values()
    assert alone.chosen_on == "the same rows" and alone.fair == alone.scores and alone.fair_at["epochs"] == (3,)


def test_a_single_row_that_does_not_stand_in_train_has_no_halves(tmp_path):
    """It cannot be split: the other seeds alone choose, as where halves are not known."""
    only = {"unseen": {"dev_rows": 1, "floors": {}, "halves": {}}, "halves": {"accuracy": [0.7, 0.7]}}
    runs = [
        row | {"finished": "2024-01-01", "unseen": only["unseen"] | {"accuracy": float(seed == epochs)}}
        for epochs in (1, 2)
        for seed, row in enumerate(three("student", 0.7, 0.7, 0.7, epochs=epochs, **only))
    ]
    (best,) = best_means(on_unseen(runs)).values()
    assert best.chosen_on == "other seeds" and best.fair["accuracy"] == (0.0, 0.0, 0.0)
    write_report(tmp_path / "report.md", runs)
    assert "other seeds and rows" not in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_a_half_without_an_answer_chooses_nothing():
    runs = rows_of(*(("student", "drcd", 1e-4, epochs, seed, {"f1": 0.1 * epochs, "em": 0.0})
                     for epochs in (1, 2) for seed in (0, 1)))  # fmt: skip
    runs = [row | {"halves": {"f1": [row["f1"], math.nan], "em": [0.0, math.nan]}} for row in runs]
    (best,) = best_means(runs).values()
    assert (best.epochs, best.chosen_on, best.fair["f1"]) == (2, "other seeds", (0.2, 0.2))


def test_what_nobody_could_score_stands_as_a_dash(tmp_path):
    """No unseen question has an answer: nan, which a table neither compares nor counts."""
    nothing = {"f1": math.nan, "em": math.nan}
    floors = {"floors": {"sentence with most shared characters": nothing | {"hits": 0.0}}}
    runs = [
        row | floors | {"finished": "2024-01-01", "model": model, "teacher": teacher, "kd": [{"gap": 0.1}]}
        for model, teacher in (("teacher", ""), ("student", ""), ("student", "teacher"))
        for row in rows_of(*(("", "drcd", 1e-4, epochs, seed, nothing) for epochs in (1, 2) for seed in range(3)))
    ]
    means = best_means(runs)
    for table in (score_table(means), relative_table(means, "teacher"), verdict_table(means)):
        assert {row["drcd"] for row in table} == {"–"}
    assert taught_table(runs) == []
    write_report(tmp_path / "report.md", runs, "teacher")
    assert "nan" not in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_scores_without_the_rows_that_stand_in_train():
    unseen = {"accuracy": 0.6, "dev_rows": 7, "floors": {"majority": {"accuracy": 0.4}}}
    (row, *_) = on_unseen(three("student", 0.9, 0.9, 0.9, unseen=unseen))
    assert (row["accuracy"], row["dev_rows"], row["floors"]) == (0.6, 7, unseen["floors"])
    assert on_unseen(three("student", 0.9, 0.9, 0.9))[0]["accuracy"] == 0.9


def test_teaching_is_held_against_plain_runs_that_are_alike():
    kd = {"kd": [{"gap": 0.5}, {"gap": 0.1}]}
    taught = three("student", 0.83, 0.82, 0.84, teacher="teacher", temperature=4.0, **kd)
    (row,) = taught_table(three("student", 0.80, 0.79, 0.81) + taught + three("student", 0.9, 0.9, 0.9, epochs=10))
    assert row["gain"] == "+3.0 ± 0.0 points: higher" and row["KL from the teacher"] == "0.500 → 0.100"
    assert (row["taught by"], row["temperature"], row["seeds"]) == ("teacher", "4", "3")
    assert taught_table(taught) == []


# --- sweeping -------------------------------------------------------------------------------------------------------


@pytest.fixture
def contest(recipe, tokenizer, tmp_path):
    """Two small models, two tasks, two seeds: everything a sweep needs, and where it writes."""
    models = {
        "student": (load_model("data_samples/models/student"), tokenizer),
        "untrained": (ARCHITECTURES["MiniRBT-H256"].random_model("sample", len(tokenizer)), tokenizer),
    }
    run = recipe.model_copy(update={"task_rows": 8, "task_batch_size": 8, "task_length": 16})
    return {
        "recipe": run, "models": models, "file": tmp_path / "results" / "rows.jsonl", "tasks": ("chnsenticorp",),
        "epochs": (1,), "seeds": (0, 1), "rates": (1e-3,), "progress": False,
    }  # fmt: skip


@pytest.mark.slow
def test_a_sweep_goes_on_where_it_was_stopped(contest, monkeypatch):
    """Stopped in its third run and in the middle of a line, it repeats none of the two finished ones."""
    trained = []

    def counted(recipe, task, model, *arguments, **settings):
        trained.append((model.config.hidden_size, settings["seed"]))
        if len(trained) == 3:
            raise KeyboardInterrupt
        return finetune(recipe, task, model, *arguments, **settings)

    finetune = protocol.finetune
    monkeypatch.setattr(protocol, "finetune", counted)
    with pytest.raises(KeyboardInterrupt):
        sweep(**contest)
    kept = contest["file"].read_bytes()
    assert kept.count(b"\n") == 2
    contest["file"].write_bytes(kept + b'{"model": "stu')
    rows = sweep(**contest)
    assert len(trained) == 5 and len(rows) == 4
    assert contest["file"].read_bytes().startswith(kept) and read_results(contest["file"]) == rows
    assert sweep(**contest) == rows and len(trained) == 5  # nothing is left to do
    sweep(**contest | {"seeds": (0, 1, 2)})
    assert len(trained) == 7  # one more seed for each model


@pytest.mark.slow
def test_other_weights_or_rows_make_another_run(contest):
    first = sweep(**contest | {"seeds": (0,), "models": {"student": contest["models"]["student"]}})
    again = sweep(**contest | {"seeds": (0,), "models": {"renamed": contest["models"]["student"]}})
    assert again == [row | {"model": "renamed"} for row in first]  # a name is only a name
    more = contest | {"seeds": (0,), "recipe": contest["recipe"].model_copy(update={"task_rows": 9})}
    assert {row["data"] for row in sweep(**more)}.isdisjoint(row["data"] for row in first)
    warmer = contest | {"seeds": (0,), "recipe": contest["recipe"].model_copy(update={"warmup": 0.5})}
    assert {row["rest"] for row in sweep(**warmer)}.isdisjoint(row["rest"] for row in first)


@pytest.fixture
def stubbed(monkeypatch):
    """Counts the runs of a sweep in place of training."""
    ran = []

    def run(recipe, task, *arguments, **settings):
        ran.append(recipe)
        return SimpleNamespace(scores={"accuracy": 0.5}, rows=8, by_row={"accuracy": [0.0, 1.0] * 75}, kd=())

    monkeypatch.setattr(protocol, "finetune", run)
    return ran


def test_where_all_dev_rows_stand_in_train_there_is_no_score_without_them(contest, stubbed, tmp_path):
    """The report says that such rows are left out; so a dash stands there, and not the score that they lift."""
    lines = (ROOT / "data_samples/tasks/chnsenticorp/train.tsv").read_text(encoding="utf-8").splitlines()[:151]
    (tmp_path / "rows.tsv").write_text("\n".join(lines), encoding="utf-8")
    task = own_task("leaked", tmp_path / "rows.tsv", tmp_path / "rows.tsv", Layout("text_a"))
    whole = contest["recipe"].model_copy(update={"task_rows": None})
    rows = sweep(**contest | {"tasks": (task,), "recipe": whole})
    assert all(row["unseen"]["dev_rows"] == 0 for row in read_results(contest["file"]))
    assert score_table(best_means(on_unseen(rows)))[0]["leaked"] == "–"
    assert score_table(best_means(rows))[0]["leaked"] == "50.0 ± 0.0"


def test_a_setting_named_twice_is_run_and_counted_once(contest, stubbed):
    twice = {"rates": (1e-3, 1e-3), "seeds": (0, 1, 0), "epochs": (1, 1), "tasks": ("chnsenticorp",) * 2}
    rows = sweep(**contest | twice)
    assert len(rows) == len(stubbed) == 2 * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"rates": (2e-3,)},
        {"epochs": (2,)},
        {"seeds": (1,)},
        {"recipe": {"task_batch_size": 4}},
        {"recipe": {"task_length": 17}},
        {"recipe": {"task_attention_dropout": 0.5}},
        {"recipe": {"weight_decay": 0.5}},
        {"recipe": {"clip": 0.5}},
    ],
)
def test_every_setting_makes_another_run(contest, stubbed, change):
    one = contest | {"seeds": (0,)}
    sweep(**one)
    before = len(stubbed)
    if "recipe" in change:
        change = {"recipe": one["recipe"].model_copy(update=change["recipe"])}
    sweep(**one | change)
    assert len(stubbed) == 2 * before
    sweep(**one)
    assert len(stubbed) == 2 * before


def test_shipped_results_are_gone_on_with_and_another_clip_is_another_run():
    (rest,) = {row["rest"] for row in read_results("data_samples/results/finetuning.jsonl") if not row["teacher"]}
    assert protocol._rest(load_recipe("sample"), None) == rest
    for teacher in (None, {"weights": "w"}):
        assert len({protocol._rest(load_recipe("sample", clip=clip), teacher) for clip in (0.5, 1.0, 2.0)}) == 3


@pytest.mark.slow
def test_what_fine_tuning_takes_over_makes_the_run_and_nothing_else(contest, stubbed):
    """Another MLM head is the same run; other heads of attention, or a tokenizer that reads otherwise, are not."""
    model, tokenizer = contest["models"]["student"]
    one = contest | {"seeds": (0,), "models": {"student": (model, tokenizer)}}
    sweep(**one)
    other_head, other_heads, other_words = copy.deepcopy(model), copy.deepcopy(model), copy.deepcopy(tokenizer)
    other_head.cls.predictions.transform.dense.weight.data += 1
    sweep(**one | {"models": {"student": (other_head, tokenizer)}})
    assert len(stubbed) == 1
    other_heads.config.num_attention_heads //= 2
    sweep(**one | {"models": {"student": (other_heads, tokenizer)}})
    other_words.backend_tokenizer.normalizer = None
    sweep(**one | {"models": {"student": (model, other_words)}})
    assert len(stubbed) == 3


def test_settings_are_never_averaged():
    runs = rows_of(*(("student", "ocnli", 1e-4, 2, seed, {"accuracy": 0.9}) for seed in range(3)))
    longer = [row | {"length": 512, "accuracy": 0.5} for row in runs]
    (best,) = best_means(runs + longer).values()
    assert best.scores["accuracy"] == (0.9, 0.9, 0.9) and (best.length, best.tried) == (128, 2)


@pytest.mark.parametrize("kept", [b"three years of notes", b'{"a": 1}', b"one\ntwo"])
def test_a_file_of_something_else_is_left_alone(contest, stubbed, kept):
    contest["file"].parent.mkdir()
    contest["file"].write_bytes(kept)
    with pytest.raises(CourseError, match=r"rows\.jsonl, line 1: not a result"):
        sweep(**contest)
    assert contest["file"].read_bytes() == kept and not stubbed


def test_a_whole_row_without_its_line_end_is_kept(contest, stubbed):
    rows = sweep(**contest)
    content = contest["file"].read_bytes()
    contest["file"].write_bytes(content[:-1])
    assert sweep(**contest) == rows and contest["file"].read_bytes() == content and len(stubbed) == len(rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rates": (0.0,)}, "a learning rate of 0.0"),
        ({"rates": (float("nan"),)}, "a learning rate of nan"),
        ({"epochs": (0,)}, "epochs 0"),
        ({"teacher": "nobody"}, "no model 'nobody'"),
        ({"temperatures": (2.0,)}, "nobody teaches"),
        ({"temperatures": (0.0,), "teacher": "student"}, "a temperature of 0.0"),
    ],
)
def test_a_sweep_that_cannot_end_does_not_begin(contest, stubbed, change, message):
    with pytest.raises(CourseError, match=message):
        sweep(**contest | change)
    assert not stubbed and not contest["file"].exists()


@pytest.mark.slow
def test_a_teacher_trained_otherwise_makes_another_run(contest, stubbed):
    """A student is taught again where its teacher has other weights, epochs or a temperature: a name says little."""
    one = contest | {"seeds": (0,), "teacher": "student"}
    (first,) = sweep(**one)
    assert sweep(**one) == [first]
    trained_on = contest["models"] | {"student": contest["models"]["untrained"]}
    hotter = contest["recipe"].model_copy(update={"temperature": 2.0})
    for change in ({"models": trained_on}, {"epochs": (1, 2)}, {"recipe": hotter}, {"temperatures": (2.0,)}):
        assert first not in sweep(**one | change)
    assert sweep(**one) == [first]


def taught_sweep(file: Path, reference: str) -> CompletedProcess:
    """A student taught by RBT3, from the command line."""
    models = [part for name in ("student", "rbt3") for part in ("--model", f"{name}=data_samples/models/{name}")]
    size = ["--task", "chnsenticorp", "--try-epochs", 1, "--seeds", 1, "--task-rows", 8, "--task-length", 16]
    return minirbt("sweep", file, *models, *size, "--taught-by", "rbt3", "--reference", reference)


@pytest.mark.parametrize("name", ["rbt3", "student"])
def test_a_reference_without_results_is_refused_before_the_first_run(stubbed, tmp_path, name):
    """A teacher makes no row of its own, and whom it teaches has another name in the tables."""
    done = taught_sweep(tmp_path / "rows.jsonl", name)
    assert done.returncode == 1 and not stubbed
    assert f"--reference {name}: no such model" in done.stderr and "one of 'student, taught by rbt3'" in done.stderr


@pytest.mark.slow
def test_a_taught_model_may_be_the_reference(stubbed, tmp_path):
    done = taught_sweep(tmp_path / "rows.jsonl", "student, taught by rbt3")
    assert done.returncode == 0 and "Relative to student, taught by RBT3" in done.stdout, done.stderr


def test_a_broken_task_stops_a_sweep_before_it_trains(contest, tmp_path):
    broken = replace(TASKS["tnews"], files={"train": ("none.json",)})
    with pytest.raises(CourseError, match="no train file for tnews"):
        sweep(**contest | {"tasks": ("chnsenticorp", broken)})
    assert not contest["file"].exists()
    contest["file"].parent.mkdir()
    contest["file"].write_text('{"model": "student"}\n{}\n')
    with pytest.raises(CourseError, match=r"rows\.jsonl, line 1: not a result"):
        sweep(**contest)
    assert contest["file"].read_text().count("\n") == 2


@pytest.mark.slow
def test_a_taught_sweep_stands_beside_the_plain_one(contest, tmp_path):
    settings = contest | {"seeds": (0,)}
    plain, taught = sweep(**settings), sweep(**settings | {"teacher": "student"})
    assert [row["model"] for row in taught] == ["untrained"] and taught[0]["teacher"] == "student"
    rows = read_results(contest["file"])
    assert rows == [*plain, *taught]
    assert {name for name, _ in best_means(rows)} == {"student", "untrained", "untrained, taught by student"}
    write_report(tmp_path / "report.md", rows, "student")
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert taught[0]["kd"][0]["gap"] == pytest.approx(taught[0]["kd"][0]["kd_loss"] - taught[0]["kd"][0]["floor"])
    assert taught[0]["kd"][0]["gap"] > 0 and set(plain[0]["floors"]) == {"majority", "letters"}
    assert plain[0]["overlap"] == {"exact": 0, "runs": 0} and len(plain[0]["halves"]["accuracy"]) == 2
    assert "What teaching on the task adds" in report and "| letters |" in report
    write_report(tmp_path / "report.md", rows, planned=[("student", "chnsenticorp"), ("student", "bq")])
    assert "Not made yet: student on bq\n" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "| untrained, taught by student |" in report and "processors" in report and "chnsenticorp 8 → 150" in report


# --- searching ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_search_widens_and_scores_no_dev_row(contest, monkeypatch):
    """The best of the given rates lies at the edge; rows of one text stay on one side; dev is never read."""
    seen = []

    def run(recipe, task, *arguments, learning_rate, **settings):
        train, dev = (set(task.load(recipe.task_dir, split)["text"]) for split in ("train", "dev"))
        if isinstance(task, SearchTask):
            seen.append(learning_rate)
            assert not train & dev and dev <= set(TASKS["chnsenticorp"].load(recipe.task_dir, "train")["text"])
        score = 1 - abs(learning_rate - 1e-2)
        return SimpleNamespace(scores={"accuracy": score}, rows=8, by_row={"accuracy": [0.0, 1.0] * len(dev)}, kd=())

    monkeypatch.setattr(protocol, "finetune", run)
    settings = {name: contest[name] for name in ("recipe", "file", "tasks", "progress")}
    models = {"student": contest["models"]["student"]}
    found = search_rates(models=models, **settings)["student"]["chnsenticorp"]
    assert (found.rate, found.at_edge, len(found.scores)) == (9.5e-3, False, 6) and len(seen) == 6
    assert search_rates(models=models, **settings)["student"]["chnsenticorp"] == found and len(seen) == 6
    with pytest.raises(CourseError, match="3 rates to search"):
        search_rates(models=models, rates=(1e-4, 1e-3, 1e-2), **settings)
    rates = {"student": {"chnsenticorp": [found.rate]}}
    (row,) = sweep(**contest | {"models": models, "rates": rates, "seeds": (0,)})
    assert row["learning_rate"] == found.rate
