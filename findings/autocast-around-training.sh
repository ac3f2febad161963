#!/usr/bin/env bash
# Packages: torch==2.13.0 numpy==2.4.6
# Guess: torch.autocast may be opened once around a whole training (around `Trainer.train()`, say): it casts in every product.
# What happens: it keeps the bfloat16 copy of a weight until the outermost autocast ends. Every step reads the copies of the
#   first one: the loss does not fall, the gradients still come, the optimiser still moves the weights, and no error or warning says so.
#   Embeddings and LayerNorms are not cast and do learn, so a BERT's loss falls a little.
# What to do: Open autocast in every step, or give it cache_enabled=False.
# Expected output:
#   one autocast around all steps: loss 1.0 times the first, weights moved True
#   with cache_enabled=False: loss below 0.1 times the first, weights moved True
#   autocast in every step: loss below 0.1 times the first, weights moved True
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
OMP_NUM_THREADS=1 venv/bin/python -E - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
from contextlib import nullcontext

import torch


def train(around, inside):
    torch.manual_seed(0)
    model = torch.nn.Linear(8, 1)
    start = model.weight.detach().clone()
    texts = torch.randn(64, 8)
    truth = texts @ torch.ones(8, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    with around:
        for _ in range(50):
            with inside():
                loss = (model(texts).float() - truth).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses[-1] / losses[0], not torch.equal(start, model.weight)


def bf16(**more):
    return torch.autocast("cpu", torch.bfloat16, **more)


stale, moved = train(bf16(), nullcontext)
print(f"one autocast around all steps: loss {stale:.1f} times the first, weights moved {moved}")
assert moved and stale == 1.0
for title, ways in (
    ("with cache_enabled=False", (bf16(cache_enabled=False), nullcontext)),
    ("autocast in every step", (nullcontext(), bf16)),
):
    share, moved = train(*ways)
    print(f"{title}: loss {'below' if share < 0.1 else 'above'} 0.1 times the first, weights moved {moved}")
    assert share < 0.1 and moved
PY
