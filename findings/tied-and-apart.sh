#!/usr/bin/env bash
# Packages: torch==2.13.0 transformers==5.23.0 numpy==2.4.6
# Guess: a BERT whose config says that decoder and word embeddings are tied has one matrix in memory: a decoder in the
#   file gives way.
# What happens: where the file holds two that differ, both are loaded and stay apart, under the same config. Code that
#   copies the state into a fresh (tied) model writes both into one tensor, and the last one wins.
# What to do: Untie the config of the copy first.
# Expected output:
#   config says tied: True; one matrix: False
#   a fresh model with the same state has the same output: False
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0 numpy==2.4.6
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
import logging

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertForMaskedLM

logging.disable(logging.WARNING)
config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
state = {name: tensor.clone() for name, tensor in BertForMaskedLM(config).state_dict().items()}
state["cls.predictions.decoder.weight"] = torch.randn(30, 8)
config.save_pretrained(".")
save_file(state, "model.safetensors", {"format": "pt"})

model = BertForMaskedLM.from_pretrained(".").eval()
one = model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight
copy = BertForMaskedLM(model.config).eval()
copy.load_state_dict(model.state_dict())
ids = torch.arange(30)[None]
same = torch.equal(model(ids).logits, copy(ids).logits)
print(f"config says tied: {model.config.tie_word_embeddings}; one matrix: {one}")
print("a fresh model with the same state has the same output:", same)
assert model.config.tie_word_embeddings and not one and not same
PY
