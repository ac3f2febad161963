#!/usr/bin/env bash
# Packages: torch==2.13.0 numpy==2.4.6
# Guess: clip_grad_norm_ bounds a gradient: with an infinite element the step is small, or not taken.
# What happens: the infinite norm makes the factor 0, and 0 times infinity is NaN. The loss of this step is finite;
#   the weights are NaN after it, and a checkpoint saved now holds them. The next loss is the first sign.
# What to do: Look at the norm that it returns, or error_if_nonfinite=True.
# Expected output:
#   loss 1.0, norm inf, weights after the step [nan, 1.0]
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
import torch

weights = torch.ones(2, requires_grad=True)
weights.grad = torch.tensor([float("inf"), 1.0])
loss = weights.detach().mean()
norm = torch.nn.utils.clip_grad_norm_([weights], 1.0)
torch.optim.SGD([weights], lr=0.1).step()
print(f"loss {loss:.1f}, norm {norm}, weights after the step {weights.tolist()}")
assert loss.isfinite() and norm.isinf() and weights[0].isnan() and weights[1] == 1
PY
