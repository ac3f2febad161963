"""Fine-tuning on Chinese tasks (notebook 05)."""

from .finetuning import Finetuned, encode, finetune, with_classifier
from .registry import TASKS, Task, find_task

__all__ = ["TASKS", "Finetuned", "Task", "encode", "find_task", "finetune", "with_classifier"]
