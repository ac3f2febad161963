#!/usr/bin/env bash
# Packages: safetensors==0.8.0 numpy==2.4.6
# Guess: a NumPy array that is not contiguous is saved with its values, or refused, as the part of safetensors for
#   torch does.
# What happens: the memory is written as it lies, under the shape of the view: a transposed matrix and one in Fortran
#   order come back with the right shape and other values.
# What to do: np.ascontiguousarray before save_file.
# Expected output:
#   saved [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
#   read  [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
import numpy as np
from safetensors.numpy import load_file, save_file

weight = np.arange(6.0).reshape(2, 3).T
save_file({"weight": weight}, "model.safetensors")
read = load_file("model.safetensors")["weight"]
print("saved", weight.tolist())
print("read ", read.tolist())
assert read.shape == weight.shape and not np.array_equal(read, weight)
save_file({"weight": np.ascontiguousarray(weight)}, "model.safetensors")
assert np.array_equal(load_file("model.safetensors")["weight"], weight)
PY
