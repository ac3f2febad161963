"""Laws of the comparison: sizes as published, arithmetic as counted, ratios within rounds, ONNX as the original."""

import dataclasses
import itertools
import json
import logging
import re
import runpy
import sys
import time

import onnx
import pytest
import torch
from conftest import ROOT, minirbt
from datasets import Dataset

from minirbt_helpers import insight, training
from minirbt_helpers.errors import CourseError
from minirbt_helpers.models import ARCHITECTURES, find_architecture, load_model, load_tokenizer
from minirbt_helpers.tasks import TASKS, Finetuned, OnnxModel, export_onnx, quantize_onnx, with_head
from minirbt_helpers.tasks.deployment import _quiet, _written
from minirbt_helpers.tasks.floors import floors

COMMITTED = ROOT / "benchmarks/results/speed-cpu.jsonl"
PRINTED = {  # README of iflytek/MiniRBT: parameters and parameters without embeddings
    "RoBERTa-wwm-ext": ("102.3M (100%)", "85.7M (100%)"),
    "RBT6": ("59.76M (58.4%)", "43.14M (50.3%)"),
    "RBT3": ("38.5M (37.6%)", "21.9M (25.6%)"),
    "RBT4-H312": ("11.4M (11.1%)", "4.7M (5.5%)"),
    "MiniRBT-H256": ("10.4M (10.2%)", "4.8M (5.6%)"),
    "MiniRBT-H288": ("12.3M (12.0%)", "6.1M (7.1%)"),
}


# --- size and arithmetic --------------------------------------------------------------------------------------------


def test_the_parameter_table_is_the_published_one_to_its_printed_digits():
    rows = {row["model"]: (row["parameters"], row["without embeddings"]) for row in insight.parameter_table()}
    assert rows == PRINTED


def seed_rows(text: str, title: str) -> dict[str, list[str]]:
    """The first table whose head begins so, by the first cell of a row."""
    lines = text[text.index(title) :].splitlines()[2:]
    cells = ([cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines if line.startswith("|"))
    table: dict[str, list[str]] = {}
    for name, *rest in cells:
        if name in table or len(table) == 6:
            break
        table[{"RoBERTa": "RoBERTa-wwm-ext", "RBT6 (KD)": "RBT6"}.get(name, name)] = rest
    return table


def test_every_published_task_has_a_floor_below_its_best_score():
    for task, models in insight.published_scores().items():
        _, floor = insight.MEASURED_FLOORS[task]
        assert 0 <= floor < 100 * max(score for (score,) in models.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cmrc2018", "drcd"])
def test_the_floor_of_questions_is_what_the_rule_scores_on_all_dev_rows(shared, name):
    dev = TASKS[name].load(shared / "tasks", "dev")
    found = floors(TASKS[name], dev, dev)["sentence with most shared characters"]
    rule, floor = insight.MEASURED_FLOORS[name]
    assert f"{100 * found['f1']:.1f}" == f"{floor}" and f"{found['hits']:.1%}" in rule


def test_all_published_numbers_are_the_seeds(shared):
    text = (shared / "seed-minirbt.md").read_text(encoding="utf-8")
    sizes = seed_rows(text, "| 模型 | 层数 | 隐层大小 | FFN大小")
    ours = {row["model"]: row for row in insight.parameter_table()}
    for name, row in sizes.items():
        titles = ("layers", "hidden", "FFN", "heads", "parameters", "without embeddings")
        assert [ours[name][title] for title in titles] == row[:6]
        assert float(row[6].rstrip("x")) == ARCHITECTURES[name].speed_up
    absolute, relative = (text[text.index(title) :] for title in ("实验结果", "相对效果"))
    for printed, made in ((absolute, insight.published_table()), (relative, insight.published_table(relative=True))):
        for row in made:
            found = seed_rows(printed, "| Task |")[row["model"]]
            numbers = [[float(one.rstrip("%")) for one in cell.split("/")] for cell in found]
            assert numbers == [[float(one.rstrip("%")) for one in cell.split("/")] for cell in list(row.values())[1:]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("length", [7, 128])
def test_the_formula_counts_what_torch_counts(name, length):
    config = ARCHITECTURES[name].config("full")
    assert sum(training.operations(config, length).values()) == insight.counted_operations(config, length)
    assert insight.family_member(config, "full") is ARCHITECTURES[name]
    assert insight.family_member(config, "sample") is None


# --- speed ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def two():
    return {name: ARCHITECTURES[name].random_model("sample", 50).eval() for name in ("RBT6", "MiniRBT-H256")}


def test_parts_are_within_the_whole_and_no_hook_stays(two):
    with insight.threads(1):
        timings = insight.model_timings(two, batch=2, length=8, rounds=3)
    for name, rounds in timings.items():
        assert {len(seconds) for seconds in rounds.values()} == {3}
        for turn in range(3):
            parts = [seconds[turn] for part, seconds in rounds.items() if part != "whole"]
            assert min(parts) > 0 and sum(parts) <= rounds["whole"][turn]
        assert not any(one._forward_hooks or one._forward_pre_hooks for one in two[name].modules())


def test_time_is_booked_where_it_is_spent(two):
    """Halves of an FFN that keep the processor busy for a while cost that much, in FFN and in nothing else."""
    model, busy = two["MiniRBT-H256"], 0.03

    def spin(*_: object) -> None:
        end = time.thread_time() + busy
        while time.thread_time() < end:
            pass

    with insight.threads(1):
        before = insight.model_timings({"it": model}, 1, 8, 1)["it"]
        for module in (model.bert.encoder.layer[2].intermediate, model.bert.encoder.layer[3].output):
            module.dense.register_forward_hook(spin)
        after = insight.model_timings({"it": model}, 1, 8, 1)["it"]
        kinds = insight.kind_seconds(model, 1, 8, 1)
    assert kinds["matrix products"] > 1.8 * busy > 4 * max(kinds["attention"], kinds["element by element"])
    slower = {part: after[part][0] - before[part][0] for part in after}
    assert slower["FFN"] > 1.8 * busy and slower["whole"] > 1.8 * busy
    assert max(slower["attention"], slower["MLM head"], slower["embeddings"]) < 0.5 * busy


def test_what_slows_a_whole_round_leaves_speed_ups_alone():
    timings = {
        "slow": {"whole": [2.0, 4.0, 8.0], "MLM head": [1.0, 2.0, 4.0]},
        "fast": {"whole": [1.0, 2.0, 4.0], "MLM head": [0.75, 1.5, 3.0]},
    }
    assert insight.speed_ups(timings, "slow", head=True)["fast"] == insight.Spread(2.0, 2.0, 2.0)
    assert insight.speed_ups(timings, "slow")["fast"] == insight.Spread(4.0, 4.0, 4.0)
    with pytest.raises(CourseError, match="was not timed"):
        insight.speed_ups(timings, "teacher")


def test_texts_longer_than_the_model_reads_are_refused(two):
    with pytest.raises(CourseError, match="512 tokens at most, not 600"):
        insight.model_timings(two, 1, 600)


def test_rounds_of_several_runs_come_together(tmp_path):
    row = {"kind": "speed", "precision": "fp32", "batch": 1, "length": 8, "threads": 1, "hardware": "this"}
    lines = [row | {"seconds": {"it": {"whole": [number]}}} for number in (1.0, 2.0)] + [row | {"kind": "memory"}]
    file = tmp_path / "speed.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (case,) = insight.speed_cases(file)
    assert case.timings == {"it": {"whole": [1.0, 2.0]}} and case.rounds == 2
    assert insight.speed_cases(tmp_path / "none.jsonl") == []


def test_the_committed_measurement_is_complete():
    cases = insight.speed_cases(COMMITTED)
    asked = {(form, batch, length) for form in ("fp32", "bf16") for batch in (1, 32) for length in (32, 128, 512)}
    assert {(case.precision, case.batch, case.length) for case in cases} == asked
    assert all(case.hardware and case.threads and case.rounds > 1 and len(case.family) == 6 for case in cases)
    for kind in ("products", "memory", "kinds", "deployment"):
        assert insight.benchmark_rows(COMMITTED, kind), kind


@pytest.mark.slow
def test_the_benchmark_runs_and_its_trial_keeps_nothing(monkeypatch, capsys):
    program = str(ROOT / "benchmarks" / "speed.py")
    monkeypatch.setattr(sys, "argv", [program, "speed", "--tiny", "--batch", "1", "--length", "32"])
    before = COMMITTED.read_bytes()
    runpy.run_path(program, run_name="__main__")
    assert '"kind": "speed"' in capsys.readouterr().out
    assert COMMITTED.read_bytes() == before


@pytest.mark.slow
def test_compare_prints_a_row_per_model():
    done = minirbt("compare", "--scale", "sample", "--length", 8, "--rounds", 1)
    assert done.returncode == 0, done.stderr
    table = [line for line in done.stdout.splitlines() if line.startswith("|")][2:]
    assert [line.split("|")[1].strip() for line in table] == list(ARCHITECTURES)
    assert "10.4M" not in done.stdout and re.search(r"threads: 1", done.stdout)


# --- quality --------------------------------------------------------------------------------------------------------


def test_names_in_a_crowded_scatter_cover_no_dot_and_no_other_name():
    places = {name: 0.8 + 0.05 * number for number, name in enumerate(ARCHITECTURES)}
    scores = {name: [0.6 + 0.004 * number] for number, name in enumerate(places)}
    figure = insight.draw_quality({"tnews": scores}, places, "million parameters")
    figure.draw_without_rendering()
    (axis,) = figure.axes
    labels = [text for text in axis.texts if text.get_text()]  # the others are lines that tie one to its dot
    names = [text.get_window_extent() for text in labels]
    assert [text.get_text() for text in labels] == sorted(places, key=lambda name: places[name])
    dots = [axis.transData.transform((places[name], scores[name][0])) for name in places]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(names, 2))
    assert not any(name.contains(*dot) for name in names for dot in dots)


def test_shares_are_means_over_common_tasks():
    scores = {"a": {"big": [0.8, 0.8], "small": [0.4, 0.4]}, "b": {"big": [0.5], "small": [0.5], "odd": [0.1]}, "c": {}}
    assert insight.kept_shares(scores, "big") == pytest.approx({"big": 1.0, "small": 0.75, "odd": 0.2})
    above = insight.kept_shares(scores, "big", {"a": 0.2, "b": 0.5})  # on b big is at the floor: no share there
    assert above == pytest.approx({"big": 1.0, "small": 1 / 3})
    with pytest.raises(CourseError, match="at the floor on every task"):
        insight.kept_shares(scores, "big", {"a": 0.9, "b": 0.9})
    with pytest.raises(CourseError, match="no scores of 'huge'"):
        insight.kept_shares(scores, "huge")


def test_models_are_found_whatever_is_there(tmp_path):
    for name, hidden in (("student", 8), ("teacher", 16)):
        config = ARCHITECTURES["RBT3"].config("sample", 50, architectures=["BertForMaskedLM"])
        config.hidden_size, config.intermediate_size, config.num_attention_heads = hidden, hidden, 2
        config.save_pretrained(tmp_path / name)
        (tmp_path / name / "model.safetensors").write_bytes(b"." * hidden)
    (tmp_path / "segmenter").mkdir()
    (tmp_path / "segmenter/config.json").write_text('{"nerual": false}')
    folders = insight.model_folders(tmp_path)
    assert list(folders) == ["teacher", "student"]
    names = ["student", "RBT4-H312", "no pre-training", "student, taught by teacher", "a stranger"]
    sizes = insight.parameter_counts(names, folders, "MiniRBT-H256", "sample", 50)
    count = {name: ARCHITECTURES[name].count(scale="sample", vocabulary=50) for name in ("RBT4-H312", "MiniRBT-H256")}
    assert list(sizes) == names[:3]
    assert (sizes["RBT4-H312"], sizes["no pre-training"]) == (count["RBT4-H312"], count["MiniRBT-H256"])
    own = insight.parameter_counts(["no pre-training", "no pre-training, 12 layers"], {}, "2x8x16x2", "full", 50)
    shapes = {"no pre-training": "2x8x16x2", "no pre-training, 12 layers": "RoBERTa-wwm-ext"}
    assert own == {name: find_architecture(shape).count(vocabulary=50) for name, shape in shapes.items()}


# --- deployment -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["tnews", "cmrc2018"])
def deployed(request, tmp_path_factory):
    """The shipped student under a fresh head, its export, and the export in int8."""
    torch.manual_seed(0)
    student, tokenizer = (load("data_samples/models/student") for load in (load_model, load_tokenizer))
    model = with_head(student, TASKS[request.param]).eval()
    if hasattr(model, "qa_outputs"):  # a new head's logits are nearly one number: as in a trained one, let them differ
        with torch.no_grad():
            states = model.bert(**(batch := padded(8, 128))).last_hidden_state[batch["attention_mask"].bool()]
            model.qa_outputs.weight.copy_(torch.linalg.svd(states - states.mean(0), full_matrices=False).Vh[:2])
    folder = tmp_path_factory.mktemp("deployed")
    plain = export_onnx(model, folder / "model.onnx")
    return model, tokenizer, plain, quantize_onnx(plain, folder / "int8.onnx")


def padded(count: int, length: int) -> dict[str, torch.Tensor]:
    """Random texts of any length up to ``length``, in two segments."""
    ids = torch.randint(5, 500, (count, length))
    mask = (torch.arange(length) < torch.randint(2, length + 1, (count, 1))).long()
    return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": (torch.arange(length) > 4).long() * mask}


@pytest.mark.slow
@pytest.mark.parametrize(("count", "length"), [(1, 3), (5, 40), (2, 128)])
def test_onnx_and_int8_agree_with_the_original_within_tolerance(deployed, count, length):
    """ONNX to rounding, 1e-5 of the logits' spread over long texts; int8 to 20% of it at worst, 8% on the whole.

    The shipped student's spans in int8: to 35% and 12%.
    """
    model, _, plain, small = deployed

    def answers(ask, batch: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        rows = batch["attention_mask"].shape
        return [one[batch["attention_mask"].bool()] if one.shape == rows else one for one in ask(**batch).to_tuple()]

    batch = padded(count, length)
    with torch.no_grad():
        truth, spreads = answers(model, batch), [one.std() for one in answers(model, padded(8, 128))]
    of_int8 = (0.35, 0.12) if hasattr(model, "qa_outputs") else (0.2, 0.08)
    for file, worst, usual in ((plain, 1e-5, 1e-5), (small, *of_int8)):
        for theirs, ours, spread in zip(truth, answers(OnnxModel(file, threads=1), batch), spreads, strict=True):
            gap = theirs - ours
            assert gap.abs().max() <= worst * spread and gap.square().mean().sqrt() <= usual * spread


@pytest.mark.slow
def test_int8_takes_less_than_half_the_disk(deployed):
    _, _, plain, small = deployed
    assert small.stat().st_size < 0.5 * plain.stat().st_size


@pytest.mark.slow
def test_an_exported_file_holds_the_model_and_nothing_of_the_machine(deployed):
    """torch's exporter notes a stack trace with absolute paths at every node, and the quantiser copies them."""
    for file in deployed[2:]:
        model = onnx.load(file)
        weights = sum(tensor.ByteSize() for tensor in model.graph.initializer)
        assert file.stat().st_size < weights + 64 * 1024
        content = file.read_bytes()
        assert not [told for told in (b"site-packages", b".py", str(ROOT).encode(), b"transformers") if told in content]
        assert not model.metadata_props and not any(node.metadata_props for node in model.graph.node)


def batch_of(tokenizer, *texts: str) -> dict[str, torch.Tensor]:
    return dict(tokenizer(list(texts), padding=True, return_tensors="pt"))


@pytest.mark.slow
def test_an_int8_model_that_reads_texts_alone_gives_each_the_same_logits_everywhere(deployed):
    """One scale of the activations for the whole batch makes a text's logits depend on its neighbours."""
    text, others = "雨停了，天边有一道彩虹。", ["快看！", "他把旧书一本一本摆回架子上，又擦了擦窗台。" * 4]
    _, tokenizer, plain, small = deployed
    one, many = batch_of(tokenizer, text), batch_of(tokenizer, others[0], text, others[1])
    length = one["input_ids"].shape[1]

    def gap(model: OnnxModel) -> float:
        pairs = zip(model(**one).to_tuple(), model(**many).to_tuple(), strict=True)
        return max(float((ours[0, :length] - theirs[1, :length]).abs().max()) for ours, theirs in pairs)

    assert gap(OnnxModel(small, threads=1)) > 1e-4  # as its docstring warns
    assert gap(OnnxModel(small, threads=1, alone=True)) == 0
    shapes = [output.shape for output in OnnxModel(plain, threads=1)(**many).to_tuple()]
    alone = OnnxModel(plain, threads=1, alone=True)(**many).to_tuple()
    assert [output.shape for output in alone] == shapes
    for output, other in zip(alone, OnnxModel(plain, threads=1)(**many).to_tuple(), strict=True):
        inside = many["attention_mask"].bool() if output.shape == many["attention_mask"].shape else slice(None)
        torch.testing.assert_close(output[inside], other[inside], atol=1e-5, rtol=1e-4)


@pytest.mark.slow
def test_an_exported_model_takes_the_place_of_the_original(deployed):
    model, tokenizer, plain, _ = deployed
    task = TASKS["tnews" if hasattr(model, "classifier") else "cmrc2018"]
    tuned = Finetuned(model, tokenizer, task, (), 0.0, 1, 0, 0, 64)
    exported = dataclasses.replace(tuned, model=OnnxModel(plain))
    if task.layout:
        texts = ["今天天气很好。", "我们去公园。", "好"]
        for one, other in zip(tuned.predict(texts), exported.predict(texts), strict=True):
            assert one == pytest.approx(other, abs=1e-4)
    else:
        rows = [{"question": "谁？", "context": "小明住在北京。", "answers": {"text": [], "answer_start": []}}]
        assert tuned.guess(Dataset.from_list(rows)) == exported.guess(Dataset.from_list(rows))


@pytest.mark.slow
@pytest.mark.parametrize("deployed", ["tnews"], indirect=True)
def test_the_command_exports_what_finetune_saved(deployed, tmp_path):
    model, tokenizer, _, small = deployed
    task = TASKS["tnews"]
    Finetuned(model, tokenizer, task, ({task.metric: 0.0},), 0.0, 1, 0, 0, 64).save(tmp_path / "tuned")
    done = minirbt("export", tmp_path / "tuned", tmp_path / "model.onnx", "--int8")
    assert done.returncode == 0, done.stderr
    batch = padded(2, 9)
    pairs = zip(
        OnnxModel(small)(**batch).to_tuple(), OnnxModel(tmp_path / "model.onnx")(**batch).to_tuple(), strict=True
    )
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in pairs)


def test_files_that_are_no_such_model_are_refused(tmp_path):
    (tmp_path / "junk.onnx").write_bytes(b"no model")
    with pytest.raises(CourseError, match="not a model that onnxruntime reads"):
        OnnxModel(tmp_path / "junk.onnx")
    with pytest.raises(CourseError, match="no such file"):
        quantize_onnx(tmp_path / "nowhere.onnx", tmp_path / "out.onnx")
    with pytest.raises(CourseError, match=r"junk\.onnx: not a model that can be quantised"):
        quantize_onnx(tmp_path / "junk.onnx", tmp_path / "out.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["junk.onnx"]


def test_a_file_written_elsewhere_first_is_written_beside_its_place(tmp_path):
    """There a rename is enough, which leaves the old file or the new one, whole."""
    target = tmp_path / "models" / "model.onnx"
    with _written(target) as new:
        new.write_bytes(b"weights")
        assert target.parent in new.parents
    assert target.read_bytes() == b"weights" and list(target.parent.iterdir()) == [target]


def test_what_the_caller_silenced_stays_silent():
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with _quiet():
            pass
        assert logging.root.manager.disable == logging.ERROR
    finally:
        logging.disable(before)
