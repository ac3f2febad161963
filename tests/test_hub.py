"""Laws of the hub: what it hands out arrives whole, or one sentence says why not. A real server, real HTTP."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from datasets import Dataset
from hub_server import Faults, serve
from safetensors.torch import load_file, save_file

from minirbt_helpers.errors import CourseError
from minirbt_helpers.models import load_model

pytestmark = pytest.mark.slow  # processes, training or notebooks

WEIGHTS, CONFIG = "model.safetensors", "config.json"
NOWHERE = "http://127.0.0.1:9"  # nobody answers there
FETCH = """
import json, resource, sys
from minirbt_helpers.errors import CourseError
from minirbt_helpers.hub import fetch_model, open_dataset
if limit := int(sys.argv[1]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for name in sys.argv[2:]:
    try:
        kind, _, rest = name.partition(":")
        name, *part = rest.split(",")
        print(json.dumps(str(fetch_model(name)) if kind == "model" else len(open_dataset(name, *part, None))))
    except CourseError as problem:
        print(json.dumps(str(problem)))
"""


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    """A hub with a model (large enough to be fetched in pieces) and a dataset."""
    home = tmp_path_factory.mktemp("hub")
    model = home / "some" / "model"
    model.mkdir(parents=True)
    (model / CONFIG).write_text('{"model_type": "bert"}')
    (model / WEIGHTS).write_bytes(os.urandom(24_000_000))
    table = home / "datasets" / "some" / "wiki"
    Dataset.from_dict({"text": ["一", "二"]}).to_parquet(table / "zh" / "train.parquet")
    settings = "---\nconfigs:\n- config_name: zh\n  data_files:\n  - split: train\n    path: zh/train.parquet\n---\n"
    (table / "README.md").write_text(settings)
    return home


def fetched(address: str, cache: Path, *names: str, limit: int = 0, **environment: str) -> list[str]:
    """What a process of its own gets for each name from the hub at an address: a folder, or an error."""
    settings = {**os.environ, "HF_HOME": str(cache), "HF_ENDPOINT": address, **environment}
    command = [sys.executable, "-c", FETCH, str(limit), *names]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return list(map(json.loads, done.stdout.splitlines()))


def same(folder: str, home: Path) -> bool:
    return all(
        (Path(folder) / name).read_bytes() == (home / "some/model" / name).read_bytes() for name in (WEIGHTS, CONFIG)
    )


def test_a_download_that_breaks_off_goes_on_where_it_stopped(home, tmp_path):
    with serve(home, faults=Faults(cut={WEIGHTS: 2})) as (address, requests):
        (folder,) = fetched(address, tmp_path, "model:some/model")
    assert same(folder, home)
    starts = [
        request.partition("bytes=")[2] for request in requests if f"{WEIGHTS}" in request and "/store/" in request
    ]
    assert len(starts) == 3 and not starts[0] and all(int(start.strip("-")) > 1_000_000 for start in starts[1:])


def test_a_download_that_was_given_up_keeps_what_is_whole(home, tmp_path):
    """Here no file may be larger than a megabyte; the next process fetches the large file alone."""
    with serve(home) as (address, requests):
        (refused,) = fetched(address, tmp_path, "model:some/model", limit=1_000_000)
        assert "the disk is full" in refused and "HF_HOME" in refused
        done = len(requests)
        (folder,) = fetched(address, tmp_path, "model:some/model")
    assert same(folder, home)
    assert not [request for request in requests[done:] if request.startswith("GET") and request.endswith(CONFIG)]


def test_a_wrong_checksum_is_refused_and_the_next_run_fetches_anew(home, tmp_path):
    faults = Faults(corrupt={WEIGHTS})
    with serve(home, faults=faults) as (address, _):
        (refused,) = fetched(address, tmp_path, "model:some/model")
        assert f"{WEIGHTS}: the file is damaged" in refused and "run again" in refused
        faults.corrupt.clear()
        (folder,) = fetched(address, tmp_path, "model:some/model")
        assert same(folder, home)
        (Path(folder) / CONFIG).resolve().write_text("{}")  # the disk's fault this time
        assert f"{CONFIG}: the file is damaged" in fetched(address, tmp_path, "model:some/model")[0]


def test_what_the_hub_lacks_is_said_in_one_sentence(home, tmp_path):
    with serve(home, faults=Faults(gone={CONFIG})) as (address, _):
        names = ["model:some/model", "model:some/other", "model:some/model@v9", "model:not//an/id"]
        tables = ["some/wiki,fr,train", "some/wiki,zh,dev", "some/other,zh,train", "some/wiki,zh,train"]
        said = fetched(address, tmp_path, *names, *(f"dataset:{table}" for table in tables))
    for expected, message in zip(
        [
            f"{CONFIG} of 'some/model' is missing on the hub",
            "the hub has no model 'some/other'",
            "'some/model' has no revision 'v9'",
            "no such model folder",
            "Available: ['zh']",
            "Should be one of ['train']",
            "the hub has no dataset 'some/other'",
        ],
        said[:-1],
        strict=True,
    ):
        assert expected in message and "\n  -> " in message and message.count("\n") == 1
    assert said[-1] == 2


def test_without_a_network_what_was_fetched_before_is_used(home, tmp_path):
    both = ["model:some/model", "dataset:some/wiki,zh,train"]
    with serve(home) as (address, requests):
        before = fetched(address, tmp_path, *both)
        asked = len(requests)
        assert fetched(address, tmp_path, *both, HF_HUB_OFFLINE="1") == before and len(requests) == asked
        refused = fetched(address, tmp_path, "model:some/other", HF_HUB_OFFLINE="1")[0]
        assert "was not downloaded before, and HF_HUB_OFFLINE keeps off the network" in refused
    kept, refused = fetched(NOWHERE, tmp_path, "model:some/model", "model:some/other")
    assert kept == before[0] and f"cannot fetch 'some/other' from {NOWHERE}" in refused and "HF_ENDPOINT" in refused


# --- what lies in the folder ----------------------------------------------------------------------------------------


class Bomb:
    """Unpickled, it would run a command."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


@pytest.fixture
def student(tmp_path) -> Path:
    return Path(shutil.copytree("data_samples/models/student", tmp_path / "student"))


def test_a_model_may_come_as_a_pickle_of_tensors_and_of_nothing_else(student, tmp_path):
    weights = load_file(student / WEIGHTS)
    (student / WEIGHTS).unlink()
    torch.save(weights, student / "pytorch_model.bin")
    assert all(
        torch.equal(weights[name], one) for name, one in load_model(student).state_dict().items() if name in weights
    )
    for content in ({"weight": Bomb(tmp_path / "ran")}, Bomb(tmp_path / "ran")):
        torch.save(content, student / "pytorch_model.bin")
        with pytest.raises(CourseError, match="more than tensors"):
            load_model(student)
    (student / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(CourseError):
        load_model(student)
    assert not (tmp_path / "ran").exists()


def test_weights_that_are_not_whole_are_refused(student):
    weights = load_file(student / WEIGHTS)
    save_file(
        {name: one for name, one in weights.items() if "layer.3" not in name}, student / WEIGHTS, {"format": "pt"}
    )
    with pytest.raises(CourseError, match=r"weights are missing: bert\.encoder\.layer\.3"):
        load_model(student)
    save_file({name: one for name, one in weights.items() if "cls" not in name}, student / WEIGHTS, {"format": "pt"})
    with pytest.warns(UserWarning, match="no MLM head"):
        load_model(student)
    (student / WEIGHTS).write_bytes((student / WEIGHTS).read_bytes()[:10_000])
    with pytest.raises(CourseError, match="not a folder that BertForMaskedLM can read"):
        load_model(student)
