"""The family: teacher, assistant and students, at full size and at a quarter of every width (notebook 03).

Source of the full sizes and of the published counts: README of iflytek/MiniRBT (2022) and the
technical report, Yao et al., arXiv:2304.00717.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from transformers import BertConfig, BertForMaskedLM

from ..errors import CourseError

Scale = Literal["sample", "full"]
FULL_VOCABULARY = 21128


@dataclass(frozen=True)
class Shape:
    """Layers, hidden size, FFN size and attention heads of a BERT encoder."""

    layers: int
    hidden: int
    ffn: int
    heads: int


@dataclass(frozen=True)
class Architecture:
    """One member of the family.

    Attributes:
        name: as the original README calls it.
        full, sample: its shape at the published size and at a quarter of every width.
        published: millions of parameters as the README prints them, with and without embeddings; None: nowhere.
        speed_up: over the 12-layer model, as the README prints it (which names no machine, batch or length).
    """

    name: str
    full: Shape
    sample: Shape
    published: tuple[float, float] | None = None
    speed_up: float | None = None

    def shape(self, scale: Scale) -> Shape:
        """The shape at ``"sample"`` or ``"full"`` scale."""
        if scale not in ("sample", "full"):
            raise CourseError("unknown scale {scale!r}", fix="'sample' or 'full'", scale=scale)
        return getattr(self, scale)

    def config(self, scale: Scale, vocabulary: int = FULL_VOCABULARY, **settings) -> BertConfig:
        """Its ``BertConfig``, with ``vocabulary`` entries; further settings go to ``BertConfig``."""
        shape = self.shape(scale)
        return BertConfig(
            vocab_size=vocabulary,
            hidden_size=shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            intermediate_size=shape.ffn,
            **settings,
        )

    def count(self, embeddings: bool = True, scale: Scale = "full", vocabulary: int = FULL_VOCABULARY) -> int:
        """Number of parameters, with or without the embedding block.

        Counted is the masked language model that distillation trains: encoder, MLM head and the
        head's bias, no pooler. It gives every published number to its last printed digit; with the
        pooler in place of the head (``BertModel``) RBT6 would be 59.74M and MiniRBT-H256 10.3M.
        """
        return _count(self, embeddings, scale, vocabulary)

    def random_model(self, scale: Scale, vocabulary: int, seed: int = 0, **settings) -> BertForMaskedLM:
        """A model with BERT's random start; the same for the same seed, torch's own random state untouched."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return BertForMaskedLM(self.config(scale, vocabulary, **settings))


def find_architecture(name: str) -> Architecture:
    """The architecture of a name, or one of your own: ``"6x384x1536x12"`` is layers, hidden size, FFN and heads.

    Raises:
        CourseError: unknown, with the names that exist, or a hidden size its heads cannot share.
    """
    if own := re.fullmatch(r"(\d+)x(\d+)x(\d+)x(\d+)", name):
        shape = Shape(*map(int, own.groups()))
        if 0 in map(int, own.groups()) or shape.hidden % shape.heads:
            raise CourseError(
                "no model has the shape {name}", fix="hidden must be a multiple of heads: 6x384x1536x12", name=name
            )
        return Architecture(name, shape, shape)
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise CourseError(
            "unknown architecture {name!r}", fix="one of {names}, or such as 6x384x1536x12", name=name, names=known
        )
    return ARCHITECTURES[name]


@cache
def _count(architecture: Architecture, embeddings: bool, scale: Scale, vocabulary: int) -> int:
    with torch.device("meta"):  # shapes alone: nothing is allocated
        model = BertForMaskedLM(architecture.config(scale, vocabulary))
    skipped = 0 if embeddings else sum(weight.numel() for weight in model.bert.embeddings.parameters())
    return sum(weight.numel() for weight in model.parameters()) - skipped


ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        Architecture("RoBERTa-wwm-ext", Shape(12, 768, 3072, 12), Shape(12, 192, 768, 12), (102.3, 85.7), 1.0),
        Architecture("RBT6", Shape(6, 768, 3072, 12), Shape(6, 192, 768, 12), (59.76, 43.14), 1.7),
        Architecture("RBT3", Shape(3, 768, 3072, 12), Shape(3, 192, 768, 12), (38.5, 21.9), 2.8),
        Architecture("RBT4-H312", Shape(4, 312, 1200, 12), Shape(4, 78, 300, 6), (11.4, 4.7), 6.8),
        Architecture("MiniRBT-H256", Shape(6, 256, 1024, 8), Shape(6, 64, 256, 8), (10.4, 4.8), 6.8),
        Architecture("MiniRBT-H288", Shape(6, 288, 1152, 8), Shape(6, 72, 288, 8), (12.3, 6.1), 5.7),
    )
}
