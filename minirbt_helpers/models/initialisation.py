"""Where a smaller model starts: from some of its teacher's layers (notebook 03).

Source: README of iflytek/MiniRBT, which starts RBT6 from the teacher's first six layers. (The
public script copies layers 0, 2, 4, 7, 9, 11 and leaves the MLM head out; we follow the README.)
"""

import pickle
import warnings
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor
from transformers import BertForMaskedLM, BertTokenizer, PreTrainedTokenizerBase
from transformers import logging as transformers_logging

from ..errors import CourseError
from ..hub import fetch_model


def take_layers(teacher: BertForMaskedLM, layers: Iterable[int] = range(6)) -> BertForMaskedLM:
    """A model made of some of the teacher's layers, with its embeddings and its MLM head.

    Args:
        teacher: the model to copy from; it is not changed, and no tensor is shared with it.
        layers: which layers, counted from 0, in the order they are to have.

    Returns:
        A new model of the same width. Its tensors equal the teacher's bit for bit.

    Raises:
        CourseError: no layers, or one the teacher does not have.
    """
    layers = list(layers)
    depth = teacher.config.num_hidden_layers
    if not layers or any(not 0 <= layer < depth for layer in layers):
        raise CourseError(f"layers {layers} of a teacher with {depth}", fix=f"some of 0 to {depth - 1}")
    config = deepcopy(teacher.config)
    config.num_hidden_layers = len(layers)
    with torch.random.fork_rng(devices=[]):  # the fresh weights are overwritten: leave no trace in the random state
        model = BertForMaskedLM(config)
    theirs = teacher.state_dict()
    model.load_state_dict({name: theirs[_source(name, layers)] for name in model.state_dict()})
    return model.eval()


@torch.no_grad()
def inherit_embeddings(student: BertForMaskedLM, teacher: BertForMaskedLM) -> None:
    """Start a narrower student's embeddings from the teacher's, in place.

    Word, position and segment embeddings are turned into the teacher's own principal directions
    (the right singular vectors of its word embeddings), of which the student keeps as many as it
    is wide; the bias of the MLM head is copied. A departure of the sample scale: a random student
    needs millions of tokens before it tells one character from another.

    Args:
        student: changed; its hidden size is at most the teacher's.
        teacher: same vocabulary.

    Raises:
        CourseError: a wider student, or another vocabulary.
    """
    width = student.config.hidden_size
    theirs, ours = teacher.bert.embeddings, student.bert.embeddings
    words = theirs.word_embeddings.weight  # [vocabulary, teacher's width]
    if width > words.shape[1] or len(ours.word_embeddings.weight) != len(words):
        raise CourseError(
            f"embeddings of {tuple(words.shape)} cannot start those of {tuple(ours.word_embeddings.weight.shape)}",
            fix="a student that is not wider than its teacher, with the same vocabulary",
        )
    directions = torch.linalg.svd(words - words.mean(0), full_matrices=False).Vh[:width].T  # [teacher's width, width]
    for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
        target = getattr(ours, name).weight
        target.copy_(getattr(theirs, name).weight[: len(target)] @ directions)
    student.cls.predictions.bias.copy_(teacher.cls.predictions.bias)


@torch.no_grad()
def start_from_counts(
    model: BertForMaskedLM, tokens: NDArray, *, ignored: Iterable[int] = (), window: int = 4, seed: int = 0
) -> None:
    """Start a random model's embeddings from which tokens of a text stand near which, in place.

    The word embeddings become the first singular vectors of the table of positive pointwise mutual
    information, as large as BERT's random start has them; positions become sines and cosines; the
    bias of the MLM head becomes the logarithm of the tokens' frequencies. Without it a small
    BERT spends its first millions of tokens on just this.

    Args:
        model: changed.
        tokens: the text's ids, [tokens].
        ignored: ids that count for nothing ([CLS], [SEP] …).
        window: how far two tokens stand near each other.
        seed: of the decomposition's random start.

    Source: Levy and Goldberg, "Neural Word Embedding as Implicit Matrix Factorization" (NeurIPS 2014).
    """
    size, width = model.bert.embeddings.word_embeddings.weight.shape
    scale = model.config.initializer_range
    near = _neighbours(tokens, size, list(ignored), window)  # [size, size]
    each = near.sum(0)
    information = near.mul_(each.sum()).div_(each[:, None]).div_(each).log_()
    information.clamp_(min=0).nan_to_num_(0, posinf=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vectors, strengths, _ = torch.svd_lowrank(information, q=width)
    vectors = vectors * strengths.sqrt()
    vectors -= vectors.mean(0)
    known = (each > 0)[:, None]  # a token that is never read keeps its random start
    words = model.bert.embeddings.word_embeddings.weight
    words.copy_(torch.where(known, vectors * (scale / vectors.std()), words))
    positions = model.bert.embeddings.position_embeddings.weight
    positions.copy_(_waves(*positions.shape) * scale)
    frequency = torch.from_numpy(np.bincount(tokens, minlength=size)).float() + 0.5
    model.cls.predictions.bias.copy_((frequency / frequency.sum()).log())


def _neighbours(tokens: NDArray, size: int, ignored: list[int], window: int) -> Tensor:
    """How often two tokens stand at most ``window`` apart: float32, [size, size], symmetric."""
    tokens, counted = tokens.astype(np.int64), ~np.isin(tokens, ignored)
    table = np.zeros(size * size, np.float32)
    for apart in range(1, window + 1):
        both = counted[:-apart] & counted[apart:]
        table += np.bincount((tokens[:-apart] * size + tokens[apart:])[both], minlength=size * size)
    near = torch.from_numpy(table.reshape(size, size))
    return near + near.T


def _waves(length: int, width: int) -> Tensor:
    """Sines and cosines of the position, from one per token to one per 10,000: [length, width], variance 1/2."""
    speeds = 10_000 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(length)[:, None] * speeds
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :width]


def _source(name: str, layers: list[int]) -> str:
    """The teacher's name for a tensor: ``….layer.2.…`` becomes that of the third layer taken."""
    head, layer, tail = name.partition(".layer.")
    if not layer:
        return name
    place, _, rest = tail.partition(".")
    return f"{head}.layer.{layers[int(place)]}.{rest}"


def load_model(name_or_path: str | Path, **settings) -> BertForMaskedLM:
    """A masked language model from a folder or the hub, in float32 and ready to use (eval mode).

    Weights come from safetensors, or from a pickle that holds tensors and nothing else. A model published
    without its MLM head gets a random one, and a warning says so.

    Raises:
        CourseError: no such model, a folder that holds something else, or weights that are damaged, missing or code.
    """
    folder = fetch_model(name_or_path)
    model, found = _quietly(BertForMaskedLM, folder, dtype=torch.float32, output_loading_info=True, **settings)
    missing = sorted(found["missing_keys"])
    if any(not name.startswith("cls.") for name in missing):
        raise CourseError(
            f"weights are missing: {', '.join(missing[:3])}{' …' * (len(missing) > 3)}",
            where=folder,
            fix="the model is no BERT, or was not saved whole: give another",
        )
    if missing:
        warnings.warn(f"{name_or_path} has no MLM head: it starts at random, and teaches nothing", stacklevel=2)
    return model.eval()


def load_tokenizer(name_or_path: str | Path) -> PreTrainedTokenizerBase:
    """The BERT tokenizer that lies beside a model.

    Raises:
        CourseError: no tokenizer there.
    """
    folder = fetch_model(name_or_path)
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt")):  # else one that knows no word
        raise CourseError(
            "no tokenizer beside the model", where=folder, fix="copy vocab.txt or tokenizer.json of its teacher there"
        )
    return _quietly(BertTokenizer, folder)


def _quietly(kind: type, folder: Path, **settings):
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        return kind.from_pretrained(folder, **settings)
    except pickle.UnpicklingError as problem:
        raise CourseError(
            "the weights hold more than tensors, and loading them might run code",
            where=folder,
            fix="use a model from a source you trust, or one saved as safetensors",
        ) from problem
    except (OSError, ValueError, RuntimeError, TypeError, SafetensorError) as problem:
        raise CourseError(
            f"not a folder that {kind.__name__} can read ({str(problem).splitlines()[0][:160]})",
            where=folder,
            fix="give a folder written by save_pretrained, with config.json, model.safetensors and the tokenizer",
        ) from problem
    finally:
        transformers_logging.set_verbosity(before)
