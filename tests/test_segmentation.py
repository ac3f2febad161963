"""Laws of segmentation: the perceptron and neural LTP behind one Segmenter, from a folder and from a hub."""

import json
import os
import pickle
import shutil
import subprocess
import sys

import pytest
import torch
from conftest import examples
from hub_server import serve
from hypothesis import given
from hypothesis import strategies as st
from neural_ltp import config, make_neural_ltp
from safetensors.torch import save_file

from minirbt_helpers.errors import CourseError
from minirbt_helpers.models import load_tokenizer
from minirbt_helpers.text import load_segmenter, read_lines, word_spans
from minirbt_helpers.text.segmentation import NEURAL_TOKENS, split_long

CHARACTERS = st.sampled_from("今天气很好我们去北京的大学 ABc12.,，。！é👏\u2028\u0000\ufffd\u3000郯Ⅷ１한\u200b\u0301")
LINES = st.text(CHARACTERS, max_size=60) | st.text(max_size=40)
ODD = [
    "",
    "  ",
    "\u0000",
    "\u200b今天\u0000天气",
    "ok 你好 ",
    "한국어 한국어",
    "👨‍👩‍👧 e\u0301",
    "a\u2028b",
    "今天" * 600,
    "x" * 3000,
]
SENTENCE = "今天天气很好，我们去公园散步。"


@pytest.fixture(scope="session")
def neural_folder(tmp_path_factory):
    """A neural LTP with random weights, in LTP's own format."""
    return make_neural_ltp(
        tmp_path_factory.mktemp("hub") / "LTP" / "tiny", load_tokenizer("data_samples/models/teacher")
    )


@pytest.fixture(scope="session")
def neural(neural_folder):
    return load_segmenter(neural_folder)


@pytest.fixture(params=["perceptron", "neural"])
def either(request, segmenter):
    """Both kinds of segmenter, one after the other."""
    return segmenter if request.param == "perceptron" else request.getfixturevalue("neural")


def bare(text: str) -> str:
    return "".join(text.split())


# --- words ----------------------------------------------------------------------------------------------------------


def test_segmenter_knows_the_example(segmenter):
    assert segmenter(["今天天气很好"])[0][:2] == ["今天", "天气"]


def test_the_neural_model_cuts(neural):
    text = "".join(read_lines("data_samples/corpus/heldout/weather.txt"))[:400]
    assert 100 < len(neural([text])[0]) < 380


@examples(300)
@given(texts=st.lists(LINES, max_size=4))
def test_words_joined_give_the_line_back(segmenter, texts):
    assert ["".join(row) for row in segmenter(texts)] == [bare(text) for text in texts]


@examples(60)
@given(texts=st.lists(LINES, max_size=4))
def test_neural_words_joined_give_the_line_back(neural, texts):
    rows = neural(texts)
    assert ["".join(row) for row in rows] == [bare(text) for text in texts]
    assert all(word and not any(map(str.isspace, word)) for row in rows for word in row)


def test_odd_lines_come_back_whole(either):
    rows = either(ODD)
    assert ["".join(row) for row in rows] == [bare(text) for text in ODD]
    for text, row in zip(ODD, rows, strict=True):
        assert len(word_spans(text, row)) == len(row)


def test_a_batch_cuts_as_its_lines_alone(either):
    texts = [line for name in ("weather", "law") for line in read_lines(f"data_samples/corpus/heldout/{name}.txt")][:40]
    assert either(texts) == [either([text])[0] for text in texts]
    assert ["".join(words) for words in either(texts)] == [bare(text) for text in texts]


def test_blanks_end_words_and_spoil_nothing(segmenter):
    assert segmenter(["今天天气很好 ok 今天天气很好"])[0][:2] == ["今天", "天气"] == segmenter(["\u3000今天天气"])[0]


def test_what_the_model_drops_does_not_spoil_the_rest(neural):
    assert neural(["\u0000" + SENTENCE])[0] == ["\u0000", *neural([SENTENCE])[0]]


@pytest.mark.slow
def test_own_words_are_kept_together(neural_folder):
    for folder in ("data_samples/models/segmenter", neural_folder):
        plain = load_segmenter(folder)(["魑魅魍魉大饭店开张了"])[0]
        own = load_segmenter(folder, words=["魑魅魍魉大饭店"])(["魑魅魍魉大饭店开张了"])[0]
        assert "魑魅魍魉大饭店" in own and "魑魅魍魉大饭店" not in plain


def test_a_single_text_is_refused(segmenter):
    with pytest.raises(CourseError, match="takes a list"):
        segmenter("今天")


@pytest.mark.slow
def test_a_segmenter_travels_to_other_processes(neural_folder):
    for folder, own in (("data_samples/models/segmenter", ["魑魅魍魉大饭店"]), (neural_folder, [])):
        made = load_segmenter(folder, words=own)
        texts = ["魑魅魍魉大饭店开张了", SENTENCE]
        assert pickle.loads(pickle.dumps(made))(texts) == made(texts)


# --- long lines -----------------------------------------------------------------------------------------------------


def by_character(text: str) -> list[tuple[int, int]]:
    return [(place, place + 1) for place, char in enumerate(text) if not char.isspace()]


@examples(200)
@given(text=st.text(st.sampled_from("天气好 。，！x"), max_size=120), limit=st.integers(1, 30))
def test_long_lines_are_cut_at_the_limit_and_lose_nothing(text, limit):
    pieces = list(split_long(text, by_character, limit))
    assert "".join(pieces) == text
    assert all(len(by_character(piece)) <= limit for piece in pieces)


def test_long_lines_are_cut_at_sentence_ends():
    text = SENTENCE * 20 + "没有句号的一段，" * 30 + "天" * 100
    pieces = list(split_long(text, by_character, 40))
    assert "".join(pieces) == text
    assert [piece[-1] for piece in pieces[:10]] == ["。"] * 10
    assert pieces[10][-1] == "，" and len(pieces[-2]) == 40


def test_neural_pieces_fit_the_model_even_where_a_character_is_several_tokens(neural, neural_folder):
    from transformers import BertTokenizer

    tokenizer = BertTokenizer.from_pretrained(neural_folder)
    text = SENTENCE * 100 + "한국어" * 400 + "é" * 700 + "1234567890" * 90
    pieces = list(neural._pieces(text))
    assert "".join(pieces) == text
    assert max(len(ids) for ids in tokenizer(pieces, add_special_tokens=False)["input_ids"]) <= NEURAL_TOKENS
    assert "".join(neural([text])[0]) == text


def test_a_long_line_is_cut_as_its_sentences_are(neural):
    count = NEURAL_TOKENS // len(SENTENCE)
    assert neural([SENTENCE * 3 * count])[0] == 3 * neural([SENTENCE * count])[0]


# --- where it comes from --------------------------------------------------------------------------------------------

FETCH = """
import json, sys
from minirbt_helpers.errors import CourseError
from minirbt_helpers.text import load_segmenter
for name in sys.argv[2:]:
    try:
        print(json.dumps(load_segmenter(name)([sys.argv[1]])[0]))
    except CourseError as problem:
        print(json.dumps(str(problem)))
"""


def fetched(names: list[str], cache, address: str) -> list:
    """What a process of its own gets from a hub for each name: words, or an error."""
    settings = {**os.environ, "HF_HOME": str(cache), "HF_ENDPOINT": address}
    command = [sys.executable, "-c", FETCH, SENTENCE, *names]
    done = subprocess.run(command, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(map(json.loads, done.stdout.splitlines()))


@pytest.mark.slow
def test_a_hub_hands_out_the_same_model(neural, neural_folder, tmp_path):
    words = neural([SENTENCE])[0]
    names = ["LTP/tiny", "LTP/tiny@v1", "LTP/tiny@v9", "LTP/huge"]
    with serve(neural_folder.parent.parent, revisions=("v1",)) as (address, requests):
        plain, fixed, no_revision, no_model = fetched(names, tmp_path, address)
    assert plain == fixed == words
    assert "no revision 'v9'" in no_revision and "no model 'LTP/huge'" in no_model
    assert any("/api/models/LTP/tiny/revision/v1" in request for request in requests)


def test_a_model_may_come_as_safetensors(neural, neural_folder, tmp_path):
    folder = shutil.copytree(neural_folder, tmp_path / "ltp")
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    save_file({name: weight.clone() for name, weight in weights.items()}, folder / "model.safetensors")
    (folder / "pytorch_model.bin").unlink()
    assert load_segmenter(folder)([SENTENCE]) == neural([SENTENCE])


def test_heads_of_other_tasks_are_left_alone(neural, neural_folder, tmp_path):
    folder = shutil.copytree(neural_folder, tmp_path / "ltp")
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    torch.save(weights | {"task_heads.pos.classifier.weight": torch.zeros(2, 2)}, folder / "pytorch_model.bin")
    settings = json.loads((folder / "config.json").read_text())
    settings["model"]["heads"]["pos"] = {"_ltp_target_": "ltp_core.models.components.token.MLPTokenClassifier"}
    settings["vocabs"]["pos"] = ["n", "v"]
    (folder / "config.json").write_text(json.dumps(settings))
    assert load_segmenter(folder)([SENTENCE]) == neural([SENTENCE])


def test_missing_weights_are_refused(neural_folder, tmp_path):
    folder = shutil.copytree(neural_folder, tmp_path / "ltp")
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    torch.save(dict(list(weights.items())[3:]), folder / "pytorch_model.bin")
    with pytest.raises(CourseError, match="weights are missing"):
        load_segmenter(folder)


class Bomb:
    """Unpickled, it would run a command."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def test_weights_never_run_code(neural_folder, tmp_path):
    folder = shutil.copytree(neural_folder, tmp_path / "ltp")
    torch.save({"weight": Bomb(tmp_path / "ran")}, folder / "pytorch_model.bin")
    with pytest.raises(CourseError, match="more than tensors"):
        load_segmenter(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "ltp_core_evil.run",
        "transformers.utils.import_utils.os.system",  # another module's, reached through a trusted one
        "ltp_core.models.utils.instantiate.importlib.import_module",
        "ltp_core.models.utils.instantiate.instantiate",  # would look for names under another key
        "transformers.AutoModel.from_pretrained",  # would fetch and trust
        "ltp_core.models.ltp_model.torch.nn.Linear",  # a module, but not theirs
        "transformers.no_such_thing",
        7,
    ],
)
def test_a_config_that_runs_foreign_code_is_refused(tmp_path, target):
    settings = config(100)
    settings["model"]["processor"]["cws"] = {"deep": [{"_ltp_target_": target, "command": "true"}]}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(CourseError, match="asks to import and run") as caught:
        load_segmenter(tmp_path)
    assert repr(target) in str(caught.value)


def test_a_folder_that_is_no_segmenter_is_refused(tmp_path, neural_folder):
    with pytest.raises(CourseError, match="not an LTP model"):
        load_segmenter(tmp_path)
    with pytest.raises(CourseError, match="no such model folder"):
        load_segmenter(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(CourseError, match="not an LTP model"):
        load_segmenter(tmp_path)
    (tmp_path / "config.json").write_text('{"nerual": false, "tasks": {"cws": "gone.bin"}}')
    with pytest.raises(CourseError, match=r"gone\.bin is missing"):
        load_segmenter(tmp_path)
    (tmp_path / "config.json").write_text('{"nerual": true, "model": {}}')
    with pytest.raises(CourseError, match="not a neural LTP model"):
        load_segmenter(tmp_path)
    shutil.copytree(neural_folder, tmp_path / "ltp")
    (tmp_path / "ltp" / "pytorch_model.bin").unlink()
    with pytest.raises(CourseError, match=r"no model\.safetensors and no pytorch_model\.bin"):
        load_segmenter(tmp_path / "ltp")
