"""How alike the hidden states of two models are, on sentences that both have read (notebook 06).

Source: Kornblith et al., "Similarity of Neural Network Representations Revisited" (2019) for CKA. All sums are taken in
float64.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...errors import CourseError
from .attention import check_sentences
from .reading import Reading

Projection = Callable[[Tensor], Tensor]  # from the student's states to the teacher's space: [tokens, width] each


def token_states(readings: Sequence[Reading], state: int) -> Tensor:
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
        raise CourseError(
            "{one} tokens against {other}",
            fix="let both models read the same sentences",
            one=len(one),
            other=len(other),
        )
    return _aligned(_centred(one), _centred(other))


def cka_matrix(teacher: Sequence[Reading], student: Sequence[Reading]) -> np.ndarray:
    """:func:`linear_cka` of each hidden state of the teacher with each of the student's, [teacher's, student's]."""
    check_sentences(teacher, student)
    theirs, ours = (
        [_centred(token_states(model, state)) for state in range(len(model[0].hidden))] for model in (teacher, student)
    )
    return np.array([[_aligned(their, our) for our in ours] for their in theirs])


def matched_means(matrix: np.ndarray, pairs: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """The mean of a matrix over the matched pairs, and over all others."""
    chosen = np.zeros(matrix.shape, bool)
    chosen[tuple(zip(*pairs, strict=True))] = True
    return float(matrix[chosen].mean()), float(matrix[~chosen].mean())


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


def best_projection(student: Tensor, teacher: Tensor) -> LinearProjection:
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


@dataclass(frozen=True)
class Paths:
    """The ways of a sentence's tokens through matched hidden states, in two dimensions fitted on the teacher.

    Attributes:
        teacher, student: the places, [pairs, tokens, 2]; [CLS] and [SEP] are left out.
        kept: share of the teacher's variance that the two dimensions hold.
        missed: share of the teacher's variance, in all dimensions, that the student misses.
    """

    teacher: np.ndarray
    student: np.ndarray
    kept: float
    missed: float


def token_paths(
    teacher: Reading, student: Reading, pairs: Sequence[tuple[int, int]], projections: Sequence[Projection]
) -> Paths:
    """Where a sentence's tokens go from state to state, in teacher and student.

    Of every state the teacher's mean over the tokens is taken out of both models', since a step that all tokens share
    would leave nothing else to be seen. The student's states go through the projection of their match into the
    teacher's space first.

    Args:
        teacher, student: both models' readings of one sentence.
        pairs: the matched states (teacher, student).
        projections: one for each pair.
    """
    theirs = torch.stack([teacher.hidden[state, 1:-1].double() for state, _ in pairs])  # [pairs, tokens, width]
    ours = torch.stack(
        [project(student.hidden[state, 1:-1]).double() for (_, state), project in zip(pairs, projections, strict=True)]
    ).detach()
    centre = theirs.mean(1, keepdim=True)  # [pairs, 1, width]
    _, values, axes = torch.linalg.svd((theirs - centre).flatten(0, 1), full_matrices=False)
    flat = [((states - centre) @ axes[:2].T).numpy() for states in (theirs, ours)]  # [pairs, tokens, 2] each
    kept = float(values[:2].square().sum() / values.square().sum())
    return Paths(*flat, kept, float((theirs - ours).square().sum() / (theirs - centre).square().sum()))
