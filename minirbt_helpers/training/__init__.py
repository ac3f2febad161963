"""Pre-training and distillation (notebook 04)."""

from .costs import Machine, distillation_operations, forward_operations, hours_table, machines, operations
from .distillation import STAGES, Distilled, Distiller, Stage, distill
from .dry_run import DryRun, dry_run
from .evaluation import CLASSES, MaskedPositions, classed_questions, held_out, held_out_questions, kd_landmarks
from .growing import GROWTH, Phase, deepen, grow
from .machine import join_world
from .matches import check_matches, hidden_matches, layer_pairs
from .pretraining import pretrain
from .runs import run_folder

__all__ = [
    "CLASSES", "GROWTH", "STAGES", "Distilled", "Distiller", "DryRun", "Machine", "MaskedPositions", "Phase", "Stage",
    "check_matches", "classed_questions", "deepen", "distill", "distillation_operations", "dry_run",
    "forward_operations", "grow", "held_out", "held_out_questions", "hidden_matches", "hours_table",
    "join_world", "kd_landmarks", "layer_pairs", "machines", "operations", "pretrain", "run_folder",
]  # fmt: skip
