"""Laws of the tasks and of fine-tuning."""

import pytest
import torch

from minirbt_helpers.errors import CourseError
from minirbt_helpers.models import load_model
from minirbt_helpers.tasks import TASKS, finetune, with_head


@pytest.mark.parametrize("name", TASKS)
def test_the_real_files_are_read_by_the_same_code(shared, name):
    """The official numbers of rows; OCNLI's 50 without agreement are left out."""
    official = {
        "cmrc2018": 3219, "drcd": 3524, "ocnli": 2950, "lcqmc": 8802, "bq": 10000, "tnews": 10000, "chnsenticorp": 1200,
    }  # fmt: skip
    assert len(TASKS[name].load(shared / "tasks", "dev")) == official[name]


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
        ("chnsenticorp", "1\t ", "no text"),
        ("lcqmc", "一\t二", "2 fields instead of 3"),
        ("lcqmc", "一\t二\t2", "unknown label '2'"),
        ("tnews", '{"label": "105", "sentence": "一"}', "unknown label '105'"),
        ("tnews", '{"label": "100"}', "sentence"),
        ("drcd", '{"context": "天"]', "not JSON"),
        ("ocnli", "{", "not a row of this task"),
        ("ocnli", "[]", "not a row of this task"),
        ("ocnli", '{"sentence1": "一", "label": "neutral"}', "sentence2"),
        ("ocnli", '{"sentence1": "一", "sentence2": "二", "label": "maybe"}', "unknown label 'maybe'"),
        ("ocnli", '{"sentence1": 1, "sentence2": "二", "label": "neutral"}', "no text: 1"),
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
    with pytest.raises(CourseError, match=r"dev\.tsv, line 1: the header"):
        TASKS["chnsenticorp"].load(tmp_path, "dev")


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


def test_finetuning_fits_its_training_rows_and_repeats_itself(tokenizer, recipe, tmp_path):
    model = load_model("data_samples/models/student")
    run = recipe.model_copy(update={"epochs": 1, "task_rows": 64, "task_batch_size": 16})
    first, second = (
        finetune(run, "chnsenticorp", model, tokenizer, learning_rate=1e-3, seed=1, progress=False) for _ in range(2)
    )
    assert first.scores == second.scores == first.by_epoch[-1] and first.rows == 64
    assert run.epochs == len(first.by_epoch)
    (shares,) = first.predict(["房间很干净，下次还来。"])
    assert set(shares) == {"negative", "positive"} and sum(shares.values()) == pytest.approx(1, abs=1e-5)
    first.save(tmp_path / "model")
    assert (tmp_path / "model" / "result.json").exists()


def test_published_learning_rates_go_by_size():
    assert TASKS["ocnli"].learning_rate(12) == 2e-5 and TASKS["ocnli"].learning_rate(6) == 5e-5
    with pytest.raises(CourseError, match="unknown task"):
        finetune(None, "sst2", None, None)
