"""The models of the family and how they start (notebook 03)."""

from transformers.utils import logging

from .architectures import ARCHITECTURES, Architecture, Shape, find_architecture
from .initialisation import (
    check_length,
    check_tokenizer,
    inherit_embeddings,
    load_model,
    load_tokenizer,
    look_at_neighbours,
    start_from_counts,
    take_layers,
    tokenizer_beside,
)
from .pruning import prune_vocabulary

logging.disable_progress_bar()  # a bar for every small file read or written would drown the ones that matter

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Shape",
    "check_length",
    "check_tokenizer",
    "find_architecture",
    "inherit_embeddings",
    "load_model",
    "load_tokenizer",
    "look_at_neighbours",
    "prune_vocabulary",
    "start_from_counts",
    "take_layers",
    "tokenizer_beside",
]
