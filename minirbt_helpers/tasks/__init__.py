"""Fine-tuning on Chinese tasks (notebook 05)."""

from .answering import Answer
from .deployment import OnnxModel, export_onnx, quantize_onnx
from .finetuned import Finetuned
from .finetuning import encode, finetune, with_head
from .formats import Layout
from .metrics import exact_match, f1_score
from .protocol import read_results, sweep
from .registry import TASKS, Task, find_task, own_task
from .report import Mean, as_markdown, best_means, majority, relative_table, score_table, write_report

__all__ = [
    "TASKS", "Answer", "Finetuned", "Layout", "Mean", "OnnxModel", "Task", "as_markdown", "best_means", "encode",
    "exact_match", "export_onnx", "f1_score", "find_task", "finetune", "majority", "own_task", "quantize_onnx",
    "read_results", "relative_table", "score_table", "sweep", "with_head", "write_report",
]  # fmt: skip
