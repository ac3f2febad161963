"""Laws of the tasks and of fine-tuning."""

import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value
from hub_server import serve
from transformers import BertConfig

from minirbt_helpers.errors import CourseError, CourseWarning
from minirbt_helpers.models import load_model, load_tokenizer
from minirbt_helpers.recipe import SCALES, load_recipe
from minirbt_helpers.tasks import TASKS, Finetuned, Layout, finetune, floors, own_task, search_rates, with_head
from minirbt_helpers.tasks.finetuning import training_arguments


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_the_real_files_are_read_by_the_same_code(shared, name):
    """The official numbers of rows, and nothing odd among them; OCNLI's 50 without agreement are left out."""
    task = TASKS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if name == "ocnli" else "error", CourseWarning)
        assert len(task.load(shared / "tasks", "dev")) == task.sizes["dev"]
        if name in ("tnews", "chnsenticorp"):  # whole there
            assert len(task.load(shared / "tasks", "train")) == task.sizes["train"]


@pytest.mark.parametrize("name", TASKS)
def test_the_sample_files_are_read_by_the_same_code(name):
    task = TASKS[name]
    for split in ("train", "dev"):
        rows = task.load("data_samples/tasks", split)
        assert set(rows["label"]) == set(range(len(task.labels))) if task.layout else all(rows["question"])


def broken(tmp_path, name: str, line: str) -> str:
    task = TASKS[name]
    (tmp_path / name).mkdir()
    good = {
        "chnsenticorp": "label\ttext_a",
        "lcqmc": "一\t二\t1",
        "ocnli": '{"sentence1": "一", "sentence2": "二", "label": "neutral"}',
        "tnews": '{"label": "100", "sentence": "一"}',
        "drcd": '{"data": [{"paragraphs": [',
    }[name]
    (tmp_path / name / task.files["dev"][0]).write_text(f"{good}\n{line}\n", encoding="utf-8")
    with pytest.raises(CourseError) as caught:
        task.load(tmp_path, "dev")
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("chnsenticorp", "1", "1 fields instead of 2"),
        ("chnsenticorp", "2\t很好", "unknown label '2'"),
        ("chnsenticorp", "1\t ", "1 row without text (line 2), and 0 rows to use"),
        ("lcqmc", "一\t二", "2 fields instead of 3"),
        ("lcqmc", "一\t二\t2", "unknown label '2'"),
        ("tnews", '{"label": "105", "sentence": "一"}', "unknown label '105'"),
        ("tnews", '{"label": "100"}', "no sentence in the row"),
        ("tnews", '{"sentence": "一"}', "no label in the row"),
        ("drcd", '{"context": "天"]', "not JSON"),
        ("ocnli", "{", "not a row of this task"),
        ("ocnli", "[]", "not a row of this task"),
        ("ocnli", '{"sentence1": "一", "label": "neutral"}', "sentence2"),
        ("ocnli", '{"sentence1": "一", "sentence2": "二", "label": "maybe"}', "unknown label 'maybe'"),
        ("ocnli", '{"sentence1": [1], "sentence2": "二", "label": "neutral"}', "no text: [1]"),
    ],
)
def test_a_broken_row_is_named(tmp_path, name, line, message):
    complaint = broken(tmp_path, name, line)
    assert message in complaint and "line 2" in complaint and TASKS[name].files["dev"][0] in complaint


def test_missing_things_are_named(tmp_path):
    with pytest.raises(CourseError, match=r"no dev file for ocnli"):
        TASKS["ocnli"].load(tmp_path, "dev")
    (tmp_path / "chnsenticorp").mkdir()
    (tmp_path / "chnsenticorp" / "dev.tsv").write_text("text\tlabel\n")
    with pytest.raises(CourseError, match=r"dev\.tsv, line 1: the header has no text_a"):
        TASKS["chnsenticorp"].load(tmp_path, "dev")
    (tmp_path / "chnsenticorp" / "dev.tsv").write_text("label\ttext_a\n")
    with pytest.raises(CourseError, match=r"dev\.tsv: no rows in it"):
        TASKS["chnsenticorp"].load(tmp_path, "dev")
    with pytest.raises(CourseError, match=r"(?s)no train file for lcqmc.*train\.tsv there; .*on application"):
        TASKS["lcqmc"].load(tmp_path, "train")


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("chnsenticorp", "test.tsv", "text_a\n很好\n很差\n"),
        ("bq", "test.tsv", "一\t二\n三\t四\n"),
        ("tnews", "test.json", '{"id": 7, "sentence": "一", "label": "100"}\n{"id": 8, "sentence": "二"}\n'),
    ],
)
def test_a_test_file_needs_no_labels(tmp_path, name, file, content):
    """A train or dev file does. In a test file some rows may have a label, and keep it."""
    home = tmp_path / name
    home.mkdir()
    for split in (file, file.replace("test", "dev")):
        (home / split).write_text(content, encoding="utf-8")
    rows = TASKS[name].load(tmp_path, "test")
    assert len(rows) == 2 and rows["text"]
    assert rows["label"] == [0, None] if name == "tnews" else "label" not in rows.column_names
    with pytest.raises(CourseError, match=r"label|fields"):
        TASKS[name].load(tmp_path, "dev")


def test_rows_to_predict_are_all_there(tmp_path):
    """Without a label, with an empty one or with that of no agreement: none is left out, so that places agree."""
    row = '{"sentence1": "一", "sentence2": "二", "label": "%s"}\n'
    (tmp_path / "rows.json").write_text(row % "-" + row % "neutral", encoding="utf-8")
    assert TASKS["ocnli"].read(tmp_path / "rows.json", labelled=False)["label"] == [None, 1]
    (tmp_path / "rows.tsv").write_text("label\ttext_a\n\t很好\n\t很差\n", encoding="utf-8")
    assert TASKS["chnsenticorp"].read(tmp_path / "rows.tsv", labelled=False).column_names == ["text"]


@pytest.mark.parametrize(
    ("ids", "kept"),
    [
        ("7 8", [7, 8]), ('7 "a"', ["7", "a"]), ('"7" "a"', ["7", "a"]), ("7 null", [7, None]), ("null null", None)
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*1 of 2 rows without an id")
def test_ids_are_of_one_kind_or_none(tmp_path, ids, kept):
    lines = (f'{{"id": {one}, "sentence": "一"}}\n' for one in ids.split())
    (tmp_path / "rows.json").write_text("".join(lines), encoding="utf-8")
    rows = TASKS["tnews"].read(tmp_path / "rows.json", labelled=False)
    assert rows["id"] == kept if kept else rows.column_names == ["text"]


def test_one_broken_row_costs_no_other_its_id(tmp_path):
    """It keeps its place, and so do the names of the others."""
    lines = [f'{{"id": "q{number}", "sentence": "一"}}' for number in range(200)]
    lines[70] = lines[70][:9]
    (tmp_path / "rows.json").write_text("\n".join(lines), encoding="utf-8")
    with pytest.warns(CourseWarning, match="1 of 200 rows without an id"):
        rows = TASKS["tnews"].read(tmp_path / "rows.json", labelled=False)
    assert rows["id"] == [None if number == 70 else f"q{number}" for number in range(200)]


def test_a_question_keeps_its_texts_when_its_answer_cannot_be_read(tmp_path):
    """So it is predicted as what it is; only its answer is lost."""
    good = {"text": "北京", "answer_start": 0}
    asked = [{"id": f"Q{number}", "question": "哪里？", "answers": [good]} for number in range(150)]
    asked[70] = asked[70] | {"answers": [good | {"answer_start": "?"}]}
    file = tmp_path / "questions.json"
    file.write_text(json.dumps({"data": [{"paragraphs": [{"context": "北京很大。", "qas": asked}]}]}), encoding="utf-8")
    with pytest.warns(CourseWarning, match="that cannot be read"):
        row = TASKS["drcd"].read(file, labelled=False)[70]
    assert (row["id"], row["context"], row["question"]) == ("Q70", "北京很大。", "哪里？")
    assert row["answers"]["text"] == []


@pytest.mark.parametrize("broken", [(150,), (150, 151, 152, 153)])
def test_json_lines_of_questions_may_have_one_broken_line_in_a_hundred(tmp_path, broken):
    asked = {"id": "Q", "context": "北京很大。", "question": "哪里？"}
    line = json.dumps(asked | {"answers": {"text": ["北京"], "answer_start": [0]}})
    lines = [line[:30] if number in broken else line for number in range(1, 301)]
    (tmp_path / "questions.json").write_text("\n".join(lines), encoding="utf-8")
    if len(broken) == 1:
        with pytest.warns(CourseWarning, match="line 150"):
            assert len(TASKS["drcd"].read(tmp_path / "questions.json")) == 299
    else:
        with pytest.raises(CourseError, match="line 150"):
            TASKS["drcd"].read(tmp_path / "questions.json")


def test_a_stray_mark_in_a_csv_is_named_with_its_line(tmp_path):
    (tmp_path / "rows.csv").write_text('label,text_a\n1,好\n1,"好"吗\n', encoding="utf-8")
    with pytest.raises(CourseError, match="line 3"):
        own_task("own", tmp_path / "rows.csv", tmp_path / "rows.csv", Layout("text_a"))


def test_questions_without_an_answer_are_no_misses_of_a_rule(tmp_path):
    rows = Dataset.from_dict({
        "question": ["谁写了诗？"] * 2, "context": ["天很冷。诗是他写的。"] * 2,
        "answers": [{"text": ["他"], "answer_start": [6]}, {"text": [], "answer_start": []}],
    })  # fmt: skip
    (found,) = floors(TASKS["drcd"], rows, rows).values()
    assert found["hits"] == 1


def test_the_search_of_a_rate_needs_some_texts(tmp_path, recipe, tokenizer):
    rows = "label\ttext_a\n" + "".join(f"{number % 2}\t{text}\n" for number, text in enumerate("好坏美"))
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / name).write_text(rows, encoding="utf-8")
    task = own_task("own", tmp_path / "train.tsv", tmp_path / "dev.tsv", Layout("text_a"))
    models = {"student": (load_model("data_samples/models/student"), tokenizer)}
    with pytest.raises(CourseError, match="3 different texts are too few"):
        search_rates(recipe, models, tmp_path / "rows.jsonl", tasks=[task], progress=False)


def test_rows_of_your_own_are_a_task_in_a_line(tmp_path):
    (tmp_path / "train.tsv").write_text("nr\tmood\treview\n1\tglad\t好\n2\tsad\t不好\n", encoding="utf-8")
    lines = [{"review": "一般", "mood": "sad"}, {"review": "很好", "mood": "glad"}]
    (tmp_path / "dev.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    task = own_task("moods", tmp_path / "train.tsv", tmp_path / "dev.jsonl", Layout("review", label="mood"))
    assert task.labels == ("glad", "sad")
    assert task.load("anywhere", "train").to_list() == [{"text": "好", "label": 0}, {"text": "不好", "label": 1}]
    assert task.load("anywhere", "dev")["label"] == [1, 0]
    with pytest.raises(CourseError, match="header has no text"):
        own_task("moods", tmp_path / "train.tsv", tmp_path / "dev.jsonl", Layout("text", label="mood"))
    (tmp_path / "one.tsv").write_text("mood\treview\nglad\t好\n", encoding="utf-8")
    with pytest.raises(CourseError, match="the only label is 'glad'"):
        own_task("moods", tmp_path / "one.tsv", tmp_path / "dev.jsonl", Layout("review", label="mood"))


def moods(tmp_path, **files: str) -> dict:
    for name, content in files.items():
        (tmp_path / f"{name}.jsonl").write_text(content, encoding="utf-8")
    return {name: tmp_path / f"{name}.jsonl" for name in files}


def test_rows_of_your_own_have_labels_with_a_meaning_each(tmp_path):
    line = '{"text": "好", "label": "%s"}\n'
    good = line % "a" + line % "b"
    layout = Layout("text")
    for label in ("null", '""', '" "'):  # such a row is left out
        files = moods(tmp_path, train=good + line.replace('"%s"', label), dev=good)
        task = own_task("moods", **files, layout=layout)
        with pytest.warns(CourseWarning, match=r"train\.jsonl: 1 row without label \(line 3\) left out"):
            assert task.labels == ("a", "b") and len(task.load("anywhere", "train")) == 2
    with pytest.raises(CourseError, match="two labels mean the same"):
        own_task("moods", **files, layout=layout, answers={"a": "bad", "b": "bad"})
    for split, option in (("train", "--train"), ("dev", "--dev")):
        with pytest.raises(CourseError, match=rf"(?s)nowhere\.tsv: no such file.*{option}"):
            own_task("moods", **files | {split: "nowhere.tsv"}, layout=layout)
    (tmp_path / "table.tsv").write_text("text\tlabel\n好\ta\n", encoding="utf-8")
    with pytest.raises(CourseError, match=r"(?s)table\.tsv, line 1: not JSON.*--text-column"):
        own_task("moods", tmp_path / "table.tsv", tmp_path / "table.tsv").load("anywhere", "train")


# --- the hub --------------------------------------------------------------------------------------------------------


def published(folder, config: str, **splits: Dataset) -> str:
    """A dataset's folder as it lies on the hub: Parquet files, and a card that names them."""
    lines = ["---", "configs:", f"- config_name: {config}", "  data_files:"]
    for split, rows in splits.items():
        rows.to_parquet(folder / config / f"{split}.parquet")
        lines += [f"  - split: {split}", f"    path: {config}/{split}.parquet"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]), encoding="utf-8")
    return str(folder)


def test_the_hubs_tables_give_the_rows_that_files_give(tmp_path):
    """CLUE keeps the labels as numbers with names, and -1 for a secret one; C-MTEB calls the label a score."""
    news = Features({"sentence": Value("string"), "label": ClassLabel(names=["100", "101", "116"])})
    rows = Dataset.from_dict({"sentence": ["一", "二"], "label": [2, 0]}, features=news)
    secret = Dataset.from_dict({"sentence": ["三"], "label": [-1]}, features=news)
    task = TASKS["tnews"]
    task = replace(
        task, hub=replace(task.hub, name=published(tmp_path / "clue", "tnews", validation=rows, test=secret))
    )
    assert task.load("hub", "dev").to_list() == [{"text": "一", "label": 14}, {"text": "二", "label": 0}]
    assert task.load("hub", "test").to_list() == [{"text": "三"}]
    with pytest.raises(CourseError, match="Unknown split"):
        task.load("hub", "train")

    scored = Dataset.from_dict({"sentence1": ["一", "三"], "sentence2": ["二", "四"], "score": [1.0, 0.0]})
    task = TASKS["lcqmc"]
    folder = published(tmp_path / "lcqmc", "default", train=scored)
    task = replace(task, hub=replace(task.hub, name=folder))
    assert task.load("hub", "train")["label"] == [1, 0]


def test_the_hubs_questions_are_mended_like_a_files(tmp_path):
    asked = {"id": ["Q"], "context": ["我在北京。"], "question": ["哪里？"]}
    answers = {"answers": [{"text": ["北京"], "answer_start": [-1]}]}
    task = TASKS["drcd"]
    folder = published(tmp_path / "clue", "drcd", train=Dataset.from_dict(asked | answers))
    (row,) = replace(task, hub=replace(task.hub, name=folder)).load("hub", "train")
    assert row["answers"] == {"text": ["北京"], "answer_start": [2]} and row["repaired"] == 1


@pytest.mark.parametrize(("gone", "message"), [("context", "no context"), (None, "1 question without text")])
def test_the_hubs_questions_without_a_passage_are_named(tmp_path, monkeypatch, gone, message):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")  # it takes folders of one name for one
    asked = {"id": ["Q"], "context": [None], "question": ["哪里？"], "answers": [{"text": ["北"], "answer_start": [0]}]}
    rows = Dataset.from_dict({name: values for name, values in asked.items() if name != gone})
    task = TASKS["drcd"]
    folder = published(tmp_path / "clue", "drcd", train=rows)
    with pytest.raises(CourseError, match=rf"(?s)question Q.*{message}|{message}.*question Q"):
        replace(task, hub=replace(task.hub, name=folder)).load("hub", "train")


def test_a_scale_s_own_folder_is_no_hub_s(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CourseError, match=r"(?s)no dev file for ocnli.*dev\.json there; it comes from"):
        TASKS["ocnli"].load(SCALES["full"]["task_dir"], "dev")


TASKS_OF_A_HUB = """
import sys
from minirbt_helpers.errors import CourseError, CourseWarning
from minirbt_helpers.tasks import TASKS
for source in sys.argv[1:]:
    try:
        print(list(TASKS["ocnli"].load(source, "dev")["label"]))
    except CourseError as problem:
        print(str(problem).replace("\\n", " "))
"""


@pytest.mark.slow
def test_a_task_may_be_any_revision_of_any_dataset_of_a_hub(tmp_path):
    rows = Dataset.from_dict({"sentence1": ["一"], "sentence2": ["二"], "label": ["neutral"]})
    published(tmp_path / "datasets" / "someone" / "else", "ocnli", validation=rows)
    with serve(tmp_path, revisions=("def",)) as (address, requests):
        settings = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache")}
        command = [sys.executable, "-c", TASKS_OF_A_HUB, "someone/else@def", "someone/else@v9", "hub"]
        done = subprocess.run(command, env=settings, capture_output=True, text=True)
    found, no_revision, no_dataset = done.stdout.splitlines()
    assert found == "[1]" and any("/someone/else/resolve/def/" in request for request in requests)
    assert "no revision 'v9'" in no_revision and "no dataset 'clue/clue'" in no_dataset
    assert any(f"/clue/clue/resolve/{TASKS['ocnli'].hub.revision}/" in request for request in requests)


# --- fine-tuning ----------------------------------------------------------------------------------------------------


def test_rows_without_agreement_are_left_out(tmp_path):
    (tmp_path / "ocnli").mkdir()
    row = '{"sentence1": "一", "sentence2": "二", "label": "%s"}\n'
    (tmp_path / "ocnli" / "dev.json").write_text(row % "-" + row % "neutral", encoding="utf-8")
    assert TASKS["ocnli"].load(tmp_path, "dev")["label"] == [1]


def test_the_encoder_is_copied_and_the_model_left_alone(tokenizer):
    model = load_model("data_samples/models/student")
    classifier = with_head(model, TASKS["ocnli"])
    encoded = tokenizer("今天天气很好", return_tensors="pt")
    with torch.no_grad():
        torch.testing.assert_close(
            classifier.eval().bert(**encoded).last_hidden_state, model.bert(**encoded).last_hidden_state
        )
    assert classifier.num_labels == 3
    assert not {w.data_ptr() for w in classifier.parameters()} & {w.data_ptr() for w in model.parameters()}


@pytest.mark.slow
def test_finetuning_fits_its_training_rows_and_repeats_itself(tokenizer, recipe, tmp_path):
    model = load_model("data_samples/models/student")
    run = recipe.model_copy(update={"epochs": 1, "task_rows": 64, "task_batch_size": 16})
    first, second = (
        finetune(run, "chnsenticorp", model, tokenizer, learning_rate=1e-3, seed=1, progress=False) for _ in range(2)
    )
    assert first.scores == second.scores == first.by_epoch[-1] and first.rows == 64
    assert run.epochs == len(first.by_epoch)
    last = finetune(
        run, "chnsenticorp", model, tokenizer, learning_rate=1e-3, seed=1, every_epoch=False, progress=False
    )
    assert last.by_epoch == first.by_epoch[-1:]


@pytest.fixture(scope="module")
def tuned(tokenizer, tmp_path_factory) -> Finetuned:
    """A student that has seen a few reviews."""
    run = load_recipe("sample", epochs=1, task_rows=64)
    model = load_model("data_samples/models/student")
    return finetune(run, "chnsenticorp", model, tokenizer, learning_rate=1e-3, progress=False)


@pytest.mark.slow
def test_predictions_do_not_depend_on_their_company(tuned):
    """Batches are sorted by length and padded: each text gets what it gets alone, in the order given."""
    texts = ["房间很干净，下次还来。", "差。", "早餐一般，" * 60, "很好"]
    together = tuned.predict(texts)
    for text, shares in zip(texts, together, strict=True):
        assert set(shares) == {"negative", "positive"} and sum(shares.values()) == pytest.approx(1, abs=1e-5)
        assert tuned.predict([text])[0] == pytest.approx(shares, abs=1e-5)
    with pytest.raises(CourseError, match="not spans"):
        tuned.answer("哪里？", "北京")


@pytest.mark.slow
def test_what_is_saved_comes_back(tuned, tmp_path):
    tuned.save(tmp_path / "model")
    back = Finetuned.load(tmp_path / "model")
    assert back.task == tuned.task and back.result() == tuned.result()
    assert back.predict(["很好"])[0] == pytest.approx(tuned.predict(["很好"])[0], abs=1e-6)
    with pytest.raises(CourseError, match="not a fine-tuned model"):
        Finetuned.load(tmp_path)


@pytest.mark.slow
def test_the_dev_score_is_what_predicting_the_dev_rows_gives(tuned):
    rows = tuned.task.load("data_samples/tasks", "dev")
    assert tuned.measure(rows) == pytest.approx(tuned.scores)
    with pytest.raises(CourseError, match="cannot be scored"):
        tuned.measure(rows.remove_columns("label"))


def test_predictions_are_written_as_each_publisher_wants_them(tuned, tmp_path):
    rows = tuned.task.load("data_samples/tasks", "dev").select(range(3)).remove_columns("label")
    tuned.write_predictions(tmp_path / "out.tsv", rows)
    head, *lines = (tmp_path / "out.tsv").read_text(encoding="utf-8").splitlines()
    assert head == "index\tprediction" and [line.split("\t")[1] for line in lines] == tuned.guess(rows)
    assert {line.split("\t")[1] for line in lines} <= {"0", "1"} and lines[2].startswith("2\t")
    news = replace(tuned, task=replace(TASKS["tnews"], answers={"100": "story", "116": "games"}))
    news.write_predictions(tmp_path / "out.json", rows.add_column("id", [5, 6, 9]))
    written = [json.loads(line) for line in (tmp_path / "out.json").read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in written] == [5, 6, 9] and {row["label"] for row in written} <= {"100", "116"}


@pytest.mark.slow
def test_a_taught_student_learns_from_its_teacher_and_not_from_the_labels(tuned, tokenizer, recipe):
    """Without a hard label's weight the labels do not count; with it, or with another teacher, they do."""
    run = recipe.model_copy(
        update={"epochs": 1, "task_rows": 64, "task_batch_size": 16, "hard_label_weight": 0.0, "kd_weight": 1.0}
    )
    model = load_model("data_samples/models/student")
    swapped = replace(tuned.task, answers=dict(reversed(tuned.task.answers.items())))
    taught = []
    for task in (tuned.task, swapped):  # the same rows, with the labels' meaning turned round
        teacher = replace(tuned, task=task)
        taught.append(finetune(run, task, model, tokenizer, teacher=teacher, learning_rate=1e-3, progress=False))
    weights = [one.model.classifier.weight for one in taught]
    torch.testing.assert_close(*weights)
    plain = finetune(run, "chnsenticorp", model, tokenizer, learning_rate=1e-3, progress=False)
    assert not torch.equal(plain.model.classifier.weight, weights[0])
    assert taught[0].teacher == "64-wide" and plain.teacher == ""
    with pytest.raises(CourseError, match="fine-tuned on chnsenticorp, not on ocnli"):
        finetune(run, "ocnli", model, tokenizer, teacher=tuned)


def test_numbers_of_fine_tuning_are_taken_at_their_word(recipe, tmp_path):
    """Warm-up over all steps is not over one, and the gradient's norm is the recipe's."""
    for warmup, steps in ((0.0, 0), (0.1, 100), (1.0, 1000)):
        run = recipe.model_copy(update={"warmup": warmup, "clip": 0.5})
        arguments = training_arguments(run, 1e-4, 0, str(tmp_path), every_epoch=True)
        assert (arguments.get_warmup_steps(1000), arguments.max_grad_norm) == (steps, 0.5)
    for name, value in (
        ("task_learning_rate", 0.0),
        ("task_learning_rate", -1e-4),
        ("task_rows", 0),
        ("task_rows", -1),
    ):
        with pytest.raises(CourseError, match=f"{name.upper()} = {value}"):
            load_recipe("sample", **{name: value})


def test_a_learning_rate_of_zero_changes_nothing(tokenizer, recipe):
    run = recipe.model_copy(update={"epochs": 1, "task_rows": 8, "task_length": 16})
    model = load_model("data_samples/models/student")
    still = finetune(run, "chnsenticorp", model, tokenizer, learning_rate=0.0, every_epoch=False, progress=False)
    assert still.learning_rate == 0
    torch.testing.assert_close(still.model.bert.encoder.state_dict(), model.bert.encoder.state_dict())


def test_what_does_not_fit_is_refused_before_training(tokenizer, recipe, tmp_path):
    model = load_model("data_samples/models/student")
    with pytest.raises(CourseError, match="TASK_LENGTH 513"):
        finetune(recipe.model_copy(update={"task_length": 513}), "ocnli", model, tokenizer)
    short = SimpleNamespace(
        model=SimpleNamespace(config=BertConfig(max_position_embeddings=64)),
        task=TASKS["chnsenticorp"],
        tokenizer=tokenizer,
    )
    with pytest.raises(CourseError, match=r"(?s)TASK_LENGTH 128.*16 to 64: the teacher has"):
        finetune(recipe, "chnsenticorp", model, tokenizer, teacher=short)
    with pytest.raises(CourseError, match="unknown task"):
        finetune(recipe, "sst2", model, tokenizer)
    model.config.vocab_size = 100
    with pytest.raises(CourseError, match="entries, the model 100"):
        finetune(recipe, "ocnli", model, tokenizer)
    model.save_pretrained(tmp_path / "bare")
    with pytest.raises(CourseError, match="tokenizer"):
        load_tokenizer(tmp_path / "bare")


def test_published_learning_rates_go_by_size():
    assert TASKS["ocnli"].learning_rate(12) == 2e-5 and TASKS["ocnli"].learning_rate(6) == 5e-5
