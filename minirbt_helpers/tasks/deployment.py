"""A fine-tuned model where torch is not wanted: ONNX, and ONNX in 8-bit integers (notebook 07).

Needs the extra ``deploy`` (onnx, onnxscript, onnxruntime).
"""

import contextlib
import io
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_outputs import QuestionAnsweringModelOutput, SequenceClassifierOutput

from ..errors import CourseError
from ..workspace import clear_disk_errors

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUTS = (("logits",), ("start_logits", "end_logits"))


class OnnxModel:
    """A fine-tuned BERT run by onnxruntime on a CPU, called as the model of transformers is.

    It takes the place of ``Finetuned.model``: ``dataclasses.replace(tuned, model=OnnxModel(file))`` predicts,
    answers and measures as before.

    Args:
        file: what :func:`export_onnx` or :func:`quantize_onnx` wrote.
        threads: processors to use; None: all.

    Raises:
        CourseError: not such a file, or onnxruntime is not installed.
    """

    device = torch.device("cpu")

    def __init__(self, file: str | Path, threads: int | None = None):
        runtime = _deploy("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        try:
            self.session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as problem:  # onnxruntime's own kinds share no base but this
            text = str(problem).splitlines()[0][:160]
            raise CourseError(f"not a model that onnxruntime reads ({text})", where=file, fix="export_onnx") from None
        names = tuple(output.name for output in self.session.get_outputs())
        if names not in OUTPUTS or not {one.name for one in self.session.get_inputs()} <= set(INPUTS):
            raise CourseError(f"no fine-tuned BERT (outputs {', '.join(names)})", where=file, fix="export_onnx")
        self._kind = SequenceClassifierOutput if names == OUTPUTS[0] else QuestionAnsweringModelOutput

    def __call__(self, **batch: Tensor) -> SequenceClassifierOutput | QuestionAnsweringModelOutput:
        """Logits of a batch: token ids, attention mask and segment ids, [batch, length] each."""
        outputs = self.session.run(None, {name: batch[name].numpy() for name in INPUTS})
        names = (output.name for output in self.session.get_outputs())
        return self._kind(**{name: torch.from_numpy(values) for name, values in zip(names, outputs, strict=True)})


def export_onnx(model: PreTrainedModel, file: str | Path) -> Path:
    """Write a fine-tuned model (``Finetuned.model``) as one ONNX file, for batches and lengths of any size.

    Args:
        model: a classifier, or one that answers questions; on a CPU, in float32.
        file: ``….onnx``; weights included, so at most 2 GB.

    Raises:
        CourseError: the extra is not installed, or the file cannot be written.
    """
    _deploy("onnxscript")
    examples = tuple(torch.ones(2, 8, dtype=torch.long) for _ in INPUTS)  # three tensors: the same one thrice were one
    names = OUTPUTS["qa_outputs" in dict(model.named_children())]
    shapes = ({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC},) * len(INPUTS)
    settings = {"dynamo": True, "dynamic_shapes": shapes, "external_data": False, "verbose": False}
    with _written(file) as target, _quiet():
        torch.onnx.export(model.eval(), examples, target, input_names=INPUTS, output_names=names, **settings)
    return Path(file)


def quantize_onnx(source: str | Path, target: str | Path) -> Path:
    """Write an exported model anew with 8-bit weights; activations are quantised on the way (dynamically).

    Every matrix gets one scale for each of its columns, the embeddings one in all.

    Raises:
        CourseError: the extra is not installed, the source is no ONNX model, or the target cannot be written.
    """
    quantization = _deploy("onnxruntime.quantization")
    if not Path(source).is_file():
        raise CourseError("no such file", where=source, fix="export_onnx(model, file)")
    with _written(target) as new, _quiet():
        try:
            quantization.quantize_dynamic(source, new, weight_type=quantization.QuantType.QInt8, per_channel=True)
        except OSError:
            raise
        except Exception as problem:  # those of onnx, protobuf and onnxruntime share no base but this
            text = (str(problem).splitlines() or [type(problem).__name__])[0][:160]
            raise CourseError(f"not a model that can be quantised ({text})", where=source, fix="export_onnx") from None
    return Path(target)


def _deploy(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as problem:
        fix = "install the extra: pip install -c constraints.txt -e '.[deploy]'"
        raise CourseError(f"{problem.name} is not installed", fix=fix) from None


@contextmanager
def _written(file: str | Path) -> Iterator[Path]:
    """A place beside the file to write to; what is there when the block ends well takes the file's place."""
    file = Path(file)
    with clear_disk_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{file.name}-", dir=file.parent) as scratch:
            yield Path(scratch) / "model.onnx"
            os.replace(Path(scratch) / "model.onnx", file)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of everything it does not need."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
