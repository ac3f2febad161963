"""Fine-tuning from the command line: rows of one's own, predictions, sweeps, and what is refused."""

import json

import pytest
from conftest import minirbt

pytestmark = pytest.mark.slow  # processes, training or notebooks

STUDENT = "data_samples/models/student"


def test_rows_of_your_own_from_training_to_predictions(tmp_path):
    lines = [f"{mood}\t今天天气{word}\n" for word, mood in (("很好", "glad"), ("很坏", "sad"))] * 4
    for split in ("train", "dev"):
        (tmp_path / f"{split}.tsv").write_text("mood\tdiary\n" + "".join(lines), encoding="utf-8")
    (tmp_path / "new.tsv").write_text("diary\n今天很好\n今天很坏\n", encoding="utf-8")
    own = ["--train", tmp_path / "train.tsv", "--dev", tmp_path / "dev.tsv", "--text-column", "diary"]
    own += ["--label-column", "mood", "--output", tmp_path / "moods", "--epochs", 1]
    done = minirbt("finetune", "moods", "--model", STUDENT, *own)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["rows"] == 8
    assert "8 of 8 dev rows stand in train (100.0%)" in done.stderr
    done = minirbt("predict", tmp_path / "moods", tmp_path / "new.tsv", tmp_path / "out.tsv")
    assert done.returncode == 0 and "accuracy" not in done.stdout, done.stderr
    written = (tmp_path / "out.tsv").read_text(encoding="utf-8").splitlines()
    assert len(written) == 3 and {line.split("\t")[1] for line in written[1:]} <= {"glad", "sad"}
    done = minirbt("predict", tmp_path / "moods", tmp_path / "dev.tsv", tmp_path / "out.tsv")
    assert "accuracy" in done.stdout


def test_a_sweep_leaves_its_rows_and_its_tables(tmp_path):
    run = ["--task", "chnsenticorp", "--try-epochs", 1, "--seeds", 1, "--task-rows", 8, "--task-length", 16]
    models = ["--model", f"student={STUDENT}", "--model", "untrained=random:MiniRBT-H256", "--rate", "untrained=1e-3"]
    done = minirbt("sweep", tmp_path / "out.jsonl", *run, *models, "--reference", "student")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["model"], row["learning_rate"]) for row in rows] == [("student", 1e-4), ("untrained", 1e-3)]
    report = (tmp_path / "out.md").read_text(encoding="utf-8")
    assert "sample scale" in report and "Relative to student" in report and report in done.stdout + "\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep", "out.jsonl", "--model", "student"], "not of the form --model name=folder"),
        (["sweep", "out.jsonl", "--model", f"s={STUDENT}", "--rate", "high"], "'high' is no number"),
        (["sweep", "out.jsonl", "--model", f"s={STUDENT}", "--task", "sst2"], "unknown task 'sst2'"),
        (
            ["sweep", "out.jsonl", "--model", f"s={STUDENT}", "--taught-by", "teacher"],
            "no model 'teacher' in this sweep",
        ),
        (["sweep", "out.jsonl", "--model", f"s={STUDENT}", "--search", "--rate", "1e-4"], "--search and --rate"),
        (["finetune", "mine", "--model", STUDENT, "--train", "a.tsv"], "--train without --dev"),
        (["predict", "nowhere", "in.tsv", "out.tsv"], "not a fine-tuned model"),
        (["finetune", "mine", "--model", STUDENT, "--train", "a.tsv", "--dev", "b.tsv", "--text-column", "t"], "a.tsv"),
    ],
)
def test_bad_commands_end_with_one_clear_message(arguments, message):
    done = minirbt(*arguments)
    assert done.returncode == 1 and message in done.stderr and "->" in done.stderr
