"""Laws of big corpora: whoever does the shards, however often they break off, the blocks are the small path's."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pyarrow
import pytest
from conftest import ROOT, examples, minirbt
from datasets import Dataset
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import IpcReader, JsonlReader, ParquetReader
from datatrove.pipeline.readers.csv import CsvReader
from hub_server import Faults, serve
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertTokenizer

from minirbt_helpers.errors import CourseError
from minirbt_helpers.lines import read_lines
from minirbt_helpers.text import build_blocks, cached_blocks, load_blocks
from minirbt_helpers.text.pipeline import STARTS, MakeReferences, ShardedCorpus, _start
from minirbt_helpers.text.sources import Files, HubText, text_source

pytestmark = pytest.mark.slow  # processes, training or notebooks

TEXT = ROOT / "data_samples" / "corpus" / "train"
SEGMENTER = "data_samples/models/segmenter"
TASKS, LENGTH = 16, 64


# --- shares of a text -----------------------------------------------------------------------------------------------

LINES = st.lists(
    st.text(st.sampled_from("今天气a \r\u2028"), max_size=5).filter(lambda line: line[-1:] != "\r"), max_size=9
)


@given(st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r\n"]), st.booleans()), min_size=1, max_size=4))
@examples(200)
def test_every_line_is_in_exactly_one_share(texts):
    """Whatever the files: other line ends, byte order marks, blank lines, no end to the last line, nothing at all."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, (lines, end, mark) in enumerate(texts):
            files.append(Path(folder) / f"{number}.txt")
            files[-1].write_bytes(b"\xef\xbb\xbf" * mark + end.join(lines).encode())
        whole = [line for file in files for line in read_lines(file)]
        for world in (1, 2, 3, 7, 40):
            shares = [Files(tuple(files)).batches(rank, world) for rank in range(world)]
            assert [line for share in shares for lines in share for line in lines] == whole


def test_a_broken_line_of_a_share_is_named_by_its_number_in_the_file(tmp_path):
    (tmp_path / "a.txt").write_bytes("今天\n".encode() * 50 + b"ab\xff\n" + b"end\n" * 50)
    with pytest.raises(CourseError, match="line 51: not UTF-8 at byte 3"):
        for rank in range(7):
            list(text_source(tmp_path / "a.txt").batches(rank, 7))


@pytest.mark.parametrize(
    "address", ["hf://owner/name", "hf://datasets/name", "hf://datasets/owner/name?columns=text", "hf://datasets/a/b/c"]
)
def test_an_address_of_another_form_is_refused(address):
    with pytest.raises(CourseError, match="not the address of a dataset") as caught:
        text_source(address)
    assert "hf://datasets/owner/name@revision?config=" in caught.value.fix


def test_a_dataset_stands_alone():
    with pytest.raises(CourseError, match="a dataset and other texts"):
        text_source([TEXT / "weather.txt", "hf://datasets/owner/name"])


def test_a_text_and_its_references_stand_at_the_same_place(tokenizer, tmp_path):
    """Whatever their names end in: .txt sorts behind .small.txt, .ref before .small.ref."""
    for name, line in (("train", "今天天气很好。"), ("train.small", "好。")):
        (tmp_path / f"{name}.txt").write_text(f"{line}\n", encoding="utf-8")
        (tmp_path / f"{name}.ref").write_text("[4]\n" if name == "train" else "[]\n", encoding="utf-8")
    blocks = build_blocks(tmp_path, tokenizer, tmp_path / "out", length=16, references=tmp_path, progress=False)
    assert sum(blocks[0]["continues"]) == 1


def test_an_empty_list_of_files_is_no_text(tmp_path):
    (tmp_path / "list.json").write_text('{"train": {"train_files": []}}')
    with pytest.raises(CourseError, match="no files in the list"):
        text_source(tmp_path / "list.json")


def test_the_address_of_a_dataset_says_what_to_read():
    address = "hf://datasets/wikimedia/wikipedia@main?config=20231101.zh&split=train&column=text"
    source = text_source([address])
    assert source == HubText("wikimedia/wikipedia", "20231101.zh", "train", "text", "main") and str(source) == address
    assert text_source("hf://datasets/owner/name") == HubText("owner/name")


# --- shards ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone(tokenizer, tmp_path_factory) -> ShardedCorpus:
    """The whole work done by one process."""
    corpus = ShardedCorpus(TEXT, tmp_path_factory.mktemp("alone"), tokenizer, SEGMENTER, length=LENGTH, tasks=TASKS)
    corpus.run()
    return corpus


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the work, byte for byte; not the logs, nor a dataset's random name."""
    files = [file for part in ("text", "blocks") for file in sorted((folder / part).rglob("*")) if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.name != "state.json"}


def marks(folder: Path, step: str) -> list[int]:
    return sorted(int(mark.name) for mark in (folder / "logs" / step / "completions").glob("*"))


def arguments(output: Path, *options: object) -> list[object]:
    """Of the command line."""
    same = ["--output", output, "--tasks", TASKS, "--length", LENGTH, "--segmenter", SEGMENTER]
    return ["shard", TEXT, *same, *options]


def command(output: Path, *options: object) -> list[str]:
    """To be a process of its own."""
    return list(map(str, [sys.executable, "-m", "minirbt_helpers", *arguments(output, *options)]))


def test_the_blocks_are_those_of_the_small_path(alone, tokenizer, segmenter, tmp_path):
    small = build_blocks(TEXT, tokenizer, tmp_path / "small", length=LENGTH, segmenter=segmenter, progress=False)
    sharded = alone.run()
    assert sharded.features == small.features and sharded.to_dict() == small.to_dict()
    assert len(contents(alone.output)) == 3 * TASKS + TASKS + 2
    lines = [line for rank in range(TASKS) for line in read_lines(alone.text / f"{rank:05d}.txt")]
    assert lines == [line for file in sorted(TEXT.glob("*.txt")) for line in read_lines(file)]
    again = build_blocks(
        alone.text, tokenizer, tmp_path / "again", length=LENGTH, references=alone.text, progress=False
    )
    assert again.to_dict() == small.to_dict()


def test_a_folder_of_blocks_stands_for_itself(alone, tokenizer, tmp_path):
    """As TEXT of a notebook, or --text of a command."""
    settings = {"tokenizer": tokenizer, "home": tmp_path, "segmenter": SEGMENTER}
    assert len(cached_blocks(str(alone.blocks), length=LENGTH, **settings)) == len(alone.run())
    with pytest.raises(CourseError, match="blocks of 64 tokens, not 128"):
        cached_blocks(str(alone.blocks), length=128, **settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"segmenter": "no/such/folder"}, "no such model folder"), ({"match": "orginal"}, "unknown match"),
        ({"length": 3}, "a block of 3 tokens"),
    ],
)  # fmt: skip
def test_nobody_is_held_to_a_plan_that_cannot_be(tokenizer, tmp_path, changed, message):
    settings = {"segmenter": SEGMENTER, "length": LENGTH, "match": "segmentation"}
    with pytest.raises(CourseError, match=message):
        ShardedCorpus(TEXT, tmp_path / "out", tokenizer, **settings | changed)
    ShardedCorpus(TEXT, tmp_path / "out", tokenizer, **settings)


def test_blocks_know_whose_ids_they_hold(alone, tokenizer):
    """Two vocabularies of one size read one another's ids as gibberish."""
    entries = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    other = BertTokenizer(vocab={entry: number for number, entry in enumerate(entries[:5] + entries[:4:-1])})
    assert load_blocks(alone.blocks, LENGTH, tokenizer)
    with pytest.raises(CourseError, match="another vocabulary"):
        load_blocks(alone.blocks, LENGTH, other)
    with pytest.raises(CourseError, match="another vocabulary"):
        cached_blocks(alone.blocks, other, "unused", length=LENGTH, segmenter=SEGMENTER)


@pytest.mark.parametrize(("tasks", "length"), [(1, 128), (3, 4), (40, 1000)])
def test_no_seam_shows(tasks, length, tokenizer, segmenter, tmp_path):
    """Also where a block is longer than a shard, and where most shards hold no text at all."""
    (tmp_path / "few.txt").write_text("今天天气很好。\n\n我们去公园散步。\nhello world\n" * 20, encoding="utf-8")
    sharded = ShardedCorpus(
        tmp_path / "few.txt", tmp_path / "out", tokenizer, SEGMENTER, length=length, tasks=tasks
    ).run()
    small = build_blocks(
        tmp_path / "few.txt", tokenizer, tmp_path / "small", length=length, segmenter=segmenter, progress=False
    )
    assert sharded.to_dict() == small.to_dict()


def test_two_processes_share_the_work_and_one_is_killed(alone, tmp_path):
    """Started separately, each has half of the shards; the second is killed in its midst and started again."""
    options = {"cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    share = [["--machines", 2, "--machine", machine] for machine in (0, 1)]
    first, second = (
        subprocess.Popen(command(tmp_path, "--step", "references", *one), **options, start_new_session=True)
        for one in share
    )
    theirs = range(TASKS // 2, TASKS)
    while not set(marks(tmp_path, "references")) & set(theirs):
        assert second.poll() is None, second.stderr.read()
        time.sleep(0.01)
    os.killpg(second.pid, signal.SIGKILL)
    second.wait()
    assert first.wait() == 0, first.stderr.read()
    done = set(marks(tmp_path, "references"))
    assert set(range(TASKS // 2)) < done < set(range(TASKS))
    kept = {rank: (tmp_path / "text" / f"{rank:05d}.ref").stat().st_mtime_ns for rank in done}
    early = minirbt(*arguments(tmp_path, "--step", "blocks", *share[0]))
    assert early.returncode == 1 and f"{TASKS - len(done)} of {TASKS} shards have no references yet" in early.stderr
    for one in reversed(share):
        last = minirbt(*arguments(tmp_path, *one))
        assert last.returncode == 0, last.stderr
    assert f"{len(alone.run()):,} blocks" in last.stdout
    assert marks(tmp_path, "references") == marks(tmp_path, "blocks") == list(range(TASKS))
    assert kept == {rank: (tmp_path / "text" / f"{rank:05d}.ref").stat().st_mtime_ns for rank in done}
    assert contents(tmp_path) == contents(alone.output)


def test_ray_shares_the_work(alone, tmp_path):
    """In one job a step, for each job imports everything anew; and not last in the queue, which is Ray's way."""
    pytest.importorskip("ray")
    ray = command(tmp_path, "--executor", "ray", "--workers", TASKS)
    eager = os.environ | {"RAY_worker_niceness": "0"}
    done = subprocess.run(ray, capture_output=True, text=True, cwd=ROOT, timeout=600, env=eager)
    assert done.returncode == 0, done.stderr
    assert marks(tmp_path, "references") == marks(tmp_path, "blocks") == list(range(TASKS))
    assert contents(tmp_path) == contents(alone.output)


@pytest.mark.parametrize("slow", [STARTS - 1, STARTS])
def test_ray_may_be_slow_to_start(slow):
    """It gives a new node 30 s, which a busy machine needs for itself; its error is a plain Exception."""
    begun = []

    def init(**options):
        begun.append(options)
        if len(begun) <= slow:
            raise Exception("The current node timed out during startup.")

    if slow < STARTS:
        _start(SimpleNamespace(init=init, shutdown=lambda: None), workers=2)
    else:
        with pytest.raises(CourseError, match=r"Ray did not start .*timed out.*\n.*--executor local"):
            _start(SimpleNamespace(init=init, shutdown=lambda: None), workers=2)
    assert len(begun) == min(slow + 1, STARTS)


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "arrow"])
def test_a_reader_of_datatroves_may_stand_before_the_references(kind, tokenizer, segmenter, tmp_path):
    """Plain datatrove reads no JSON lines: that needs orjson, which its extra ``io`` brings."""
    if kind == "jsonl":
        pytest.importorskip("orjson", reason="the extra [full] brings it: install again")
    rows, folder = Dataset.from_dict({"id": ["1", "2"], "text": ["今天天气很好。", "我们去公园。"]}), tmp_path / "in"
    folder.mkdir()
    if kind == "arrow":
        with pyarrow.OSFile(str(folder / "a.arrow"), "wb") as file, pyarrow.ipc.new_file(file, rows.data.schema) as out:
            out.write_table(rows.data.table)
    else:
        {"jsonl": rows.to_json, "csv": rows.to_csv, "parquet": rows.to_parquet}[kind](str(folder / f"a.{kind}"))
    reader = {"jsonl": JsonlReader, "csv": CsvReader, "parquet": ParquetReader, "arrow": IpcReader}[kind]
    steps = [reader(str(folder)), MakeReferences(tmp_path / "out", tokenizer, segmenter)]
    LocalPipelineExecutor(steps, tasks=1, logging_dir=str(tmp_path / "logs")).run()
    assert list(read_lines(tmp_path / "out" / "00000.txt")) == rows["text"][:]


def test_a_shard_that_fails_leaves_the_others_done(tokenizer, tmp_path):
    """A line turns out not to be UTF-8; once it is mended, only what was not done is done, by two workers."""
    text, output = tmp_path / "text.txt", tmp_path / "out"
    good = "今天天气很好。\n".encode() * 30 + b"abc\n" + "我们去公园。\n".encode() * 30
    text.write_bytes(good)
    settings = {"length": 32, "tasks": 4}
    corpus = ShardedCorpus(text, output, tokenizer, SEGMENTER, **settings)
    text.write_bytes(good.replace(b"c", b"\xff"))
    with pytest.raises(CourseError, match="line 31: not UTF-8"):
        corpus.run()
    done = marks(output, "references")
    assert done and len(done) < 4 and not marks(output, "blocks")
    before = {rank: (corpus.text / f"{rank:05d}.txt").stat().st_mtime_ns for rank in done}
    text.write_bytes(good)
    assert corpus.run(workers=2) is not None
    assert before == {rank: (corpus.text / f"{rank:05d}.txt").stat().st_mtime_ns for rank in done}
    with pytest.raises(CourseError, match="begun with another length"):
        ShardedCorpus(text, output, tokenizer, SEGMENTER, **settings | {"length": 64})
    with pytest.raises(CourseError, match="machine 2 of 2"):
        corpus.run(machine=2, machines=2)


def test_shards_never_come_where_the_text_lies(tokenizer, tmp_path):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "00000.txt").write_text("今天天气很好。\n", encoding="utf-8")
    with pytest.raises(CourseError, match="the text lies where its shards are to come"):
        ShardedCorpus(tmp_path / "text", tmp_path, tokenizer, SEGMENTER, length=32)
    assert [file.name for file in tmp_path.rglob("*")] == ["text", "00000.txt"]


# --- a dataset on a hub ---------------------------------------------------------------------------------------------

READ = """
import json, sys
from minirbt_helpers.errors import CourseError
from minirbt_helpers.text.sources import text_lines, text_source
address = sys.argv[1]
source = text_source(address)
whole = [line for lines in source.batches() for line in lines]
assert list(text_lines(address)) == whole and list(text_lines(address, each=3)) == whole[:3]
same = [[line for rank in range(world) for lines in source.batches(rank, world) for line in lines] == whole
        for world in (2, 3, 5, 12, 20)]
refused = []
for column in ("title", "number"):
    try:
        text_source(f"{address}&column={column}").require_text()
    except CourseError as problem:
        refused.append(str(problem))
print(json.dumps([len(whole), whole[:2], same, refused]))
"""


@pytest.fixture
def wiki(tmp_path) -> Path:
    """A hub with a dataset: three files of four row groups, rows of two paragraphs and some without text."""
    table = tmp_path / "hub" / "datasets" / "some" / "wiki"
    sentences = [line for line in read_lines(TEXT / "weather.txt") if line.strip()]
    for number in range(3):
        texts = [f"{line}\n\n{line}" for line in sentences[number * 20 : number * 20 + 20]] + ["", None]
        Dataset.from_dict({"text": texts, "number": range(len(texts))}).to_parquet(
            table / "zh" / f"train-{number:05d}-of-00003.parquet", batch_size=6
        )
    settings = "---\nconfigs:\n- config_name: zh\n  data_files:\n  - split: train\n    path: zh/train-*\n---\n"
    (table / "README.md").write_text(settings)
    return tmp_path / "hub"


def run(address: str, cache: Path, *arguments: object) -> subprocess.CompletedProcess:
    settings = {**os.environ, "HF_HOME": str(cache), "HF_ENDPOINT": address}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=settings, capture_output=True, text=True, cwd=ROOT)


def test_a_dataset_of_a_hub_is_streamed_and_shared_out(wiki, tmp_path):
    """A connection is cut meanwhile; nothing of the dataset is kept on disk."""
    faults = Faults(cut={"train-00001-of-00003.parquet": 1})
    with serve(wiki, faults=faults) as (address, _):
        done = run(address, tmp_path / "cache", "-c", READ, "hf://datasets/some/wiki?config=zh")
    assert done.returncode == 0, done.stderr
    number, (first, second), same, refused = json.loads(done.stdout.splitlines()[-1])
    assert number == 3 * 20 * 2 and first == second and all(same) and faults.cut["train-00001-of-00003.parquet"] == 0
    assert "no column 'title'" in refused[0] and "column= one of text, number" in refused[0]
    assert "column 'number' holds no text (int64)" in refused[1]
    assert not list((tmp_path / "cache").rglob("*.parquet")) and not list((tmp_path / "cache").rglob("*.arrow"))


PLANS = """
import sys
from pathlib import Path
from minirbt_helpers.errors import CourseError
from minirbt_helpers.models import load_tokenizer
from minirbt_helpers.text.pipeline import ShardedCorpus
output, card = map(Path, sys.argv[1:])
tokenizer = load_tokenizer("data_samples/models/teacher")
def begin(revision):
    address = f"hf://datasets/some/wiki{revision}?config=zh"
    return ShardedCorpus(address, output, tokenizer, "data_samples/models/segmenter", length=32).source.revision
print(begin("@main"))
card.write_text(card.read_text() + "Another commit.")
print(begin("@main"))
try:
    begin("")
except CourseError as problem:
    print(problem.what)
"""


def test_a_branch_of_a_hub_is_read_as_it_was_when_the_work_was_begun(wiki, tmp_path):
    card = wiki / "datasets" / "some" / "wiki" / "README.md"
    with serve(wiki) as (address, _):
        done = run(address, tmp_path / "cache", "-c", PLANS, tmp_path / "out", card)
    assert done.returncode == 0, done.stderr
    first, again, other = done.stdout.splitlines()
    assert first == again and re.fullmatch("[0-9a-f]{40}", first) and other == "begun with another revision"


def test_a_dataset_of_a_hub_becomes_the_same_blocks_by_both_paths(wiki, tmp_path):
    text = "hf://datasets/some/wiki?config=zh"
    with serve(wiki) as (address, _):
        small = run(address, tmp_path, "-m", "minirbt_helpers", "pack", text, "--output", tmp_path / "small")
        sharded = run(address, tmp_path, "-m", "minirbt_helpers", "shard", text, "--output", tmp_path / "sharded")
    assert small.returncode == sharded.returncode == 0, small.stderr + sharded.stderr
    counts = re.compile(r"([\d,]+) blocks")
    assert counts.findall(small.stdout)[-1] == counts.findall(sharded.stdout)[-1]
    plan = json.loads((tmp_path / "sharded" / "plan.json").read_text())
    assert plan["tasks"] == 3 and len(plan["commit"]) == 40  # one shard per file; others read the same rows
    blocks = [Dataset.from_file(str(file)).to_dict() for file in sorted((tmp_path / "sharded/blocks").glob("*.arrow"))]
    (expected,) = [Dataset.from_file(str(file)).to_dict() for file in (tmp_path / "small").glob("*.arrow")]
    assert [row for part in blocks for row in part["input_ids"]] == expected["input_ids"]
    assert [row for part in blocks for row in part["continues"]] == expected["continues"]
