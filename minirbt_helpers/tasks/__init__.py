"""Fine-tuning on Chinese tasks (notebook 05)."""

from .answering import Answer
from .finetuning import Finetuned, encode, finetune, with_head
from .metrics import exact_match, f1_score
from .registry import TASKS, Task, find_task

__all__ = [
    "TASKS", "Answer", "Finetuned", "Task", "encode", "exact_match", "f1_score", "find_task", "finetune", "with_head",
]  # fmt: skip
