"""Laws of blocks: packing, files of every kind, the cache."""

import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from conftest import examples, first, minirbt
from datasets import load_from_disk
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from minirbt_helpers.__main__ import app
from minirbt_helpers.errors import CourseError
from minirbt_helpers.text import (
    build_blocks,
    cached_blocks,
    load_blocks,
    pack,
    read_lines,
    read_references,
    reference_files,
    references,
    text_files,
    text_lines,
    write_references,
)
from minirbt_helpers.workspace import resolve

CHARACTERS = st.sampled_from("今天气很好我们去北京的大学 ABc12.,，。！é👏\u2028\u0000\ufffd\u3000郯Ⅷ１")
LINES = st.text(CHARACTERS, max_size=60) | st.text(max_size=40)


@examples(150)
@given(texts=st.lists(LINES, max_size=12), length=st.integers(4, 40))
def test_packing_loses_and_repeats_nothing(tokenizer, segmenter, texts, length):
    rows = references(texts, segmenter(texts), tokenizer)
    wanted_ids, wanted_flags = [], []
    for text, positions in zip(texts, rows, strict=True):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        wanted_ids += [*ids, tokenizer.sep_token_id] if ids else []
        pieces = [token.startswith("##") for token in tokenizer.convert_ids_to_tokens(ids)]
        wanted_flags += [*(piece or place in positions for place, piece in enumerate(pieces, 1)), False] if ids else []
    made = list(pack(zip(texts, rows, strict=True), tokenizer, length))
    assert [token for block in made for token in block["input_ids"][1:-1]] == wanted_ids
    assert [flag for block in made for flag in block["continues"][1:-1]] == wanted_flags
    assert all(len(block["input_ids"]) == length for block in made[:-1])
    assert all(len(block["input_ids"]) == len(block["continues"]) <= length for block in made)


def test_blocks_from_references_equal_blocks_from_the_segmenter(tmp_path, tokenizer, segmenter):
    text = "data_samples/corpus/heldout/weather.txt"
    file = write_references(resolve(text), tmp_path / "refs", segmenter, tokenizer, progress=False)
    settings = {"length": 32, "progress": False}
    one = build_blocks(text, tokenizer, tmp_path / "one", segmenter=segmenter, **settings)
    two = build_blocks(text, tokenizer, tmp_path / "two", references=[file], **settings)
    assert one[:] == two[:]
    assert one.features["input_ids"].feature.dtype == "uint16"


@pytest.mark.parametrize(("drop", "place"), [(1, "line 3"), (-1, "line 4")])
def test_references_out_of_step_are_refused(tmp_path, tokenizer, drop, place):
    text, refs = tmp_path / "text.txt", tmp_path / "refs.txt"
    text.write_text("今天\n天气\n很好\n", encoding="utf-8")
    refs.write_text("[2]\n" * (3 - drop))
    with pytest.raises(CourseError, match=rf"refs\.txt, {place}"):
        build_blocks(text, tokenizer, tmp_path / "out", length=16, references=[refs], progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["refs.txt", "text.txt"]


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_corpus_is_refused(tmp_path, tokenizer, segmenter, content):
    (tmp_path / "empty.txt").write_text(content)
    with pytest.raises(CourseError, match="holds no text"):
        build_blocks(
            tmp_path / "empty.txt", tokenizer, tmp_path / "out", length=16, segmenter=segmenter, progress=False
        )
    with pytest.raises(CourseError, match="no such text file"):
        build_blocks(tmp_path / "missing.txt", tokenizer, tmp_path / "out", length=16, segmenter=segmenter)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_processes_make_the_very_same_blocks(tmp_path, tokenizer, segmenter, monkeypatch):
    monkeypatch.setattr("minirbt_helpers.lines.read_batches.__defaults__", (5000, 0, None))
    one, two = (
        build_blocks(
            ["data_samples/corpus/heldout", "data_samples/corpus/train/law.txt"],
            tokenizer, tmp_path / f"{count}", length=64, segmenter=segmenter, progress=False, processes=count,
        )
        for count in (1, 2)
    )  # fmt: skip
    assert len(one) > 50 and one[:] == two[:]


@pytest.mark.slow
def test_blocks_are_small_on_disk_and_open_with_datasets(tmp_path, tokenizer, segmenter):
    folder = tmp_path / "blocks"
    blocks = build_blocks(
        "data_samples/corpus/train", tokenizer, folder, length=64, segmenter=segmenter, progress=False
    )
    assert [feature.feature.dtype for feature in blocks.features.values()] == ["uint16", "bool"]
    tokens = sum(map(len, blocks["input_ids"]))
    data = next(folder.glob("*.arrow"))
    assert 2.1 * tokens < data.stat().st_size < 2.4 * tokens  # two bytes an id, a bit a flag
    assert load_from_disk(str(folder))[:] == blocks[:]


def test_a_list_of_files_in_the_original_s_form(tmp_path, tokenizer, segmenter):
    (tmp_path / "texts").mkdir()
    shards = [resolve(f"data_samples/corpus/heldout/{name}.txt") for name in ("law", "food")]
    names = [str(shutil.copy(shard, tmp_path / "texts")) for shard in shards]
    made = [
        write_references(shard, tmp_path / "refs" / f"{shard.stem}.ref", segmenter, tokenizer, progress=False)
        for shard in shards
    ]
    entry = {"train_files": [names[0], "texts/food.txt"], "train_ref_files": list(map(str, made))}
    (tmp_path / "data.json").write_text(json.dumps({"train": entry, "dev": {"dev_files": [], "dev_ref_files": []}}))
    settings = {"length": 32, "progress": False}
    listed = build_blocks(
        tmp_path / "data.json", tokenizer, tmp_path / "a", references=tmp_path / "data.json", **settings
    )
    plain = build_blocks(shards, tokenizer, tmp_path / "b", references=made, **settings)
    assert text_files(tmp_path / "data.json") == [tmp_path / "texts" / name for name in ("law.txt", "food.txt")]
    assert list(text_lines(tmp_path / "data.json", each=2)) == [
        line for shard in shards for line in list(read_lines(shard))[:2]
    ]
    assert reference_files(tmp_path / "refs") == sorted(made)
    assert listed[:] == plain[:]


@pytest.mark.parametrize("content", ["[]", "{", '{"train": {}}', '{"train": {"train_files": ["gone.txt"]}}'])
def test_a_broken_list_of_files_is_refused(tmp_path, content):
    (tmp_path / "data.json").write_text(content)
    with pytest.raises(CourseError, match=r"data\.json: (not a list of files|no such file: .*gone\.txt)"):
        text_files(tmp_path / "data.json")


def test_references_of_another_text_are_refused(tmp_path, tokenizer, segmenter):
    text, other = (resolve(f"data_samples/corpus/heldout/{name}.txt") for name in ("law", "food"))
    lines = list(read_lines(text))
    file = write_references(other, tmp_path / "refs", segmenter, tokenizer, progress=False)
    rows = list(read_references(file))
    (tmp_path / "text.txt").write_text("\n".join(lines[: len(rows)]), encoding="utf-8")
    file.write_text("".join(f"{row}\n" for row in rows[: len(lines)]))
    with pytest.raises(CourseError, match=r"refs, line \d+: position \d+ continues no Chinese word of") as caught:
        build_blocks(tmp_path / "text.txt", tokenizer, tmp_path / "out", length=32, references=[file], progress=False)
    assert "another text" in str(caught.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("row", [[7], [2, 700], [4], [1]])
def test_a_position_that_continues_no_word_is_refused(tokenizer, row):
    lines = [("好", []), ("今天，A天气", row)]
    with pytest.raises(CourseError, match=f"line 2: position {row[-1]} continues no Chinese word"):
        list(pack(lines, tokenizer, 16))


@pytest.mark.parametrize("match", ["segmentation", "original"])
@examples(80)
@given(texts=st.lists(LINES, max_size=8))
def test_no_reference_of_ours_is_refused(tokenizer, segmenter, match, texts):
    rows = references(texts, segmenter(texts), tokenizer, match)
    list(pack(zip(texts, rows, strict=True), tokenizer, 16))


# --- the cache ------------------------------------------------------------------------------------------------------


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for name in ("law", "food"):
        shutil.copy(resolve(f"data_samples/corpus/heldout/{name}.txt"), folder)
    return folder


def cached(corpus, tokenizer, home, **settings):
    settings = {"length": 32, "segmenter": "data_samples/models/segmenter", "progress": False} | settings
    return cached_blocks(corpus, tokenizer, home, **settings)


@pytest.mark.slow
def test_blocks_are_made_once_and_anew_when_anything_changes(corpus, tokenizer, tmp_path):
    home = tmp_path / "home"
    first = cached(corpus, tokenizer, home)
    assert cached(corpus, tokenizer, home)[:] == first[:] and len(list(home.glob("blocks-*"))) == 1
    cached(corpus, tokenizer, home, length=16)
    cached(corpus, tokenizer, home, match="original")
    own = shutil.copytree(resolve("data_samples/models/segmenter"), tmp_path / "own")
    cached(corpus, tokenizer, home, segmenter=str(own))
    assert len(list(home.glob("blocks-*"))) == 3  # the same segmenter elsewhere is the same
    (own / "README.md").write_text("other")
    cached(corpus, tokenizer, home, segmenter=str(own))
    with open(corpus / "law.txt", "a", encoding="utf-8") as stream:
        stream.write("今天天气很好\n")
    cached(corpus, tokenizer, home)
    assert len(list(home.glob("blocks-*"))) == 5


@pytest.mark.parametrize("damage", first(["truncate", "remove", "empty", "garbage", "card", "state"]))
def test_a_damaged_cache_is_made_again_and_said_so(corpus, tokenizer, tmp_path, capsys, damage):
    first = cached(corpus, tokenizer, tmp_path / "home")[:]
    folder = next((tmp_path / "home").glob("blocks-*"))
    data = next(folder.glob("*.arrow"))
    content = data.read_bytes()
    if damage == "remove":
        data.unlink()
    elif damage in ("card", "state"):
        (folder / {"card": "blocks.json", "state": "state.json"}[damage]).write_text("{")
    else:
        data.write_bytes({"truncate": content[:-100], "empty": b"", "garbage": b"x" * len(content)}[damage])
    assert cached(corpus, tokenizer, tmp_path / "home")[:] == first
    assert "made again" in capsys.readouterr().out
    assert cached(corpus, tokenizer, tmp_path / "home")[:] == first
    assert not capsys.readouterr().out


def test_blocks_that_another_has_made_again_meanwhile_are_taken(corpus, tokenizer, tmp_path, capsys):
    first = cached(corpus, tokenizer, tmp_path / "home")[:]
    folder = next((tmp_path / "home").glob("blocks-*"))
    whole = shutil.copytree(folder, tmp_path / "whole")
    (folder / "state.json").write_text("{")
    with ThreadPoolExecutor(1) as pool, FileLock(folder.with_name(f".{folder.name}.lock")):
        waiting = pool.submit(cached, corpus, tokenizer, tmp_path / "home")
        time.sleep(0.2)
        assert not waiting.done()
        shutil.copytree(whole, folder, dirs_exist_ok=True)
        before = (folder / "state.json").stat().st_mtime_ns
    assert waiting.result()[:] == first and not capsys.readouterr().out
    assert (folder / "state.json").stat().st_mtime_ns == before


def test_blocks_have_the_length_that_is_asked_for(tokenizer, segmenter, tmp_path):
    """By both ways; the one block of a short text may be shorter."""
    text = tmp_path / "text.txt"
    text.write_text("今天天气很好。\n", encoding="utf-8")
    short = {"length": 32, "segmenter": segmenter, "progress": False}
    build_blocks(text, tokenizer, tmp_path / "short", **short)
    text.write_text("今天天气很好。\n" * 9, encoding="utf-8")
    build_blocks(text, tokenizer, tmp_path / "long", **short)
    for read in (load_blocks, partial(cached, tokenizer=tokenizer, home=tmp_path / "home")):
        for length in (32, 64):
            assert len(read(tmp_path / "short", length=length)[0]["input_ids"]) == 10
        assert len(read(tmp_path / "long", length=32)) == 3
        for folder, length, made in (("long", 64, 32), ("long", 16, 32), ("short", 8, 10)):
            with pytest.raises(CourseError, match=f"blocks of {made} tokens, not {length}"):
                read(tmp_path / folder, length=length)
    assert len(load_blocks(tmp_path / "long")) == 3


def test_nothing_but_earlier_blocks_gives_way_to_blocks(corpus, tokenizer, segmenter, tmp_path):
    before = {file.name: file.read_bytes() for file in corpus.iterdir()}
    done = minirbt("pack", corpus, "--output", corpus)
    assert done.returncode == 1 and "they would be lost" in done.stderr
    assert {file.name: file.read_bytes() for file in corpus.iterdir()} == before
    settings = {"length": 32, "segmenter": segmenter, "progress": False}
    first = build_blocks(corpus / "law.txt", tokenizer, tmp_path / "blocks", **settings)
    again = build_blocks(corpus / "food.txt", tokenizer, tmp_path / "blocks", **settings)
    assert first[0] != again[0] == load_blocks(tmp_path / "blocks")[0]
    (tmp_path / "blocks" / "data-00000-of-00001.arrow").rename(tmp_path / "blocks" / "data-00000-of-00002.arrow")
    with pytest.raises(CourseError, match="they would be lost"):  # what `minirbt shard` made in days
        build_blocks(corpus, tokenizer, tmp_path / "blocks", **settings)


def test_every_file_of_a_list_gets_references_of_its_own(corpus, tokenizer, segmenter, tmp_path):
    names = ["law", "food"]
    (tmp_path / "data.json").write_text(json.dumps({"train": {"train_files": [f"corpus/{one}.txt" for one in names]}}))
    done = minirbt("references", tmp_path / "data.json", tmp_path / "refs")
    assert done.returncode == 0, done.stderr
    for name in names:
        expected = write_references(corpus / f"{name}.txt", tmp_path / "alone", segmenter, tokenizer, progress=False)
        assert (tmp_path / "refs" / f"{name}.ref").read_bytes() == expected.read_bytes()


def test_references_never_take_the_place_of_a_text_or_of_others(corpus, tmp_path):
    law = corpus / "law.txt"
    before = law.read_bytes()
    done = minirbt("references", law, corpus / ".." / "corpus" / "law.txt")
    assert done.returncode == 1 and "take the place of the text" in done.stderr and law.read_bytes() == before
    shutil.copytree(corpus, tmp_path / "other")
    (tmp_path / "data.json").write_text(json.dumps({"train": {"train_files": ["corpus/law.txt", "other/law.txt"]}}))
    done = minirbt("references", tmp_path / "data.json", tmp_path / "refs")
    assert done.returncode == 1 and "in one file" in done.stderr and not (tmp_path / "refs").exists()


def test_a_folder_without_blocks_is_refused(tmp_path):
    with pytest.raises(CourseError, match="no blocks in this folder"):
        load_blocks(tmp_path)


LITTLE_ROOM = """
import resource, signal, sys
from minirbt_helpers.errors import CourseError
from minirbt_helpers.models import load_tokenizer
from minirbt_helpers.text import build_blocks, load_segmenter, write_references
from minirbt_helpers.workspace import resolve
tokenizer, cutter = load_tokenizer("data_samples/models/teacher"), load_segmenter("data_samples/models/segmenter")
text = resolve("data_samples/corpus/train/law.txt")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))
for action in (
    lambda: write_references(text, sys.argv[1] + "/refs", cutter, tokenizer, progress=False),
    lambda: build_blocks(text, tokenizer, sys.argv[1] + "/blocks", length=32, segmenter=cutter, progress=False),
):
    try:
        action()
    except CourseError as problem:
        print(problem.what)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX systems")
def test_no_room_on_disk_leaves_nothing(tmp_path):
    command = [sys.executable, "-c", LITTLE_ROOM, str(tmp_path)]  # files of 2 kB at most
    done = subprocess.run(command, capture_output=True, text=True)
    assert [line[:17] for line in done.stdout.splitlines()] == 2 * ["cannot write here"], done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_vocabulary_that_does_not_fit_is_refused(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(type(tokenizer), "get_vocab", lambda _: {"天": 2**16})
    with pytest.raises(CourseError, match="does not fit 16-bit ids"):
        list(pack([], tokenizer, 16))


# --- the command line -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_references_and_pack_from_the_command_line(tmp_path, corpus):
    (tmp_path / "own.txt").write_text("魑魅魍魉大饭店\n", encoding="utf-8")
    (corpus / "law.txt").write_text("魑魅魍魉大饭店开张了\n", encoding="utf-8")
    run = partial(CliRunner().invoke, app, catch_exceptions=False)
    done = run(["references", str(corpus), str(tmp_path / "refs"), "--words", str(tmp_path / "own.txt")])
    assert done.exit_code == 0 and (tmp_path / "refs" / "law.ref").read_text().startswith("[2, 3, 4, 5, 6, 7")
    done = run(["pack", str(corpus), "--references", str(tmp_path / "refs"), "--output", str(tmp_path / "blocks")])
    assert done.exit_code == 0 and len(load_blocks(tmp_path / "blocks")) > 3
    entry = {"train_files": [str(corpus / "law.txt")], "train_ref_files": [str(tmp_path / "refs" / "law.ref")]}
    (tmp_path / "data.json").write_text(json.dumps({"train": entry}))
    done = run(["pack", str(tmp_path / "data.json"), "--output", str(tmp_path / "listed"), "--length", "8"])
    assert done.exit_code == 0 and len(load_blocks(tmp_path / "listed")) == 2
