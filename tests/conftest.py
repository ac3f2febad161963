"""What several tests need: the shipped models, a small recipe, real data where it is at hand."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("MINIRBT_HEADLESS", "1")
ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data beside the checkout, which is no part of the project."""
    if not (SHARED / "golden").is_dir():
        pytest.skip("no ../shared beside the checkout: nothing real to compare with")
    return SHARED


@pytest.fixture(scope="session")
def tokenizer():
    from minirbt_helpers.models import load_tokenizer

    return load_tokenizer("data_samples/models/teacher")


@pytest.fixture(scope="session")
def segmenter():
    from minirbt_helpers.text import load_segmenter

    return load_segmenter("data_samples/models/segmenter")


@pytest.fixture(scope="session")
def teacher():
    from minirbt_helpers.models import load_model

    return load_model("data_samples/models/teacher")


@pytest.fixture(scope="session")
def blocks(tokenizer, segmenter, tmp_path_factory):
    """The held-out sample text in blocks of 32 tokens."""
    from minirbt_helpers.text import build_blocks

    folder = tmp_path_factory.mktemp("blocks") / "blocks"
    return build_blocks(
        "data_samples/corpus/heldout", tokenizer, folder, length=32, segmenter=segmenter, progress=False
    )


@pytest.fixture
def recipe(tmp_path):
    """A recipe of a few small steps."""
    from minirbt_helpers.recipe import load_recipe

    return load_recipe(
        "sample", steps=6, batch_size=4, micro_batch=2, evaluate_every=3, checkpoint_every=2, output_dir=str(tmp_path)
    )
