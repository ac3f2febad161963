#!/usr/bin/env bash
# Packages: torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 numpy==2.4.6
# Guess: an exported ONNX file holds the computation and the weights; quantising it keeps no more than that.
# What happens: every node carries a stack trace with absolute paths of the machine that exported it, and
#   quantize_dynamic copies them all. In a small model they outweigh the weights.
# What to do: Clear metadata_props of every node before the file goes out.
# Expected output:
#   plain: paths of this machine True, metadata above half of the file: True
#   int8:  paths of this machine True, metadata above half of the file: True
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 numpy==2.4.6
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
import io
import logging
import os
import sys
from contextlib import redirect_stdout

import onnx
import torch
from onnxruntime.quantization import quantize_dynamic

logging.disable(logging.WARNING)
model = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 4)
with redirect_stdout(io.StringIO()):
    torch.onnx.export(model.eval(), (torch.randn(1, 5, 16),), "plain.onnx", dynamo=True, external_data=False)
quantize_dynamic("plain.onnx", "int8.onnx")
for name in ("plain", "int8"):
    content = open(f"{name}.onnx", "rb").read()
    nodes = onnx.load(f"{name}.onnx").graph.node
    told = sum(len(entry.value) for node in nodes for entry in node.metadata_props)
    seen = sys.prefix.encode() in content, told > os.path.getsize(f"{name}.onnx") / 2
    print(f"{name + ':':<6} paths of this machine {seen[0]}, metadata above half of the file: {seen[1]}")
    assert seen == (True, True)
PY
