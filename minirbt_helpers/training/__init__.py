"""Pre-training and distillation (notebook 04)."""

from .distillation import STAGES, Distilled, Distiller, Stage, distill
from .evaluation import MaskedPositions, held_out
from .growing import GROWTH, Phase, deepen, grow
from .machine import join_world
from .matches import check_matches, hidden_matches, layer_pairs
from .pretraining import pretrain
from .runs import run_folder

__all__ = [
    "GROWTH", "STAGES", "Distilled", "Distiller", "MaskedPositions", "Phase", "Stage", "check_matches", "deepen",
    "distill", "grow", "held_out", "hidden_matches", "join_world", "layer_pairs", "pretrain", "run_folder",
]  # fmt: skip
