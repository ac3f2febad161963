"""How alike two models are, measured on sentences both have read (notebook 06).

Sources: Kornblith et al., "Similarity of Neural Network Representations Revisited" (2019) for CKA; Clark
et al., "What Does BERT Look At?" (2019) for the distance between heads. All sums are taken in float64.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ..errors import CourseError
from ..text import is_chinese
from .reading import Reading

Projection = Callable[[Tensor], Tensor]  # from the student's states to the teacher's space: [tokens, width] each
# The teacher's head, the student's (both counted from 0, layer by layer), their distance.
Match = tuple[int, int, float]
KINDS = ("itself", "previous", "next", "[CLS]", "[SEP]", "rest of its word")


# --- hidden states --------------------------------------------------------------------------------------------------


def states(readings: Sequence[Reading], state: int) -> Tensor:
    """One hidden state of all tokens of all sentences, [tokens, width], in float64."""
    return torch.cat([reading.hidden[state] for reading in readings]).double()


def linear_cka(one: Tensor, other: Tensor) -> float:
    """Linear centred kernel alignment of two representations of the same tokens.

    It is 1 where one is the other turned, moved or scaled, and near 0 where they have nothing in common
    (with far more tokens than dimensions).

    Args:
        one, other: [tokens, width], the widths may differ.

    Raises:
        CourseError: different numbers of tokens.
    """
    if len(one) != len(other):
        raise CourseError(f"{len(one)} tokens against {len(other)}", fix="let both models read the same sentences")
    return _aligned(_centred(one), _centred(other))


def cka_matrix(teacher: Sequence[Reading], student: Sequence[Reading]) -> np.ndarray:
    """:func:`linear_cka` of each hidden state of the teacher with each of the student's, [teacher's, student's]."""
    check_sentences(teacher, student)
    theirs, ours = (
        [_centred(states(model, state)) for state in range(len(model[0].hidden))] for model in (teacher, student)
    )
    return np.array([[_aligned(their, our) for our in ours] for their in theirs])


def _centred(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Representations less their mean, [tokens, width], and the norm of their inner products."""
    tokens = tokens.double() - tokens.double().mean(0)
    return tokens, (tokens.T @ tokens).norm()


def _aligned(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> float:
    (one, its_norm), (other, others_norm) = one, other
    shared = (other.T @ one).square().sum()  # no [tokens, tokens] matrix is needed
    return float(shared / (its_norm * others_norm).clamp(min=1e-300))


@dataclass(frozen=True)
class LinearProjection:
    """``states @ weight + bias``, in float64: weight [student's width, teacher's width], bias [teacher's width]."""

    weight: Tensor
    bias: Tensor

    def __call__(self, states: Tensor) -> Tensor:
        return states.double() @ self.weight + self.bias


def fit_projection(student: Tensor, teacher: Tensor) -> LinearProjection:
    """The linear projection that brings the student's states closest to the teacher's (least squares).

    It stands in for the projection that distillation trains, and is the best any such projection could do on
    these tokens: measure it on others.

    Args:
        student, teacher: the same tokens, [tokens, width] each.
    """
    centre, target = student.double().mean(0), teacher.double().mean(0)
    weight = torch.linalg.lstsq(student.double() - centre, teacher.double() - target, driver="gelsd").solution
    return LinearProjection(weight, target - centre @ weight)


@torch.no_grad()
def projected_cosine(student: Tensor, teacher: Tensor, projection: Projection) -> float:
    """The mean cosine between the teacher's states and the student's after a projection, [tokens, width] each."""
    return float(torch.cosine_similarity(projection(student).double(), teacher.double(), dim=-1).mean())


@torch.no_grad()
def hidden_mse(student: Tensor, teacher: Tensor, projection: Projection, mask: Tensor | None = None) -> float:
    """A hidden match as the distillation loss sees it: the mean squared difference after the projection.

    Args:
        student, teacher: [..., tokens, width].
        mask: [..., tokens], 0 at padding. None: every position counts, as in the published code.
    """
    squares = (projection(student).double() - teacher.double()).square().mean(-1)  # [..., tokens]
    mask = torch.ones_like(squares) if mask is None else mask.double()
    return float((squares * mask).sum() / mask.sum())


# --- attention ------------------------------------------------------------------------------------------------------


def head_distances(teacher: Sequence[Reading], student: Sequence[Reading]) -> np.ndarray:
    """How differently two heads look: Jensen-Shannon divergence in bits, the mean over all queries.

    0: the same shares at each token; 1: never at the same tokens.

    Returns:
        [teacher's layers * heads, student's layers * heads], layer by layer.
    """
    check_sentences(teacher, student)
    total, queries = 0.0, 0
    for theirs, ours in zip(teacher, student, strict=True):
        one, other = theirs.attention.flatten(0, 1), ours.attention.flatten(0, 1)  # [heads, tokens, tokens]
        own = (_entropy(one)[:, None] + _entropy(other)[None]) / 2
        mixed = torch.stack([_entropy((head + other) / 2) for head in one])  # [heads, heads]
        total = total + (mixed - own).double()
        queries += one.shape[-1]
    return (total / queries).clamp(0, 1).numpy()


def _entropy(shares: Tensor) -> Tensor:
    """Entropy in bits, summed over queries: [heads, queries, keys] to [heads]."""
    return torch.special.entr(shares).sum((-1, -2)) / np.log(2)


def match_heads(distances: np.ndarray) -> list[Match]:
    """Pair each head with one of its own, so that the sum of the distances is the least possible.

    Args:
        distances: [teacher's heads, student's heads]; where the numbers differ, some heads stay alone.

    Returns:
        (teacher's head, student's head, distance), closest first.
    """
    pairs = zip(*linear_sum_assignment(distances), strict=True)
    matched = [(int(theirs), int(ours), float(distances[theirs, ours])) for theirs, ours in pairs]
    return sorted(matched, key=lambda match: match[2])


def gaze(readings: Sequence[Reading]) -> dict[str, np.ndarray]:
    """Where each head looks: the mean share of attention by kind of token, :data:`KINDS`, each [layers, heads].

    The first five are of all tokens but [CLS] and [SEP]; the last is the share on the other tokens of the
    same word, of tokens in words of two and more. A neighbour within the word counts as both.
    """
    sums = {kind: 0.0 for kind in KINDS}
    counts = dict.fromkeys(KINDS, 0)
    for reading in readings:
        shares, size = reading.attention.double(), reading.attention.shape[-1]
        inner = torch.arange(1, size - 1)
        targets = {"itself": inner, "previous": inner - 1, "next": inner + 1}
        targets |= {"[CLS]": torch.zeros_like(inner), "[SEP]": torch.full_like(inner, size - 1)}
        found = {kind: shares[:, :, inner, keys] for kind, keys in targets.items()}
        same = _same_word(reading).fill_diagonal_(False)
        asking = same.any(1)
        found["rest of its word"] = (shares * same).sum(-1)[..., asking]
        for kind, values in found.items():
            sums[kind] = sums[kind] + values.sum(-1)
            counts[kind] += values.shape[-1]
    return {kind: (sums[kind] / max(1, counts[kind])).numpy() for kind in KINDS}


@dataclass(frozen=True)
class Binding:
    """Attention between neighbouring Chinese characters, within a word and across a boundary.

    Attributes:
        inside, across: the mean share of attention on the neighbour, [sentences, layers, heads].
    """

    inside: np.ndarray
    across: np.ndarray

    @property
    def difference(self) -> np.ndarray:
        """Inside less across, the mean over the sentences, [layers, heads]: 0 for a head that knows no words."""
        return (self.inside - self.across).mean(0)

    @property
    def error(self) -> np.ndarray:
        """The standard error of :attr:`difference` over the sentences, [layers, heads]."""
        return (self.inside - self.across).std(0, ddof=1) / np.sqrt(len(self.inside))

    def half(self, first: bool) -> "Binding":
        """Every other sentence: choose heads on one half, measure them on the other."""
        chosen = slice(0 if first else 1, None, 2)
        return Binding(self.inside[chosen], self.across[chosen])


def word_binding(readings: Sequence[Reading]) -> Binding:
    """How much more a head attends to a neighbour in the same LTP word than to one across a boundary.

    Only pairs of Chinese characters that stand next to each other count, so that distance, punctuation and
    [SEP] play no part. Sentences without both kinds of pair are left out.

    Raises:
        CourseError: no sentence has both.
    """
    inside, across = [], []
    for reading in readings:
        size, labels = len(reading.sentence.labels), reading.sentence.labels
        chinese = torch.tensor([is_chinese(label) for label in labels])
        places = torch.arange(size)
        beside = (places[:, None] - places).abs().eq(1) & chinese[:, None] & chinese
        same = _same_word(reading)
        if (beside & same).any() and (beside & ~same).any():
            shares = reading.attention.double()
            inside.append(shares[:, :, beside & same].mean(-1))
            across.append(shares[:, :, beside & ~same].mean(-1))
    if not inside:
        raise CourseError("no sentence with neighbours inside a word and across", fix="parse with a segmenter")
    return Binding(torch.stack(inside).numpy(), torch.stack(across).numpy())


def check_sentences(one: Sequence[Reading], other: Sequence[Reading]) -> None:
    """Refuse readings of different sentences.

    Raises:
        CourseError: with the first that differ.
    """
    if not one or len(one) != len(other):
        raise CourseError(f"{len(one)} sentences against {len(other)}", fix="let both models read the same sentences")
    for theirs, ours in zip(one, other, strict=True):
        if theirs.sentence.ids != ours.sentence.ids:
            raise CourseError(
                f"different tokens: {theirs.sentence.text[:30]!r} and {ours.sentence.text[:30]!r}",
                fix="parse the sentence once, with the one tokenizer of both models",
            )


def _same_word(reading: Reading) -> Tensor:
    owner = torch.empty(len(reading.sentence.ids), dtype=torch.long)
    for number, places in enumerate(reading.sentence.words):
        owner[list(places)] = number
    return owner[:, None] == owner  # [tokens, tokens]
