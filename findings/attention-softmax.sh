#!/usr/bin/env bash
# Packages: torch==2.13.0 textbrewer==0.2.1.post1 tensorboard==2.21.0 numpy==2.4.6
# Guess: TextBrewer's attention_ce is the cross-entropy of the attention maps that the models give out.
# What happens: it takes the softmax of these probabilities as if they were logits. Over 128 tokens an unrelated map
#   costs hardly more than a perfect copy, and the gradient is a twentieth of attention_mse_sum's or less.
# What to do: Cross-entropy of the maps themselves, or attention_mse_sum.
# Expected output:
#   an unrelated map costs 0.1% more than a copy; cross-entropy of the maps: more than 100%
#   gradient, attention_mse_sum to attention_ce: more than 20 to 1
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 textbrewer==0.2.1.post1 tensorboard==2.21.0 numpy==2.4.6
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
import torch
from textbrewer.losses import att_ce_loss, att_mse_sum_loss

torch.manual_seed(0)
teacher = (torch.randn(2, 12, 128, 128) * 4).softmax(-1)
other = (torch.randn(2, 12, 128, 128) * 4).requires_grad_()
maps = other.softmax(-1)
extra = float(att_ce_loss(maps, teacher) / att_ce_loss(teacher, teacher) - 1)
entropy = torch.special.entr(teacher).sum(-1).mean()
right = float(-(teacher * maps.log()).sum(-1).mean() / entropy - 1)
sizes = []
for loss in (att_mse_sum_loss, att_ce_loss):
    (gradient,) = torch.autograd.grad(loss(maps, teacher), other, retain_graph=True)
    sizes.append(float(gradient.norm()))
print(f"an unrelated map costs {extra:.1%} more than a copy; cross-entropy of the maps: {'more' if right > 1 else 'less'} than 100%")
print(f"gradient, attention_mse_sum to attention_ce: {'more' if sizes[0] > 20 * sizes[1] else 'less'} than 20 to 1")
assert extra < 0.01 and right > 1 and sizes[0] > 20 * sizes[1]
PY
