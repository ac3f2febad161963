"""Fine-tuning on Chinese tasks (notebook 05)."""

from .answering import Answer
from .deployment import OnnxModel, export_onnx, quantize_onnx
from .finetuned import Finetuned
from .finetuning import encode, finetune, with_head
from .floors import closest_sentence, floors
from .formats import Layout
from .metrics import exact_match, f1_score
from .overlaps import Overlap, overlap
from .protocol import read_results, sweep
from .registry import TASKS, Task, find_task, own_task
from .report import (
    Mean,
    as_markdown,
    best_means,
    on_unseen,
    relative_table,
    score_table,
    taught_table,
    verdict_table,
    write_report,
)
from .searching import Found, search_rates

__all__ = [
    "TASKS", "Answer", "Finetuned", "Found", "Layout", "Mean", "OnnxModel", "Overlap", "Task", "as_markdown",
    "best_means", "closest_sentence", "encode", "exact_match", "export_onnx", "f1_score", "find_task", "finetune",
    "floors", "on_unseen", "overlap", "own_task", "quantize_onnx", "read_results", "relative_table",
    "score_table", "search_rates", "sweep", "taught_table", "verdict_table", "with_head", "write_report",
]  # fmt: skip
