#!/usr/bin/env bash
# Packages: transformers==5.23.0 tokenizers==0.23.3
# Guess: tokenizer.json is the whole truth: a normalizer that is put into it works for everyone who loads the file.
# What happens: BertTokenizer and AutoTokenizer take the vocabulary out of the file and build BERT's normalizer anew.
#   The library tokenizers and TokenizersBackend use what is saved. One file is read in two ways, and nobody is told.
# What to do: Set the normalizer again after loading, or use the library tokenizers alone.
# Expected output:
#   tokenizers         ['好', '。']
#   TokenizersBackend  ['好', '。']
#   BertTokenizer      ['好', '[UNK]']
#   AutoTokenizer      ['好', '[UNK]']
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check transformers==5.23.0 tokenizers==0.23.3
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
from tokenizers import Tokenizer, normalizers
from transformers import AutoTokenizer, BertTokenizer, TokenizersBackend

with open("vocab.txt", "w", encoding="utf-8") as file:
    file.write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "好", "。"]))
made = BertTokenizer.from_pretrained(".")
library = made.backend_tokenizer
library.normalizer = normalizers.Sequence([normalizers.Replace("…", "。"), library.normalizer])
made.save_pretrained("saved")

seen = {"tokenizers": Tokenizer.from_file("saved/tokenizer.json").encode("好…", add_special_tokens=False).tokens}
for kind in (TokenizersBackend, BertTokenizer, AutoTokenizer):
    ids = kind.from_pretrained("saved")("好…", add_special_tokens=False)["input_ids"]
    seen[kind.__name__] = made.convert_ids_to_tokens(ids)
for name, tokens in seen.items():
    print(f"{name:<18} {tokens}")
assert list(seen.values()) == [["好", "。"], ["好", "。"], ["好", "[UNK]"], ["好", "[UNK]"]]
PY
