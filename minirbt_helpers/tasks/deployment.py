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

import numpy as np
import torch
from numpy.typing import NDArray
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
    answers and measures; in float32 as before, to rounding.

    An int8 model gives a text other logits beside other texts: each activation, padding included, has one scale
    for the whole batch. At sample scale, in a batch of 96 headlines, logits moved by up to 8% of their spread.

    Args:
        file: what :func:`export_onnx` or :func:`quantize_onnx` wrote.
        threads: processors to use; None: all.
        alone: run every text by itself, without padding. The logits of a text then depend on that text alone;
            those of padding are 0.

    Raises:
        CourseError: not such a file, or onnxruntime is not installed.
    """

    device = torch.device("cpu")

    def __init__(self, file: str | Path, threads: int | None = None, alone: bool = False):
        self.alone = alone
        runtime = _deploy("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        try:
            self.session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as problem:  # onnxruntime's own kinds share no base but this
            text = str(problem).splitlines()[0][:160]
            raise CourseError(
                "not a model that onnxruntime reads ({text})", where=file, fix="export_onnx", text=text
            ) from None
        names = tuple(output.name for output in self.session.get_outputs())
        if names not in OUTPUTS or not {one.name for one in self.session.get_inputs()} <= set(INPUTS):
            raise CourseError(
                "no fine-tuned BERT (outputs {names})", where=file, fix="export_onnx", names=", ".join(names)
            )
        self._kind = SequenceClassifierOutput if names == OUTPUTS[0] else QuestionAnsweringModelOutput

    def __call__(self, **batch: Tensor) -> SequenceClassifierOutput | QuestionAnsweringModelOutput:
        """Logits of a batch: token ids, attention mask and segment ids, [batch, length] each."""
        inputs = {name: batch[name].numpy() for name in INPUTS}
        outputs = self._run_alone(inputs) if self.alone else self.session.run(None, inputs)
        names = (output.name for output in self.session.get_outputs())
        return self._kind(**{name: torch.from_numpy(values) for name, values in zip(names, outputs, strict=True)})

    def _run_alone(self, inputs: dict[str, NDArray]) -> list[NDArray]:
        """The outputs of a batch, every row run by itself on the tokens that its attention mask keeps."""
        kept = inputs["attention_mask"].astype(bool)  # [batch, length]
        rows = [
            self.session.run(None, {name: values[[row], :][:, kept[row]] for name, values in inputs.items()})
            for row in range(len(kept))
        ]
        if self._kind is SequenceClassifierOutput:
            return [np.concatenate(values) for values in zip(*rows, strict=True)]
        outputs = [np.zeros(kept.shape, np.float32) for _ in OUTPUTS[1]]
        for output, values in zip(outputs, zip(*rows, strict=True), strict=True):
            output[kept] = np.concatenate(values, axis=1)[0]
        return outputs


def export_onnx(model: PreTrainedModel, file: str | Path) -> Path:
    """Write a fine-tuned model (``Finetuned.model``) as one ONNX file, for batches and lengths of any size.

    What the exporter notes beside the computation is left out: stack traces with this machine's paths, 0.6 MB.

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
        _strip(target)
    return Path(file)


def quantize_onnx(source: str | Path, target: str | Path) -> Path:
    """Write an exported model anew with 8-bit weights; activations are quantised on the way (dynamically).

    Every matrix gets one scale for each of its columns, the embeddings one in all. Weights are unsigned: onnxruntime
    multiplies signed ones on a CPU with AVX2 and without VNNI in 16-bit sums that overflow in silence, and the
    logits of such a model were off by as much as their whole spread there.

    Raises:
        CourseError: the extra is not installed, the source is no ONNX model, or the target cannot be written.
    """
    quantization = _deploy("onnxruntime.quantization")
    if not Path(source).is_file():
        raise CourseError("no such file", where=source, fix="export_onnx(model, file)")
    with _written(target) as new, _quiet():
        try:
            quantization.quantize_dynamic(source, new, weight_type=quantization.QuantType.QUInt8, per_channel=True)
        except OSError:
            raise
        except Exception as problem:  # those of onnx, protobuf and onnxruntime share no base but this
            text = (str(problem).splitlines() or [type(problem).__name__])[0][:160]
            raise CourseError(
                "not a model that can be quantised ({text})", where=source, fix="export_onnx", text=text
            ) from None
        _strip(new)
    return Path(target)


def _strip(file: Path) -> None:
    """Rewrite an ONNX file without what its nodes tell of where they came from."""
    onnx = _deploy("onnx")
    model = onnx.load(file)
    _clear_metadata(model)
    onnx.save(model, file)


def _clear_metadata(message) -> None:
    """Clear ``metadata_props`` in a message of protobuf and in all that it holds."""
    if "metadata_props" in message.DESCRIPTOR.fields_by_name:
        message.ClearField("metadata_props")
    for field, value in message.ListFields():
        if field.message_type:
            for part in [value] if hasattr(value, "ListFields") else value:
                _clear_metadata(part)


def _deploy(module: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as problem:
        raise CourseError(
            "{name} is not installed",
            fix="install the extra: pip install -c constraints.txt -e '.[deploy]'",
            name=problem.name,
        ) from None


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
