#!/usr/bin/env bash
# Packages: budoux==0.10.1 jieba==0.42.1
# Guess: BudouX cuts phrases for line breaks: about three characters each, and it cuts through a word of jieba's in
#   one case of twenty.
# What happens: its pieces are as short as words, 1.7 characters, and they cut through one in four of jieba's words of
#   two and more characters, mostly into single characters. As units of masking they are words with the final
#   punctuation stuck to them, not phrases.
# Expected output:
#   研究|人员|发现，|海水|温度|升|高会|影响|珊瑚|的|生长|速度。
#   characters per piece: 1.7; jieba's words cut: 14 of 57
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check budoux==0.10.1 jieba==0.42.1
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
import budoux
import jieba

jieba.setLogLevel(60)
TEXTS = [
    "今天天气很好，我们去了公园，花了三十八元买门票。", "小猫在窗台上睡着了，谁也没有叫醒它。",
    "老师把作业本发给同学们，一共有四十二本。", "这家银行昨天公布了最新的贷款利率，许多客户表示不满意。",
    "火车晚点了两个小时，车站里挤满了回家过年的人。", "研究人员发现，海水温度升高会影响珊瑚的生长速度。",
    "妈妈从超市买回来一袋大米和两瓶酱油。", "他终于明白了，坚持比天赋更重要。",
]


def ends(words):
    return {sum(map(len, words[: number + 1])) for number in range(len(words))}


parser = budoux.load_default_simplified_chinese_parser()
pieces = [parser.parse(text) for text in TEXTS]
cut = words = 0
for text, parts in zip(TEXTS, pieces):
    start = 0
    for word in jieba.lcut(text):
        words += len(word) > 1
        cut += len(word) > 1 and any(place in ends(parts) for place in range(start + 1, start + len(word)))
        start += len(word)
size = sum(map(len, TEXTS)) / sum(map(len, pieces))
print("|".join(pieces[5]))
print(f"characters per piece: {size:.1f}; jieba's words cut: {cut} of {words}")
assert size < 2 and cut / words > 0.2
PY
