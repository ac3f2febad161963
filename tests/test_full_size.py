"""Going to full size: the full path from a hub, the dry run, the examples, and a folder to publish."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
import torch
import yaml
from conftest import ROOT, speaking
from datasets import Dataset
from fresh_environment import make_kernel, snapshot
from hub_server import serve
from huggingface_hub import ModelCard
from neural_ltp import make_neural_ltp
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, BertForPreTraining, BertTokenizer

from minirbt_helpers.course import notebooks
from minirbt_helpers.errors import CourseError
from minirbt_helpers.models import find_architecture, load_tokenizer
from minirbt_helpers.publishing import publish
from minirbt_helpers.recipe import Recipe, load_recipe
from minirbt_helpers.text import build_blocks
from minirbt_helpers.training import STAGES, distill, dry_run, forward_operations, run_folder
from minirbt_helpers.training.checkpoints import save_checkpoint
from minirbt_helpers.training.distillation import prepare
from minirbt_helpers.training.dry_run import added_up, disk_needed, moments, smaller_micro_batch
from minirbt_helpers.training.loop import Steps

pytestmark = pytest.mark.slow  # processes, training or notebooks

# --- the arithmetic -------------------------------------------------------------------------------------------------


def test_operations_are_those_that_torch_counts():
    """A forward pass with the head at every position, by torch's own counter."""
    from torch.utils.flop_counter import FlopCounterMode

    config = BertConfig(vocab_size=500, hidden_size=64, num_hidden_layers=3, num_attention_heads=4,
                        intermediate_size=160, attn_implementation="eager")  # fmt: skip
    with torch.device("meta"):
        model, ids = BertForMaskedLM(config), torch.zeros(2, 40, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        model(ids)
    assert counter.get_total_flops() == 2 * 40 * forward_operations(config, 40, masked=1.0)


def test_a_shape_of_ones_own_is_an_architecture():
    shape = find_architecture("3x24x48x2").shape("full")
    assert (shape.layers, shape.hidden, shape.ffn, shape.heads) == (3, 24, 48, 2)
    for bad in ("3x24x48x5", "0x24x48x2", "3x24x48"):
        with pytest.raises(CourseError, match=r"3x24x48|0x24"):
            find_architecture(bad)


# --- the dry run ----------------------------------------------------------------------------------------------------


@pytest.fixture
def texts(blocks, teacher):
    return {"blocks": blocks, "heldout": blocks.select(range(4)), "teacher": teacher}


def test_a_dry_run_tells_steps_and_tokens_and_leaves_nothing(recipe, texts, tmp_path):
    start = find_architecture(recipe.student).random_model("sample", texts["teacher"].config.vocab_size)
    before = {name: weight.clone() for name, weight in start.state_dict().items()}
    found = dry_run(recipe, "student", **texts, student=start, seconds=0.1)
    assert found.tokens == 6 * 4 * 32 and found.hours * 3600 > 6 * found.step > 0
    assert "1 process x 2 micro-batches x 2 blocks" in str(found) and f"{found.tokens:,}" in str(found)
    with speaking("zh"):
        assert not re.search(r"[A-Za-z]{2,} +[A-Za-z]{2,}", str(found)), "no two English words in a row"
        assert all(re.match("[\u3400-\u9fff]+ ", line) for line in str(found).splitlines())
    assert all(torch.equal(before[name], weight) for name, weight in start.state_dict().items())
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_disk_a_checkpoint_takes_is_known_before(recipe, texts, tmp_path):
    ready = prepare(recipe, "student", texts["teacher"])
    steps = Steps(recipe, ready.pupil, ready.world)
    steps.take(1, [ready.batches(recipe, texts["blocks"])[0]], 1e-3)
    file = save_checkpoint(tmp_path, 1, steps.modules, steps.optimizers) / "state.safetensors"
    planned = disk_needed(recipe, ready)["model"] + moments(recipe, ready)
    assert planned == pytest.approx(file.stat().st_size, rel=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 10**14}, r"disk is too small: 4 checkpoints .* \+ metrics [\d,.]+ GiB = [\d,.]+ GiB needed"),
        ({"batch_size": 10**8, "micro_batch": 10**8}, r"memory is too small: .* blocks [\d,.]+ GiB = [\d,.]+ GiB"),
        ({"batch_size": 6, "micro_batch": 4}, r"6 / 4 = 1\.50"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_sum(recipe, texts, change, message):
    """More than any machine has, so nothing needs to be pretended."""
    with pytest.raises(CourseError, match=message) as caught:
        dry_run(recipe.model_copy(update=change), "student", **texts, seconds=0.1)
    assert caught.value.fix


def test_the_advice_is_the_largest_micro_batch_that_fits_and_divides_the_batch(recipe):
    greedy = recipe.model_copy(update={"batch_size": 4096, "micro_batch": 4096})
    needed = {"teacher": 26 * 2**20, "4096 blocks": 42 * 2.0**30}
    assert smaller_micro_batch(greedy, needed, 19.6 * 2**30, 1) == "--micro-batch 1024"  # 1,909 would fit
    eight = recipe.model_copy(update={"batch_size": 4096, "micro_batch": 512})
    assert smaller_micro_batch(eight, {"512 blocks": 512.0}, 300.0, 8) == "--micro-batch 256"
    assert "more memory" in smaller_micro_batch(greedy, needed, 2**20, 1)


def test_a_small_part_is_told_in_mib_beside_a_large_sum():
    mixed = {"teacher": 26 * 2**20, "4096 blocks": 2.0 * 2**30}
    assert added_up(mixed) == "teacher 26.0 MiB + 4,096 blocks 2.0 GiB = 2.0 GiB"
    assert added_up({"teacher": 26 * 2**20, "student": 2**20}) == "teacher 26.0 + student 1.0 = 27.0 MiB"


# --- publishing -----------------------------------------------------------------------------------------------------


def test_a_finished_run_becomes_a_folder_for_the_hub(recipe, texts, tmp_path):
    recipe = recipe.model_copy(update={"text": str(tmp_path / "my-text.txt")})
    done = distill(recipe, "student", **texts, progress=False)
    folder = publish(done.folder, tmp_path / "hub", name="me/tiny", license="cc-by-sa-4.0", data="Held-out sentences")
    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "cc-by-sa-4.0" and card.data.pipeline_tag == "fill-mask"
    assert "6 steps of 4 blocks" in card.text and "| `temperature` | 1.0 | 8.0 |" in card.text
    assert f"{done.metrics[-1]['top1']:.1%}" in card.text and "Held-out sentences" in card.text
    assert str(tmp_path) not in (folder / "README.md").read_text() + (folder / "recipe.json").read_text()
    model, words = BertForMaskedLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert torch.equal(model.bert.embeddings.word_embeddings.weight, done.model.bert.embeddings.word_embeddings.weight)
    assert words.tokenize("今天") == ["今", "天"]
    assert "the student of a two-stage distillation, taught by the assistant of" in card.text
    with speaking("zh"):
        scores = ROOT / "data_samples" / "results" / "finetuning.jsonl"
        text = ModelCard.load(publish(done.folder, folder, name="me/tiny", results=scores) / "README.md").text
    assert "| 学生 |" in text and "| student |" not in text
    assert (
        "## 评测" in text and f"| 首选命中率 | {done.metrics[0]['top1']:.1%} | {done.metrics[-1]['top1']:.1%} |" in text
    )
    with pytest.raises(CourseError, match="not a finished distillation"):
        publish(tmp_path, tmp_path / "other", name="me/tiny")
    made = json.loads((done.folder / "recipe.json").read_text(encoding="utf-8"))
    (done.folder / "recipe.json").write_text(json.dumps(made | {"stage": "pretrained"}), encoding="utf-8")
    with pytest.raises(CourseError, match=r"not a finished distillation.*pretrained"):
        publish(done.folder, tmp_path / "other", name="me/tiny")


def finished(folder: Path, recipe: Recipe) -> Path:
    """A run of the student that ships with the course, as `minirbt distill` would have left it."""
    shutil.copytree(ROOT / "data_samples" / "models" / "student", folder)
    card = {"stage": "student", "architecture": recipe.student, "blocks": 9, "recipe": recipe.model_dump()}
    (folder / "recipe.json").write_text(json.dumps(card), encoding="utf-8")
    rows = [{"step": step, "top1": 0.1, "top5": 0.2, "mlm_loss": 5.0, "kd_loss": 3.0, "masked": 9} for step in (0, 6)]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    (folder / "README.md").unlink()
    return folder


def test_nothing_but_an_earlier_publication_gives_way(recipe, tmp_path):
    run, notes = finished(tmp_path / "run", recipe), tmp_path / "notes"
    notes.mkdir()
    (notes / "README.md").write_text("mine")
    for output in (run, notes):
        before = {file.name: file.read_bytes() for file in output.iterdir()}
        with pytest.raises(CourseError, match="they would be lost"):
            publish(run, output, name="me/tiny")
        assert {file.name: file.read_bytes() for file in output.iterdir()} == before
    for name in ("me/tiny", "me/small"):
        publish(run, tmp_path / "hub", name=name)
    assert "me/small" in (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")


def test_published_entries_keep_their_numbers(recipe, tmp_path):
    """Where an entry stood twice, a number has none."""
    run = finished(tmp_path / "run", recipe)
    content = json.loads((run / "tokenizer.json").read_text(encoding="utf-8"))
    (gone,) = [entry for entry, number in content["model"]["vocab"].items() if number == 1000]
    del content["model"]["vocab"][gone]
    (run / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    lines = (publish(run, tmp_path / "hub", name="me/tiny") / "vocab.txt").read_text(encoding="utf-8").split("\n")
    assert all(lines[number] == entry for entry, number in load_tokenizer(run).get_vocab().items())


# --- the full path, from a hub --------------------------------------------------------------------------------------

NAMES = [path.stem for path in notebooks()]
SMALL = {  # every size of the published recipe that would take long
    "ASSISTANT": "6x24x48x12", "STUDENT": "6x16x32x8", "LENGTH": 32, "STEPS": 3, "BATCH_SIZE": 4, "MICRO_BATCH": 2,
    "EVALUATE_EVERY": 3, "CHECKPOINT_EVERY": 1, "WORKERS": 0, "PRECISION": "fp32", "EPOCHS": 1, "TASK_LENGTH": 128,
}  # fmt: skip


def real_layout(folder: Path, tokenizer) -> None:
    """A teacher as the hub holds it: an old weights file with pooler and position ids, vocab.txt, all keys."""
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=24, num_hidden_layers=12, num_attention_heads=12,
                        intermediate_size=48, directionality="bidi", output_past=True, pooler_fc_size=24,
                        pooler_num_attention_heads=12, pooler_num_fc_layers=3, pooler_size_per_head=2,
                        pooler_type="first_token_transform")  # fmt: skip
    torch.manual_seed(0)
    model = BertForPreTraining(config)
    folder.mkdir(parents=True)
    config.architectures = ["BertForMaskedLM"]
    config.save_pretrained(folder)
    extra = {"bert.embeddings.position_ids": torch.arange(512)[None]}
    torch.save(model.state_dict() | extra, folder / "pytorch_model.bin")
    entries = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    (folder / "vocab.txt").write_text("\n".join(entries), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')


@pytest.fixture(scope="module")
def hub(tmp_path_factory, tokenizer):
    """A hub with a teacher, a neural LTP and a dataset of text; and the same text at hand."""
    home = tmp_path_factory.mktemp("hub")
    real_layout(home / "hfl" / "tiny-roberta-wwm-ext", tokenizer)
    (home / "LTP" / "tiny").mkdir(parents=True)
    make_neural_ltp(home / "LTP" / "tiny", tokenizer)
    for name in ("train", "heldout"):
        source = ROOT / "data_samples" / "corpus" / "heldout" / "weather.txt"
        lines = source.read_text(encoding="utf-8").splitlines(keepends=True)[:20]
        (home / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
    Dataset.from_dict({"text": lines}).to_parquet(home / "datasets" / "some" / "text" / "train.parquet")
    with serve(home) as (address, _):
        yield home, address


def knobs(home: Path, output: Path) -> dict:
    return {"SCALE": "full", "TEACHER": "hfl/tiny-roberta-wwm-ext", "SEGMENTER": "LTP/tiny", "OUTPUT_DIR": str(output),
            "TEXT": str(home / "train.txt"), "HELDOUT": str(home / "heldout.txt"),
            "TASK_DIR": str(ROOT / "data_samples" / "tasks"), **SMALL}  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def settings(address: str, cache: Path) -> dict[str, str]:
    return {**os.environ, "HF_HOME": str(cache), "HF_ENDPOINT": address, "OMP_NUM_THREADS": "1"}


STEPS = """
import sys, json
from minirbt_helpers import __main__ as commands
for arguments in json.loads(sys.argv[1]):
    try:
        commands.app(arguments)
    except SystemExit as end:
        if end.code:
            raise
"""


def test_the_full_path_by_command(hub, tmp_path):
    """Download, references, packing, init, both stages, fine-tuning, all at SCALE=full; and a student for the hub."""
    home, address = hub
    full = [part for name, value in knobs(home, tmp_path).items()
            for part in (f"--{name.lower().replace('_', '-')}", str(value))]  # fmt: skip
    model = ["--teacher", "hfl/tiny-roberta-wwm-ext"]
    packed = ["--blocks", f"{tmp_path}/blocks", "--heldout-blocks", f"{tmp_path}/blocks"]
    student = f"{tmp_path}/full/student"
    steps = [
        ["references", f"{home}/train.txt", f"{tmp_path}/train.ref", *model, "--segmenter", "LTP/tiny"],
        ["pack", f"{home}/train.txt", "--references", f"{tmp_path}/train.ref", "--output", f"{tmp_path}/blocks",
         "--length", "32", *model],
        ["init", f"{tmp_path}/start", "--layers", "0,1,2,3,4,5", *full],
        ["distill", "--stage", "assistant", "--student-weights", f"{tmp_path}/start", *packed, *full, "--dry-run"],
        ["distill", "--stage", "assistant", "--student-weights", f"{tmp_path}/start", *packed, *full],
        ["distill", "--stage", "student", *packed, *full],
        ["finetune", "chnsenticorp", "--model", student, "--task-rows", "8", *full],
        ["publish", student, f"{tmp_path}/hub", "--name", "me/student"],
    ]  # fmt: skip
    done = subprocess.run([sys.executable, "-c", STEPS, json.dumps(steps)], capture_output=True, text=True, cwd=ROOT,
                          env=settings(address, tmp_path / "cache"))  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 process x 2 micro-batches x 2 blocks" in done.stdout and '"accuracy"' in done.stdout
    assert BertForMaskedLM.from_pretrained(tmp_path / "hub").config.hidden_size == 16
    assert (
        len(BertTokenizer.from_pretrained(tmp_path / "hub"))
        == BertForMaskedLM.from_pretrained(student).config.vocab_size
    )
    assert ModelCard.load(tmp_path / "hub" / "README.md").data.base_model == "hfl/tiny-roberta-wwm-ext"
    upload = [sys.executable, "-m", "huggingface_hub.cli.hf", "upload", "me/student", f"{tmp_path}/hub"]
    fetch = [sys.executable, "-c", "from minirbt_helpers.hub import fetch_model; print(fetch_model('me/student'))"]
    for command in (upload, fetch):
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT,
                              env=settings(address, tmp_path / "cache") | {"HF_TOKEN": "hf_test"})  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert files(Path(done.stdout.strip())) == files(tmp_path / "hub")


# --- the notebooks at full scale, in a fresh environment ------------------------------------------------------------

ADDRESS = "git+https://github.com/minirbt-course/minirbt-course"


@pytest.fixture(scope="module")
def workplace(hub, few_rows, tmp_path_factory):
    """Where the notebooks run: the hub, a fresh environment as a kernel, and an assistant that torchrun distilled."""
    home, address = hub
    folder = tmp_path_factory.mktemp("workplace")
    parameters = knobs(home, folder / "runs") | {"TEXT": "hf://datasets/some/text", "TASK_ROWS": 16,
                                                 "TASK_DIR": str(few_rows)}  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings(address, folder / "cache").items():
            patch.setenv(name, value)
        options = [part for name, value in parameters.items()
                   for part in (f"--{name.lower().replace('_', '-')}", str(value))]  # fmt: skip
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
                   "-m", "minirbt_helpers", "distill", "--stage", "assistant", *options]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        patch.setenv("JUPYTER_PATH", str(folder))
        patch.setenv("PIP_CONSTRAINT", str(ROOT / "constraints.txt"))  # Colab has most of it, at versions of its own
        patch.setenv("PIP_COMPILE", "0")  # what a notebook imports is compiled then
        site = make_kernel(folder, "fresh")
        course = snapshot(ROOT, folder / "course.git")

        def execute(name: str) -> nbformat.NotebookNode:
            """Run a notebook as Colab does: no checkout about, the course to be fetched by the set-up cell."""
            text = (ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
            (folder / f"{name}.ipynb").write_text(text.replace(ADDRESS, course), encoding="utf-8")
            papermill.execute_notebook(
                str(folder / f"{name}.ipynb"), str(folder / "done.ipynb"), parameters=parameters, progress_bar=False,
                cwd=str(folder), kernel_name="fresh",
            )  # fmt: skip
            return nbformat.read(folder / "done.ipynb", as_version=4)

        yield folder, site, execute


def weights(folder: Path) -> dict[str, int]:
    """When the weights of each finished stage were written."""
    found = {stage: run_folder(load_recipe("full", output_dir=str(folder / "runs")), stage) for stage in STAGES}
    return {stage: (one / "model.safetensors").stat().st_mtime_ns for stage, one in found.items() if one.is_dir()}


@pytest.fixture(scope="module")
def distilled(workplace):
    """Notebook 04 after torchrun: what lay there before, and the notebook. The others find what it distilled."""
    folder, _, execute = workplace
    return weights(folder), execute("04_two_stage_distillation")


def test_the_set_up_cell_fetches_the_course_and_what_is_missing(workplace, distilled):
    site = workplace[1]
    assert (site / "minirbt_helpers" / "data_samples").is_dir() and (site / "textbrewer").is_dir()
    assert not (site / "torch").exists() and not (site / "numpy").exists()  # what was there is left as it was


def test_notebook_04_shows_the_curves_of_what_torchrun_distilled(workplace, distilled):
    before, notebook = distilled
    after = weights(workplace[0])
    assert list(before) == ["assistant"] and before.items() <= after.items()
    assert after.keys() == set(STAGES)
    (curves,) = [cell for cell in notebook.cells if "insight.draw_losses(" in cell.source]
    assert [output for output in curves.outputs if "image/png" in output.get("data", {})]
    rows = (workplace[0] / "runs/full/assistant/metrics.jsonl").read_text(encoding="utf-8").splitlines()
    last = json.loads(rows[-1])["kd_loss"]
    tables = [output.data["text/markdown"] for cell in notebook.cells if "floor of the KD loss" in cell.source
              for output in cell.outputs]  # fmt: skip
    row = r"\| teacher → assistant \| ([\d.]+) \| (-?[\d.]+) \| (-?[\d.]+) \|"
    floor, _, above = re.search(row, tables[0]).groups()
    assert float(floor) + float(above) == pytest.approx(last, abs=1e-3)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("04")])
def test_each_notebook_runs_at_full_scale_in_a_fresh_environment(workplace, distilled, name):
    """After notebook 04; what that has distilled is not distilled again."""
    folder, _, execute = workplace
    before = weights(folder)
    execute(name)
    assert before.items() <= weights(folder).items()


# --- examples, and the table of options -----------------------------------------------------------------------------


def test_the_example_of_parameters_is_the_published_recipe():
    given = yaml.safe_load((ROOT / "examples" / "full.yaml").read_text(encoding="utf-8"))
    example = load_recipe(**{name.lower(): value for name, value in given.items()})
    published = load_recipe("full")
    for name in Recipe.model_fields:
        assert name in ("output_dir", "task_dir") or getattr(example, name) == getattr(published, name), name


def test_the_slurm_script_is_two_machines_here(tmp_path, tokenizer, segmenter):
    """Slurm itself is not here: `srun` starts its command twice at once, as on two machines."""
    (tmp_path / "srun").write_text('#!/bin/sh\n"$@" &\nfirst=$!\n"$@"\nwait $first\n')
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho 127.0.0.1\n")
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for name in ("srun", "scontrol", "python"):
        (tmp_path / name).chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for part in ("train", "heldout"):
        build_blocks("data_samples/corpus/heldout/weather.txt", tokenizer, tmp_path / "blocks" / part, length=32,
                     segmenter=segmenter, progress=False)  # fmt: skip
    small = {"teacher": "data_samples/models/teacher", "assistant": "6x192x768x12", "student": "2x12x24x2",
             "steps": 2, "length": 32, "batch_size": 4, "micro_batch": 2, "workers": 0, "precision": "fp32",
             "output_dir": str(tmp_path / "runs")}  # fmt: skip
    options = [part for name, value in small.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "x", "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_ID": "7", "PROCESSES": "1", "PORT": str(port), "BLOCKS": str(tmp_path / "blocks"),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    done = subprocess.run(["bash", "examples/distill.slurm", *options], cwd=ROOT, env=environment, capture_output=True,
                          text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert find_architecture("2x12x24x2").full.hidden == 12
    assert BertForMaskedLM.from_pretrained(tmp_path / "runs" / "full" / "student").config.hidden_size == 12


def test_every_option_that_the_docs_name_exists():
    """The table of the original's options: each of ours is an option of `distill`."""
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `--?[a-z].*\|$|^\| `torch.*\|$|^\| which stage.*\|$", page, re.M)
    assert len(rows) > 10
    named = {option for row in rows for option in re.findall(r"`(--[a-z-]+)", row.split("|")[2])}
    known = {f"--{name.replace('_', '-')}" for name in Recipe.model_fields} | {"--stage", "--student-weights"}
    assert named <= known, named - known
