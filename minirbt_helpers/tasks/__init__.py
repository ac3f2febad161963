"""Fine-tuning on Chinese tasks (notebook 05)."""

from .finetuning import Finetuned, encode, finetune, with_classifier
from .metrics import exact_match, f1_score
from .registry import TASKS, Task, find_task

__all__ = [
    "TASKS", "Finetuned", "Task", "encode", "exact_match", "f1_score", "find_task", "finetune", "with_classifier",
]  # fmt: skip
