#!/usr/bin/env bash
# Packages: jieba==0.42.1
# Guess: full-width digits and letters are cut as the half-width ones: a year is one word.
# What happens: each full-width character is a word of its own. As units of whole-word masking the same number is then
#   masked a digit at a time, or as a whole, by the width in which it was typed.
# What to do: NFKC before cutting, where the offsets allow it.
# Expected output:
#   2024年   -> ['2024', '年']
#   ２０２４年   -> ['２', '０', '２', '４', '年']
#   ＣＰＵ很热   -> ['Ｃ', 'Ｐ', 'Ｕ', '很', '热']
#   CPU很热   -> ['CPU', '很', '热']
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check jieba==0.42.1
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
import jieba

jieba.setLogLevel(60)
cut = {text: jieba.lcut(text) for text in ("2024年", "２０２４年", "ＣＰＵ很热", "CPU很热")}
for text, words in cut.items():
    print(f"{text:<7} -> {words}")
assert [len(words) for words in cut.values()] == [2, 5, 5, 3]
PY
