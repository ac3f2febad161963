"""Where a smaller model starts: from some of its teacher's layers (notebook 03).

Source: README of iflytek/MiniRBT, which starts RBT6 from the teacher's first six layers. (The
public script copies layers 0, 2, 4, 7, 9, 11 and leaves the MLM head out; we follow the README.)
"""

import pickle
from collections.abc import Iterable
from copy import deepcopy
from itertools import count
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import BertConfig, BertForMaskedLM, BertTokenizer, PreTrainedTokenizerBase
from transformers.models.bert.modeling_bert import BertAttention

from ..errors import CourseError, note, some
from ..hub import fetch_model, require_tokenizer, vocabulary_size
from ..lines import read_lines
from ..marks import SETTING, restore_known_marks, write_known_marks
from ..sniffing import require_config, require_weights, require_whole
from ..workspace import quiet_transformers, resolve

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # entries of every BERT's vocabulary
# Found by trying, at sample scale:
NORM = 0.5  # length of a word's vector and of a position's when they start from counts
SPEEDS = 0.4, -1.3  # of the positions' waves, from fast to slow: powers of 10, radians per token
SHARPNESS = 2.0  # of the first heads' look at a neighbour


def take_layers(teacher: BertForMaskedLM, layers: Iterable[int] = range(6)) -> BertForMaskedLM:
    """A model made of some of the teacher's layers, with its embeddings and its MLM head.

    A teacher whose decoder differs from its word embeddings hands on both, and a warning says so: transformers
    loads such a checkpoint as it is, although its config says that the two are one.

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
        raise CourseError(
            "layers {layers} of a teacher with {depth}",
            fix="some of 0 to {last}",
            layers=layers,
            depth=depth,
            last=depth - 1,
        )
    config = deepcopy(teacher.config)
    config.num_hidden_layers = len(layers)
    if config.tie_word_embeddings and _has_own_decoder(teacher):
        config.tie_word_embeddings = False
        note("the teacher's decoder is not its word embeddings: both are copied, and stay apart")
    with torch.random.fork_rng(devices=[]):  # the fresh weights are overwritten: leave no trace in the random state
        model = BertForMaskedLM(config)
    theirs = teacher.state_dict()
    model.load_state_dict({name: theirs[_source(name, layers)] for name in model.state_dict()})
    return model.eval()


def _has_own_decoder(model: BertForMaskedLM) -> bool:
    """Whether the decoder holds other numbers than what it is tied to, word embeddings and bias."""
    head, words = model.cls.predictions, model.bert.embeddings.word_embeddings
    return not (torch.equal(head.decoder.weight, words.weight) and torch.equal(head.decoder.bias, head.bias))


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
            "embeddings of {theirs} cannot start those of {ours}",
            fix="a student that is not wider than its teacher, with the same vocabulary",
            theirs=tuple(words.shape),
            ours=tuple(ours.word_embeddings.weight.shape),
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
    """Start a random model from which tokens of a text stand near which, in place.

    The word embeddings become the first singular vectors of the table of positive pointwise mutual
    information, all of one length; the bias of the MLM head becomes the logarithm of the tokens' frequencies.
    The last dimensions, as many as a head has, are left to the positions, sines and cosines. That lets the
    heads of the first layer look at a neighbour from the start, half of them one token back and half one
    ahead, and hand on the leading dimensions of what stands there. Without all this a small BERT spends its
    first millions of tokens on finding out that neighbours matter. Heads that leave no room for that (see
    :func:`_pairs`) start as they are, and words have all dimensions.

    Args:
        model: changed.
        tokens: the text's ids, [tokens].
        ignored: ids that count for nothing ([CLS], [SEP] …).
        window: how far two tokens stand near each other.
        seed: of the decomposition's random start.

    Source: Levy and Goldberg, "Neural Word Embedding as Implicit Matrix Factorization" (NeurIPS 2014).
    """
    embeddings, config = model.bert.embeddings, model.config
    words = embeddings.word_embeddings.weight
    size, width = words.shape
    pairs = _pairs(config)
    free = width - 2 * pairs  # the other dimensions tell the place
    near = _neighbours(tokens, size, list(ignored), window)  # [size, size]
    each = near.sum(0)
    information = near.mul_(each.sum()).div_(each[:, None]).div_(each).log_()
    information.clamp_(min=0).nan_to_num_(0, posinf=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vectors, strengths, _ = torch.svd_lowrank(information, q=free)
    vectors = vectors * strengths.sqrt()
    vectors = F.normalize(vectors - vectors.mean(0), dim=1) * NORM
    known = (each > 0)[:, None]  # a token that is never read keeps its random start
    words[:, :free] = torch.where(known, vectors, words[:, :free])
    if pairs:
        _tell_places(model, pairs)
    frequency = torch.from_numpy(np.bincount(tokens, minlength=size)).float() + 0.5
    model.cls.predictions.bias.copy_((frequency / frequency.sum()).log())


@torch.no_grad()
def look_at_neighbours(model: BertForMaskedLM) -> None:
    """Let a new model look beside a gap from its first step, in place: half of its first heads one token back, half
    one ahead.

    As :func:`start_from_counts`, for word embeddings that are there already, such as inherited ones. These keep their
    leading directions, all at one length. The last dimensions, as many as a head has, are left to the positions, and
    all segments begin alike. A departure of the sample scale: in few steps a student without it says the most frequent
    token everywhere.

    Args:
        model: changed; left as it is where its heads have no room for that (see :func:`_pairs`).
    """
    embeddings = model.bert.embeddings
    words = embeddings.word_embeddings.weight  # [vocabulary, hidden]
    if not (pairs := _pairs(model.config)):
        return
    leading = words[:, : -2 * pairs]
    words[:, : -2 * pairs] = F.normalize(leading - leading.mean(0), dim=1) * NORM
    embeddings.token_type_embeddings.weight.zero_()
    _tell_places(model, pairs)


def _pairs(config: BertConfig) -> int:
    """How many sines and cosines tell a place: as many as fit into a head.

    0, with a note, where a head is one dimension wide, or one alone has them all and would leave none to the words.
    """
    heads, width = config.num_attention_heads, config.hidden_size
    pairs = width // heads // 2
    if 0 < 2 * pairs < width:
        return pairs
    note(
        "no head can look at a neighbour from the start (heads: {heads}, dimensions of each: {size}): that takes two "
        "heads at least, and two dimensions of each",
        heads=heads,
        size=width // heads,
    )
    return 0


def _tell_places(model: BertForMaskedLM, pairs: int) -> None:
    """Waves for positions in the last dimensions, two for each speed, and heads of the first layer that read them."""
    embeddings, speeds = model.bert.embeddings, torch.logspace(*SPEEDS, pairs)
    positions = embeddings.position_embeddings.weight  # [length, hidden]
    embeddings.word_embeddings.weight[:, -2 * pairs :] = 0
    positions.zero_()
    positions[:, -2 * pairs :] = _waves(len(positions), speeds) * NORM
    _look_at_neighbours(model.bert.encoder.layer[0].attention, speeds)


def _neighbours(tokens: NDArray, size: int, ignored: list[int], window: int) -> Tensor:
    """How often two tokens stand at most ``window`` apart: float32, [size, size], symmetric."""
    tokens, counted = tokens.astype(np.int64), ~np.isin(tokens, ignored)
    table = np.zeros(size * size, np.float32)
    for apart in range(1, window + 1):
        both = counted[:-apart] & counted[apart:]
        table += np.bincount((tokens[:-apart] * size + tokens[apart:])[both], minlength=size * size)
    near = torch.from_numpy(table.reshape(size, size))
    return near + near.T


def _waves(length: int, speeds: Tensor) -> Tensor:
    """Sines and cosines of the position, a pair per speed (radians per token): [length, 2 * speeds], of length 1."""
    angles = torch.arange(length)[:, None] * speeds
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1) / len(speeds) ** 0.5


def _look_at_neighbours(attention: BertAttention, speeds: Tensor) -> None:
    """Turn each head's query by one token: sines and cosines of a place, turned by their speeds, are those of the next.

    A query thus agrees most with the key of the neighbour. The first half of the heads looks back, the other ahead.
    """
    query, key, value, output = attention.self.query, attention.self.key, attention.self.value, attention.output.dense
    for dense in (query, key, value, output):
        nn.init.zeros_(dense.weight)  # [out, in]
    place, half = 2 * len(speeds), max(1, attention.self.num_attention_heads // 2)
    for head in range(attention.self.num_attention_heads):
        step = -1 if head < half else 1
        own = slice(first := head * attention.self.attention_head_size, first + place)
        handed = slice(first := head % half * place, first + place)
        sine, cosine = (step * speeds).sin(), (step * speeds).cos()
        turns = [torch.stack([cosine, sine], -1), torch.stack([-sine, cosine], -1)]  # rows of 2 x 2 rotations
        query.weight[own, -place:] = SHARPNESS * torch.block_diag(*torch.stack(turns, 1))
        key.weight[own, -place:] = SHARPNESS * torch.eye(place)
        value.weight[own, handed] = output.weight[handed, own] = torch.eye(place)


def _source(name: str, layers: list[int]) -> str:
    """The teacher's name for a tensor: ``….layer.2.…`` becomes that of the third layer taken."""
    head, layer, tail = name.partition(".layer.")
    if not layer:
        return name
    place, _, rest = tail.partition(".")
    return f"{head}.layer.{layers[int(place)]}.{rest}"


def load_model(name_or_path: str | Path, *, teaches: bool = False, **settings) -> BertForMaskedLM:
    """A masked language model from a folder or the hub, in float32 and ready to use (eval mode).

    Weights come from safetensors, or from a pickle that holds tensors and nothing else. A model published
    without its MLM head gets a random one, and a note says so. Where ``config.json`` is missing, the
    ``bert_config.json`` of Google's own releases counts.

    Args:
        name_or_path: see :func:`~minirbt_helpers.hub.fetch_model`.
        teaches: whether others are to learn from its predictions: then its own MLM head is asked for.
        settings: as for ``from_pretrained``.

    Raises:
        CourseError: no such model, a folder that holds something else, weights that are damaged, missing or code, or
            a teacher without its MLM head.
    """
    folder = fetch_model(name_or_path)
    settings |= _config(folder)
    require_weights(folder)
    model, found = _quietly(BertForMaskedLM, folder, dtype=torch.float32, output_loading_info=True, **settings)
    missing = sorted(found["missing_keys"])
    if any(not name.startswith("cls.") for name in missing):
        raise CourseError(
            "weights are missing: {names}",
            where=folder,
            fix="the model is no BERT, or was not saved whole: give another",
            names=some(missing),
        )
    if missing and teaches:
        raise CourseError(
            "the model was published without its MLM head: its predictions are random, and nothing can be learned",
            where=name_or_path,
            fix="give a teacher with its head; hidden states alone can be learned with a KD weight of 0",
        )
    if missing:
        note("{name_or_path} has no MLM head: it starts at random, and teaches nothing", name_or_path=name_or_path)
    return model.eval()


def _config(folder: Path) -> dict[str, BertConfig]:
    """The configuration under its older name, where the newer one is missing."""
    older = folder / "bert_config.json"
    if (folder / "config.json").is_file() or not older.is_file():
        require_config(folder)
        return {}
    require_whole(older)
    try:
        return {"config": BertConfig.from_json_file(older)}
    except (OSError, ValueError, TypeError) as problem:
        raise CourseError("no configuration of a BERT ({problem})", where=older, problem=problem) from problem


def load_tokenizer(name_or_path: str | Path, known_marks: bool = False) -> PreTrainedTokenizerBase:
    """The BERT tokenizer that lies beside a model.

    A vocabulary that was edited is taken as it is: of an entry that stands there twice the later number counts, and a
    note names it.

    Args:
        name_or_path: as for :func:`load_model`.
        known_marks: read “ ” ‘ ’ — …, where the vocabulary lacks them, as marks that it has (see ``marks.py``).

    Raises:
        CourseError: no tokenizer there, or files that are none.
    """
    folder = fetch_model(name_or_path)
    require_tokenizer(folder)
    if not (folder / "tokenizer.json").is_file():
        _check_vocabulary(folder / "vocab.txt")
    tokenizer = restore_known_marks(_quietly(BertTokenizer, folder))
    return write_known_marks(tokenizer) if known_marks and SETTING not in tokenizer.init_kwargs else tokenizer


def tokenizer_beside(folder: str | Path) -> PreTrainedTokenizerBase | None:
    """The tokenizer in a model's folder; None: there is none, or no folder (``""``)."""
    there = folder and any((resolve(folder) / name).is_file() for name in ("tokenizer.json", "vocab.txt"))
    return load_tokenizer(folder) if there else None


def check_tokenizer(model: BertForMaskedLM, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that is not the model's: another than lies beside it, or one with more entries than it has.

    Raises:
        CourseError: with both sizes, or the first entry that differs.
    """
    if (size := vocabulary_size(tokenizer)) > model.config.vocab_size:
        raise CourseError(
            "the tokenizer has {size} entries, the model {entries}",
            where=model.config.name_or_path,
            fix="use the tokenizer that lies beside the model (--teacher names its folder)",
            size=size,
            entries=model.config.vocab_size,
        )
    own = tokenizer_beside(model.config.name_or_path)
    if own and own.get_vocab() != tokenizer.get_vocab():
        theirs, ours = ({number: entry for entry, number in one.get_vocab().items()} for one in (own, tokenizer))
        place = next(number for number in count() if theirs.get(number) != ours.get(number))
        raise CourseError(
            "another tokenizer lies beside the model: entry {place} is {theirs!r} there, and {ours!r} here",
            where=model.config.name_or_path,
            fix="use the tokenizer that lies beside the model (--teacher names its folder)",
            place=place,
            theirs=theirs.get(place, ""),
            ours=ours.get(place, ""),
        )


def _check_vocabulary(file: Path) -> None:
    """Refuse a vocabulary without BERT's special entries, and name entries that stand there twice."""
    entries = list(read_lines(file))
    if missing := [entry for entry in SPECIAL if entry not in entries]:
        raise CourseError(
            "no vocabulary of a BERT: {names} missing",
            where=file,
            fix="one entry a line, as the model was trained with",
            names=", ".join(missing),
        )
    first: dict[str, int] = {}
    twice = [
        f"{entry!r} (lines {first[entry]} and {number})"
        for number, entry in enumerate(entries, 1)
        if number > first.setdefault(entry, number)
    ]
    if twice:
        note("entries that stand there twice: {named}; the later number counts", where=file, named=some(twice))


def _quietly(kind: type, folder: Path, **settings):
    try:
        with quiet_transformers():
            return kind.from_pretrained(folder, **settings)
    except pickle.UnpicklingError as problem:
        raise CourseError(
            "the weights hold more than tensors, and loading them might run code",
            where=folder,
            fix="use a model from a source you trust, or one saved as safetensors",
        ) from problem
    except (OSError, EOFError, ValueError, RuntimeError, TypeError, AttributeError, SafetensorError) as problem:
        reason = " ".join(str(problem).splitlines()[:1])[:160]
        if "mismatched" in reason:
            reason = "config.json describes another model than the one whose weights lie there"
        raise CourseError(
            "not a folder that {kind} can read ({reason})",
            where=folder,
            fix="give a folder written by save_pretrained, with config.json, model.safetensors and the tokenizer",
            kind=kind.__name__,
            reason=reason,
        ) from problem


def check_length(config: BertConfig, length: int) -> None:
    """Refuse blocks that are longer than a model has positions.

    Raises:
        CourseError: with both numbers.
    """
    if length > config.max_position_embeddings:
        raise CourseError(
            "blocks of {length} tokens, and the model has {positions} positions",
            where=config.name_or_path,
            fix="LENGTH = {positions} or less",
            length=length,
            positions=config.max_position_embeddings,
        )
