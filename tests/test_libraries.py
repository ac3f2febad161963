"""Laws where a library does what nobody would guess; findings/ shows some of them in the library alone."""

import ast
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow
import pytest
import torch
from conftest import ROOT
from datasets import Dataset
from tokenizers import Tokenizer
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, BertTokenizer
from typer.testing import CliRunner

from minirbt_helpers.__main__ import app
from minirbt_helpers.errors import CourseError
from minirbt_helpers.hub import open_dataset, save_tokenizer
from minirbt_helpers.lines import read_lines
from minirbt_helpers.marks import tell_unknown
from minirbt_helpers.models import check_tokenizer, load_model, load_tokenizer, prune_vocabulary
from minirbt_helpers.models.pruning import reachable_entries
from minirbt_helpers.tasks import TASKS, Finetuned, f1_score, with_head
from minirbt_helpers.tasks.hub import Hub
from minirbt_helpers.tasks.metrics import tokens
from minirbt_helpers.text.tokens import encoder

STUDENT = "data_samples/models/student"


@pytest.fixture
def tokenizer():
    """Our own: others' calls leave their truncation in a shared one."""
    return load_tokenizer(STUDENT)


def untrained(name: str, tokenizer) -> Finetuned:
    """The shipped student under a fresh head."""
    torch.manual_seed(0)
    task = TASKS[name]
    model = with_head(load_model(STUDENT), task).eval()
    return Finetuned(model, tokenizer, task, ({metric: 0.0 for metric in task.metrics},), 1e-4, 1, 0, 8, 64)


# --- tokenizers keep their last truncation --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cmrc2018", "ocnli", "tnews"])
def test_a_saved_tokenizer_cuts_nothing(tokenizer, tmp_path, name):
    """transformers writes the last call's truncation and padding into tokenizer.json, for all who open it."""
    tuned, long = untrained(name, tokenizer), "我们在河边等船。" * 40
    if name == "cmrc2018":
        tuned.answer("我们在哪里？", long)
    else:
        tuned.predict([long], [long] if name == "ocnli" else None)
    tuned.save(tmp_path / "model")
    alone = Tokenizer.from_file(str(tmp_path / "model" / "tokenizer.json"))
    assert alone.truncation is None and alone.padding is None
    assert alone.encode(long).ids == Finetuned.load(tmp_path / "model").tokenizer(long)["input_ids"]
    assert len(alone.encode(long).ids) == 8 * 40 + 2


@pytest.mark.slow
def test_tokenizers_are_saved_in_one_place():
    """The rooms save through hub.save_tokenizer, which takes truncation and padding off."""
    for file in (ROOT / "minirbt_helpers").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr == "save_pretrained" and file.name != "hub.py":
                assert not re.search("token", ast.unparse(node.value)), f"{file}, line {node.lineno}"


# --- readers of tables guess at types -------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_texts_of_a_hubs_table_stay_texts(tmp_path, ending, monkeypatch):
    """The library datasets makes nothing of NA and null, and 7 of 007."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    mark, texts = {"csv": ",", "tsv": "\t"}[ending], ["NA", "null", "007", "1e3", "3.50", "True", "2024-05-01", "nan"]
    rows = [f"{text}{mark}{number % 2}" for number, text in enumerate(texts)]
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / f"train.{ending}").write_text("\n".join([f"sentence{mark}label", *rows]), encoding="utf-8")
    for streaming in (False, True):
        table = open_dataset(str(tmp_path / "set"), None, "train", None, streaming=streaming)
        assert [row["sentence"] for row in table] == texts
    task = TASKS["chnsenticorp"]
    columns = {task.layout.text: "sentence", task.layout.label: "label"}
    read = replace(task, hub=Hub(str(tmp_path / "set"), columns=columns)).load("hub", "train")
    assert read["text"] == texts and read["label"] == [0, 1] * 4


# --- NLTK's word_tokenize cuts sentences first ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Windows XP. Service Pack 2", "windows|xp|.|service|pack|2"),
        ("windows xp.", "windows|xp|."),
        ("version 2. final", "version|2.|final"),
        ("no. 5", "no|.|5"),
        ("U.S. Army", "u.s.|army"),
        ("9 a.m. today", "9|a.m.|today"),
        ("Dr. Dre feat. Jay", "dr.|dre|feat|.|jay"),
        ("J. K. Rowling", "j.|k.|rowling"),
        ("yes? no", "yes|?|no"),
        ("wait... what", "wait|...|what"),
        ("第5.1版", "第|5.1|版"),
        ("iOS 6. 苹果 Inc. 公司", "ios|6|.|苹|果|inc|.|公|司"),
    ],
)
def test_latin_text_is_cut_as_by_word_tokenize(text, words):
    """The right side is what nltk.word_tokenize with NLTK's English Punkt model gives."""
    assert tokens(text) == words.split("|")


def test_the_cut_of_sentences_decides_a_score():
    assert f1_score("windows xp. service pack", ["windows xp"]) == pytest.approx(2 * 2 / (5 + 2))


# --- a third of BERT's vocabulary can never come out ----------------------------------------------------------------

ENTRIES = [
    "[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "天", "气", "##天", "##气", "a", "##b", "##a", "ab", "!",
    "##!", "a!", "...", "A", "é", "e", "##e", "0", "##0", "，", "##，", "ㄅ", "##ㄅ", "天气", "한",
    "「", "」", "'", "-", "⋯",
]  # fmt: skip


@pytest.fixture
def small_vocabulary(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(ENTRIES), encoding="utf-8")
    return BertTokenizer.from_pretrained(tmp_path)


@pytest.mark.slow
def test_what_can_come_out_is_kept(small_vocabulary):
    kept = [ENTRIES[number] for number in reachable_entries(small_vocabulary)]
    gone = ["[unused1]", "##天", "##气", "##!", "a!", "...", "A", "é", "##，", "天气", "한"]
    assert kept == [entry for entry in ENTRIES if entry not in gone]


EVERY = [chr(code) for code in range(0x32000) if code not in range(0xD800, 0xE000)]


def same_pieces(tokenizer, small, texts: list[str]) -> bool:
    """Whether two tokenizers give the same tokens at the same places, whatever their numbers."""
    pairs = zip(*(one.backend_tokenizer.encode_batch(texts) for one in (tokenizer, small)), strict=True)
    return all(one.tokens == other.tokens and one.offsets == other.offsets for one, other in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [BertForMaskedLM, BertForSequenceClassification])
def test_a_pruned_model_is_the_same_to_the_last_bit(tokenizer, kind):
    model = kind.from_pretrained(STUDENT).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    small, words = prune_vocabulary(model, tokenizer)
    kept = reachable_entries(tokenizer)
    assert len(words) == small.config.vocab_size == len(kept) < len(tokenizer)
    check_tokenizer(small, words)  # beside the model that it was made of lies another
    assert same_pieces(tokenizer, words, ["a".join(EVERY[at : at + 500]) for at in range(0, len(EVERY), 500)])
    assert same_pieces(tokenizer, words, ["".join(EVERY[at : at + 90]) for at in range(0, len(EVERY), 90)])
    texts = ["今天天气很好，我们去公园。", "iPhone 15 Pro 多少钱？[MASK]", "𠮷野家"]
    inputs = [one(texts, padding=True, return_tensors="pt") for one in (tokenizer, words)]
    with torch.no_grad():
        theirs, ours = (model(**inputs[0]).logits, small(**inputs[1]).logits)
    assert torch.equal(theirs[..., kept] if kind is BertForMaskedLM else theirs, ours)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.slow
def test_the_texts_of_the_tasks_are_read_the_same(shared, tmp_path):
    """The published vocabulary, over every line of the real task files."""
    (tmp_path / "vocab.txt").write_bytes((shared / "vocab" / "bert-base-chinese-vocab.txt").read_bytes())
    tokenizer = BertTokenizer.from_pretrained(tmp_path)
    model = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=1,
                                       num_attention_heads=1, intermediate_size=8))  # fmt: skip
    small, words = prune_vocabulary(model, tokenizer)
    assert len(tokenizer) - len(words) > 7400
    assert small.cls.predictions.decoder.weight is small.get_input_embeddings().weight
    for file in sorted((shared / "tasks").rglob("*.*")):
        lines = list(read_lines(file))[:2000]
        assert same_pieces(tokenizer, words, lines), file


@pytest.mark.slow
def test_the_command_prunes_a_folder_and_an_onnx_file(tokenizer, tmp_path):
    untrained("tnews", tokenizer).save(tmp_path / "tuned")
    command = ["export", str(tmp_path / "tuned"), "--prune-vocabulary"]
    done = CliRunner().invoke(app, [*command[:2], str(tmp_path / "small"), command[2]])
    assert done.exit_code == 0, done.output
    small, texts = Finetuned.load(tmp_path / "small"), ["雨停了。", "GPS 定位 5 m"]
    assert small.predict(texts) == Finetuned.load(tmp_path / "tuned").predict(texts)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("small", "tuned")]
    assert sizes[0] < sizes[1] and f"{len(small.tokenizer):,} of {len(tokenizer):,} entries" in done.output
    refused = CliRunner().invoke(app, [*command[:2], str(tmp_path / "other")])
    assert isinstance(refused.exception, CourseError) and "onnx" in refused.exception.fix


# --- marks that the vocabulary lacks ----------------------------------------------------------------------------------


@pytest.fixture
def folder_of_marks(tmp_path, small_vocabulary):
    save_tokenizer(small_vocabulary, tmp_path / "words")
    return tmp_path / "words"


@pytest.mark.slow
def test_marks_are_written_as_the_vocabulary_has_them_and_keep_their_places(folder_of_marks, tmp_path):
    plain, marked = load_tokenizer(folder_of_marks), load_tokenizer(folder_of_marks, known_marks=True)
    text = "天“a”‘天’—…天"
    tokens, places = (marked(text, add_special_tokens=False, return_offsets_mapping=True)[name]
                      for name in ("input_ids", "offset_mapping"))  # fmt: skip
    assert marked.convert_ids_to_tokens(tokens) == ["天", "「", "a", "」", "'", "天", "'", "-", "⋯", "天"]
    assert places == [(at, at + 1) for at in range(len(text))]
    assert plain.tokenize(text).count("[UNK]") == 6
    save_tokenizer(marked, tmp_path / "again")  # transformers builds the normalizer anew: the setting brings it back
    for again in (load_tokenizer(tmp_path / "again"), load_tokenizer(tmp_path / "again", known_marks=True)):
        assert again(text)["input_ids"] == marked(text)["input_ids"]
    assert Tokenizer.from_file(str(tmp_path / "again" / "tokenizer.json")).encode(text).ids == marked(text)["input_ids"]
    assert encoder(marked)([text]).ids.tolist() == tokens and encoder(marked)._tabled
    assert len(reachable_entries(marked)) == len(reachable_entries(plain))


def test_unknown_tokens_are_counted_and_the_way_out_is_named(folder_of_marks):
    plain, marked = load_tokenizer(folder_of_marks), load_tokenizer(folder_of_marks, known_marks=True)
    rows = Dataset.from_dict(plain(["天“a”", "天气"], add_special_tokens=False).data)
    told = tell_unknown(rows, plain)
    assert told.startswith("[UNK]: 2 of 6 tokens (33.33%)") and "“ ” ‘ ’ — …: --known-marks" in told
    assert tell_unknown(rows, marked) == "[UNK]: 2 of 6 tokens (33.33%)"
    assert tell_unknown(rows.select([1]), plain) == ""


def test_pack_tells_of_unknown_tokens(folder_of_marks, tmp_path):
    (tmp_path / "text.txt").write_text("天“气”\n", encoding="utf-8")
    (tmp_path / "text.ref").write_text("[]\n", encoding="utf-8")
    command = ["pack", str(tmp_path / "text.txt"), "--references", str(tmp_path / "text.ref"), "--length", "8"]
    command += ["--teacher", str(folder_of_marks), "--output", str(tmp_path / "blocks")]
    assert "[UNK]: 2 of 7 tokens" in CliRunner().invoke(app, command).output
    assert "[UNK]" not in CliRunner().invoke(app, [*command, "--known-marks"]).output


# --- datasets knows a library by its folder -------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="wants the Python that this environment was made from")
@pytest.mark.parametrize("name", ["lib", "site-packages"])
def test_libraries_in_a_folder_of_ones_own_are_refused_where_they_would_fail(name, tmp_path):
    """As `pip install --target` leaves them: then a dataset cannot even be made, unless the folder's name says it."""
    (tmp_path / name).symlink_to(Path(pyarrow.__file__).parents[1])
    python = Path(sys.base_prefix) / "bin" / "python{}.{}".format(*sys.version_info)
    paths = {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, tmp_path / name)))}
    done = subprocess.run(
        [python, "-m", "minirbt_helpers", "--help"], capture_output=True, text=True, env=os.environ | paths
    )
    if name == "lib":
        assert done.returncode == 1 and f"{tmp_path / name}: datasets and pyarrow lie where" in done.stderr
        assert "site-packages" in done.stderr and "Traceback" not in done.stderr
    else:
        assert done.returncode == 0, done.stderr
