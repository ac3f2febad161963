"""What attention heads look at, and which head of one model looks as one of another does (notebook 06).

Source: Clark et al., "What Does BERT Look At?" (2019) for the distance between heads. All sums are taken in float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ...errors import CourseError
from ...language import N_
from ...text import is_chinese
from .reading import Reading

Unit = Literal["characters", "words"]
# The teacher's head, the student's (both counted from 0, layer by layer), their distance.
Match = tuple[int, int, float]
KINDS = (N_("itself"), N_("previous"), N_("next"), "[CLS]", "[SEP]", N_("rest of its word"))


# --- one sentence ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attention:
    """The attention of one reading, with what stands beside it in a picture.

    Attributes:
        name: of the model.
        shares: [layers, heads, queries, keys].
        labels: of queries and keys.
        brackets: (first, last) place of each word of two tokens and more.
        notes: what the reader should be told.
    """

    name: str
    shares: np.ndarray
    labels: tuple[str, ...]
    brackets: tuple[tuple[int, int], ...]
    notes: tuple[str, ...]

    @property
    def layers(self) -> int:
        """How many."""
        return self.shares.shape[0]

    @property
    def heads(self) -> int:
        """How many in a layer."""
        return self.shares.shape[1]

    @classmethod
    def of(cls, reading: Reading, unit: Unit = "characters") -> "Attention":
        """The attention of a reading, between tokens or between words (query mean, key sum).

        Raises:
            CourseError: unknown unit.
        """
        if unit not in ("characters", "words"):
            raise CourseError("unknown unit {unit!r}", fix="'characters' or 'words'", unit=unit)
        sentence, notes = reading.sentence, (*reading.sentence.notes, *reading.notes)
        if unit == "words":
            labels = tuple("".join(sentence.labels[place] for place in places) for places in sentence.words)
            return cls(reading.name, word_shares(reading.attention, sentence.words).numpy(), labels, (), notes)
        brackets = tuple((places[0], places[-1]) for places in sentence.words if len(places) > 1)
        return cls(reading.name, reading.attention.numpy(), sentence.labels, brackets, notes)

    def require(self, layer: int, head: int) -> None:
        """Refuse a layer or head that the model does not have; both are counted from 1.

        Raises:
            CourseError: with what it has.
        """
        if not (1 <= layer <= self.layers and 1 <= head <= self.heads):
            raise CourseError(
                "{name} has no layer {layer}, head {head}",
                fix="layers 1 to {layers}, heads 1 to {heads}",
                name=self.name,
                layer=layer,
                head=head,
                layers=self.layers,
                heads=self.heads,
            )


def word_shares(attention: Tensor, words: Sequence[Sequence[int]]) -> Tensor:
    """Attention between words: the mean over a word's queries of the sum over a word's keys.

    Args:
        attention: [..., tokens, tokens].
        words: positions of each word's tokens.

    Returns:
        [..., words, words]; the rows still add up to 1.
    """
    belongs = torch.zeros(attention.shape[-1], len(words), dtype=attention.dtype)  # [tokens, words]
    for number, places in enumerate(words):
        belongs[list(places), number] = 1
    return (belongs / belongs.sum(0)).T @ attention @ belongs


# --- many sentences -------------------------------------------------------------------------------------------------


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
        """The standard error of :attr:`difference` over the sentences, [layers, heads].

        Raises:
            CourseError: a single sentence, which shows none.
        """
        self._require_two()
        return (self.inside - self.across).std(0, ddof=1) / np.sqrt(len(self.inside))

    def half(self, first: bool) -> "Binding":
        """Every other sentence: choose heads on one half, measure them on the other.

        Raises:
            CourseError: a single sentence, which has no second half.
        """
        self._require_two()
        chosen = slice(0 if first else 1, None, 2)
        return Binding(self.inside[chosen], self.across[chosen])

    def _require_two(self) -> None:
        if len(self.inside) < 2:
            raise CourseError(
                "a single sentence with neighbours inside a word and across: too few", fix="give word_binding more"
            )


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
        raise CourseError("no sentence with neighbours inside a word and across", fix="give Sentence.of a segmenter")
    return Binding(torch.stack(inside).numpy(), torch.stack(across).numpy())


def _same_word(reading: Reading) -> Tensor:
    owner = torch.empty(len(reading.sentence.ids), dtype=torch.long)
    for number, places in enumerate(reading.sentence.words):
        owner[list(places)] = number
    return owner[:, None] == owner  # [tokens, tokens]


# --- two models -----------------------------------------------------------------------------------------------------


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
    return -(shares * shares.clamp(min=1e-30).log()).sum((-1, -2)) / np.log(2)  # twice as fast as torch.special.entr


def head_matches(distances: np.ndarray) -> list[Match]:
    """Pair each head with one of its own, so that the sum of the distances is the least possible.

    Args:
        distances: [teacher's heads, student's heads]; where the numbers differ, some heads stay alone.

    Returns:
        (teacher's head, student's head, distance), closest first.
    """
    pairs = zip(*linear_sum_assignment(distances), strict=True)
    matched = [(int(theirs), int(ours), float(distances[theirs, ours])) for theirs, ours in pairs]
    return sorted(matched, key=lambda match: match[2])


def check_sentences(one: Sequence[Reading], other: Sequence[Reading]) -> None:
    """Refuse readings of different sentences.

    Raises:
        CourseError: with the first that differ.
    """
    if not one or len(one) != len(other):
        raise CourseError(
            "{one} sentences against {other}",
            fix="let both models read the same sentences",
            one=len(one),
            other=len(other),
        )
    for theirs, ours in zip(one, other, strict=True):
        if theirs.sentence.ids != ours.sentence.ids:
            raise CourseError(
                "different tokens: {one!r} and {other!r}",
                fix="cut the sentence once, with the one tokenizer of both models",
                one=theirs.sentence.text[:30],
                other=ours.sentence.text[:30],
            )
