#!/usr/bin/env bash
# Packages: torch==2.13.0 textbrewer==0.2.1.post1 tensorboard==2.21.0 numpy==2.4.6
# Guess: every match of TextBrewer has its own entry in the losses that a step returns, and weighted they add up to
#   the total.
# What happens: the name is made of feature, loss and layers. Two matches that share these, with projections of their
#   own, are both in the total, and one of them is missing from the losses.
# Expected output:
#   2 matches, 1 entry; the total is the sum of the entries: False
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 textbrewer==0.2.1.post1 tensorboard==2.21.0 numpy==2.4.6
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
import torch
from textbrewer import DistillationConfig, GeneralDistiller, TrainingConfig

torch.manual_seed(0)
match = {"layer_T": 0, "layer_S": 0, "feature": "hidden", "loss": "hidden_mse", "weight": 1}
matches = [match | {"proj": [kind, 4, 8]} for kind in ("linear", "relu")]
model, teacher = torch.nn.Linear(4, 4), torch.nn.Linear(4, 8)


def states(batch, outputs):
    return {"hidden": [outputs]}


distiller = GeneralDistiller(
    TrainingConfig(device="cpu", output_dir="."), DistillationConfig(intermediate_matches=matches),
    teacher, model, states, states,
)
total, losses = distiller.train_on_batch({"teacher": {"input": torch.randn(3, 4)}, "student": {"input": torch.randn(3, 4)}}, {})
adds_up = torch.allclose(total, sum(losses.values()))
print(f"2 matches, {len(losses)} entry; the total is the sum of the entries: {adds_up}")
assert len(losses) == 1 and not adds_up
PY
