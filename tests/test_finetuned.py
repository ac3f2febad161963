"""Laws of a fine-tuned model's folder and of its predictions, without training."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from minirbt_helpers.__main__ import app
from minirbt_helpers.errors import CourseError
from minirbt_helpers.models import load_model
from minirbt_helpers.tasks import TASKS, Finetuned, with_head

STUDENT = "data_samples/models/student"


def fresh(name: str, tokenizer) -> Finetuned:
    """The shipped student under a fresh head: it guesses."""
    torch.manual_seed(0)
    task = TASKS[name]
    model = with_head(load_model(STUDENT), task).eval()
    return Finetuned(model, tokenizer, task, ({metric: 0.0 for metric in task.metrics},), 1e-4, 1, 0, 8, 64)


def refusal(*arguments: object) -> CourseError:
    """What the command line refuses with."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(done.exception, CourseError), done.output
    return done.exception


# --- its folder -----------------------------------------------------------------------------------------------------


def test_weights_kept_in_half_precision_are_computed_in_full(tokenizer, tmp_path):
    tuned = fresh("tnews", tokenizer)
    replace(tuned, model=tuned.model.half()).save(tmp_path / "half")
    assert load_file(tmp_path / "half" / "model.safetensors")["classifier.weight"].dtype == torch.float16
    assert Finetuned.load(tmp_path / "half").model.dtype == torch.float32


@pytest.mark.parametrize("place", ["full", "full/notes.txt", "full/notes.txt/model"])
def test_nothing_gives_way_but_an_earlier_output(tokenizer, tmp_path, place):
    """The command looks before it loads anything: here it has no model to load."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(CourseError, match=place):
        fresh("tnews", tokenizer).save(tmp_path / place)
    assert place in str(refusal("finetune", "ocnli", "--model", "nowhere", "--output", tmp_path / place))
    assert (tmp_path / "full" / "notes.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.slow
def test_an_earlier_output_and_an_empty_folder_give_way(tokenizer, tmp_path):
    (tmp_path / "model").mkdir()
    for name in ("tnews", "ocnli"):
        fresh(name, tokenizer).save(tmp_path / "model")
        assert Finetuned.load(tmp_path / "model").task.name == name
    (tmp_path / "model" / "predictions.json").write_text("mine", encoding="utf-8")
    with pytest.raises(CourseError, match=r"lost: predictions\.json"):
        fresh("tnews", tokenizer).save(tmp_path / "model")


def test_the_score_is_told_before_the_model_is_saved(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("minirbt_helpers.tasks.finetune", lambda *_, **__: fresh("tnews", tokenizer))
    monkeypatch.setattr(Finetuned, "save", lambda *_: 1 / 0)
    done = CliRunner().invoke(app, ["finetune", "tnews", "--model", STUDENT, "--output", str(tmp_path / "out")])
    assert isinstance(done.exception, ZeroDivisionError) and json.loads(done.stdout)["task"] == "tnews"


def without_tokenizer(folder: Path) -> None:
    for file in folder.glob("*token*"):
        file.unlink()


def without_head(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    kept = {name: weight for name, weight in weights.items() if not name.startswith("classifier")}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


def cut_short(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def without_rows(folder: Path) -> None:
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    del result["rows"]
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_tokenizer, "no tokenizer"),
        (without_head, r"weights are missing: classifier\.bias"),
        (cut_short, "not a fine-tuned model"),
        (without_rows, "not a fine-tuned model.*rows"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(tokenizer, tmp_path, damage, message):
    fresh("tnews", tokenizer).save(tmp_path / "model")
    damage(tmp_path / "model")
    with pytest.raises(CourseError, match=message) as caught:
        Finetuned.load(tmp_path / "model")
    assert str(tmp_path / "model") in caught.value.where and caught.value.fix


# --- what it predicts -----------------------------------------------------------------------------------------------


def asked(*answers: list[str], ids: tuple[str, ...] = ("A", "B")) -> Dataset:
    """Questions, each with its answers."""
    rows = [{"text": texts, "answer_start": [0] * len(texts)} for texts in answers]
    texts = {"question": ["谁？"] * len(rows), "context": ["小明住在北京。"] * len(rows)}
    return Dataset.from_dict({"id": ids, **texts, "answers": rows})


def test_two_questions_with_one_id_are_refused(tokenizer, tmp_path):
    with pytest.raises(CourseError, match="two questions have the id 'A'"):
        fresh("drcd", tokenizer).write_predictions(tmp_path / "out.json", asked(["小明"], ["小明"], ids=("A", "A")))
    assert not (tmp_path / "out.json").exists()


def test_questions_without_an_answer_are_not_scored(tokenizer):
    tuned = fresh("drcd", tokenizer)
    assert tuned.can_measure(asked(["小明"], [])) and not tuned.can_measure(asked([], []))
    assert tuned.measure(asked(["小明"], [])) == tuned.measure(asked(["小明"], ids=("A",)))


def test_rows_without_agreement_are_predicted_and_do_not_count(tokenizer):
    tuned = fresh("ocnli", tokenizer)
    rows = {"text": ["一", "二"], "text_pair": ["三", "四"]}
    (guess, other) = tuned.guess(Dataset.from_dict(rows))
    labels = [tuned.task.labels.index(guess), tuned.task.labels.index(other)]
    assert tuned.measure(Dataset.from_dict(rows | {"label": [labels[0], None]})) == {"accuracy": 1}
    assert tuned.measure(Dataset.from_dict(rows | {"label": [None, (labels[1] + 1) % 3]})) == {"accuracy": 0}
    assert not tuned.can_measure(Dataset.from_dict(rows | {"label": [None, None]}))


@pytest.mark.parametrize("name", ["train.txt", "train.tsv", "train"])
def test_a_table_s_predictions_are_a_table(tokenizer, tmp_path, name):
    tuned = fresh("chnsenticorp", tokenizer)
    tuned = replace(tuned, task=replace(tuned.task, files={"train": (name,)}))
    tuned.write_predictions(tmp_path / "out", Dataset.from_dict({"text": ["很好"]}))
    assert (tmp_path / "out").read_text(encoding="utf-8").startswith("index\tprediction\n0\t")


def test_rows_are_predicted_once_and_only_where_the_file_can_be_written(tokenizer, tmp_path, monkeypatch):
    predicted, forward = [], Finetuned._forward
    monkeypatch.setattr(Finetuned, "_forward", lambda *given: predicted.append(given) or forward(*given))
    fresh("tnews", tokenizer).save(tmp_path / "model")
    lines = [json.dumps({"sentence": "很好", "label": label}) for label in TASKS["tnews"].labels[:2]]
    (tmp_path / "rows.json").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "notes").write_text("mine", encoding="utf-8")
    refused = refusal("predict", tmp_path / "model", tmp_path / "rows.json", tmp_path / "notes" / "out.json")
    assert "cannot write here" in str(refused) and not predicted
    assert (
        "name a file" in str(refusal("predict", tmp_path / "model", tmp_path / "rows.json", tmp_path)) and not predicted
    )
    refused = refusal("predict", tmp_path / "model", tmp_path / "rows.json", tmp_path / "model" / ".." / "rows.json")
    assert "take the place of the rows" in str(refused) and not predicted
    done = CliRunner().invoke(app, ["predict", *(str(tmp_path / name) for name in ("model", "rows.json", "out.json"))])
    assert json.loads(done.stdout.splitlines()[-1])["accuracy"] in (0.0, 0.5) and len(predicted) == 1


@pytest.mark.slow
def test_pairs_are_asked_for_where_the_task_reads_them(tokenizer):
    with pytest.raises(CourseError, match="ocnli reads pairs"):
        fresh("ocnli", tokenizer).predict(["一"])
    with pytest.raises(CourseError, match="tnews reads single texts"):
        fresh("tnews", tokenizer).predict(["一"], ["二"])
    assert fresh("tnews", tokenizer).predict([]) == [] == fresh("ocnli", tokenizer).predict([], [])


@pytest.mark.parametrize("option", ["--text-column", "--pair-column"])
def test_columns_without_rows_of_your_own_are_refused(option):
    assert "your own rows" in str(refusal("finetune", "ocnli", "--model", "nowhere", option, "text"))
