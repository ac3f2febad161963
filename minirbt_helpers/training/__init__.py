"""Pre-training and distillation (notebook 04)."""

from .distillation import STAGES, Distilled, Distiller, Stage, distill
from .evaluation import MaskedPositions, held_out
from .matches import hidden_matches, layer_pairs
from .pretraining import pretrain
from .runs import run_folder

__all__ = [
    "STAGES", "Distilled", "Distiller", "MaskedPositions", "Stage", "distill", "held_out", "hidden_matches",
    "layer_pairs", "pretrain", "run_folder",
]  # fmt: skip
