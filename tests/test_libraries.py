"""Laws where a library does what nobody would guess; findings/ shows some of them in the library alone."""

import ast
import re

import pytest
import torch
from conftest import ROOT
from tokenizers import Tokenizer

from minirbt_helpers.models import load_model, load_tokenizer
from minirbt_helpers.tasks import TASKS, Finetuned, with_head

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


def test_tokenizers_are_saved_in_one_place():
    """The rooms save through hub.save_tokenizer, which takes truncation and padding off."""
    for file in (ROOT / "minirbt_helpers").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr == "save_pretrained" and file.name != "hub.py":
                assert not re.search("token", ast.unparse(node.value)), f"{file}, line {node.lineno}"
