"""Exercises of notebook 02: from words to places, from places to tokens, pieces of words, blocks of a length."""

from .exercise import Shelf

shelf = Shelf("02_ltp_references", "LTP references")


def _one_space(text, words):
    places, at = [], 0
    for word in words:
        at += text[at : at + 1] == " "
        places.append((at, at + len(word)))
        at += len(word)
    return places


@shelf.exercise(
    title="Where each word stands",
    difficulty=1,
    minutes=8,
    use="labels kept by character, which fit any tokenizer",
    cases=lambda: [
        ("很好", ["很", "好"]),
        ("天天好", ["天", "天", "好"]),
        ("我 很好", ["我", "很", "好"]),
        ("今天天气很好", ["今天", "天气", "很", "好"]),
        (" 学 习 学习", ["学", "习", "学习"]),
        ("我  很好", ["我", "很", "好"]),
        ("  很 好  ", ["很", "好"]),
        ("2024年 我们学了Python", ["2024", "年", "我们", "学", "了", "Python"]),
    ],
    hints=(
        "Look for each word in the text, but not from the beginning: where may the next word start at the earliest?",
        "`text.index(word, at)` looks from `at` on. Afterwards `at` is the end of the word that was found.",
    ),
    remark="A word that occurs twice is found at its first place twice if every search begins at 0.",
    slips=[
        (
            "You look for every word from the beginning of the text, so a repeated word is found in its first place.",
            lambda text, words: [(text.index(word), text.index(word) + len(word)) for word in words],
        ),
        (
            "The end is the place just after the last character.",
            lambda text, words: [(begin, end - 1) for begin, end in word_places(text, words)],
        ),
        (
            "The text may hold spaces, and they take places, too.",
            lambda text, words: word_places("".join(words), words),
        ),
        (
            "Several spaces may stand in a row. You pass over one only.",
            lambda text, words: _one_space(text, words),
        ),
        (
            "The first number is where the word begins. Spaces before it belong to no word.",
            lambda text, words: [
                (before, end)
                for before, (_, end) in zip(
                    [0, *(end for _, end in word_places(text, words))], word_places(text, words), strict=False
                )
            ],
        ),
        (
            "Places of characters are counted from 0. There is no [CLS] in a text.",
            lambda text, words: [(begin + 1, end + 1) for begin, end in word_places(text, words)],
        ),
        (
            "The second number is the end of the word, and not its length.",
            lambda text, words: [(begin, end - begin) for begin, end in word_places(text, words)],
        ),
    ],
    helpers=("minirbt_helpers.text.references.word_spans",),
)
def word_places(text: str, words: list[str]) -> list[tuple[int, int]]:
    """A segmenter has cut `text` into `words`. Joined, they give the text, apart from spaces, which are in the text
    only. There may be several spaces in a row, at the ends too, but never inside a word. Write `word_places`: for
    each word a pair of its first character's place in the text and the place just after its last character. Places
    are counted from 0.

    `word_places("我 很好", ["我", "很", "好"])` gives `[(0, 1), (2, 3), (3, 4)]` (我很好 *wǒ hěn hǎo* “I am fine”).
    """
    places, at = [], 0
    for word in words:
        begin = text.index(word, at)
        at = begin + len(word)
        places.append((begin, at))
    return places


@shelf.exercise(
    title="A reference from spans",
    difficulty=2,
    minutes=12,
    use="the link between a segmenter and whole-word masking",
    cases=lambda: [
        ([(0, 1)], [(0, 1)]),
        ([(0, 1), (1, 2)], [(0, 2)]),
        ([(0, 1), (1, 2), (2, 3)], [(0, 2), (2, 3)]),
        ([(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)], [(0, 2), (2, 4), (4, 5), (5, 6)]),
        ([(0, 4), (4, 5), (5, 6), (6, 7)], [(4, 5), (5, 7)]),
        ([(0, 1), (2, 3), (3, 4), (4, 5)], [(0, 1), (2, 5)]),
        ([(0, 2), (2, 3)], [(1, 3)]),
        ([(0, 1), (1, 3)], [(0, 2)]),
        ([(0, 3), (3, 4)], [(1, 4)]),
        ([(0, 3), (3, 4)], [(0, 2), (2, 4)]),
        ([(0, 2), (2, 4), (4, 5), (5, 6), (6, 12)], [(4, 6)]),
    ],
    hints=(
        "Which characters continue a word? First make the set of these places of the text. Tokens come second.",
        "Of a span (begin, end) the places begin + 1 to end - 1 continue it. A token continues a word if its first"
        " character is one of them. `enumerate(offsets, 1)` counts the tokens after [CLS].",
    ),
    remark=(
        "Tokens are numbered with [CLS] as 0, characters without it. And the first character of a word continues "
        "nothing."
    ),
    slips=[
        (
            "[CLS] is token 0, so the first token of the text is token 1.",
            lambda offsets, spans: [place - 1 for place in continuing_tokens(offsets, spans)],
        ),
        (
            "The first token of a word continues nothing.",
            lambda offsets, spans: [
                place
                for place, (begin, _) in enumerate(offsets, 1)
                if any(first <= begin < end for first, end in spans)
            ],
        ),
        (
            "The end of a span is the place just after the word: a token that begins there belongs to the next one.",
            lambda offsets, spans: [
                place
                for place, (begin, _) in enumerate(offsets, 1)
                if any(first < begin <= end for first, end in spans)
            ],
        ),
        (
            "You return places of characters. Number the tokens, not the characters.",
            lambda offsets, spans: [place for begin, end in spans for place in range(begin + 1, end)],
        ),
        (
            "You return places of characters. Number the tokens, not the characters.",
            lambda offsets, spans: [place + 1 for begin, end in spans for place in range(begin + 1, end)],
        ),
        (
            "You return places of characters. Number the tokens, not the characters.",
            lambda offsets, spans: [begin for begin, _ in offsets if any(one < begin < end for one, end in spans)],
        ),
        (
            "A token outside every span continues nothing.",
            lambda offsets, spans: [
                token for token, (begin, _) in enumerate(offsets, 1) if begin not in {first for first, _ in spans}
            ],
        ),
        (
            "Where the token begins decides. Its end may lie beyond the end of the span.",
            lambda offsets, spans: [
                token
                for token, (begin, end) in enumerate(offsets, 1)
                if any(first < begin and end <= last for first, last in spans)
            ],
        ),
        (
            "A token that runs into a word from before it does not begin inside the word.",
            lambda offsets, spans: [
                token
                for token, (begin, end) in enumerate(offsets, 1)
                if any(begin < last and end > first + 1 and begin != first for first, last in spans)
            ],
        ),
        (
            "A token that runs over a word's end continues it only if it begins inside it, after its first character.",
            lambda offsets, spans: [
                token
                for token, (begin, end) in enumerate(offsets, 1)
                if any(first < begin < last or begin < last < end for first, last in spans)
            ],
        ),
        (
            "The first token that begins inside a word may begin after the word's first character. Then it continues "
            "the word.",
            lambda offsets, spans: sorted(
                token
                for first, last in spans
                for token in [one for one, (begin, _) in enumerate(offsets, 1) if first <= begin < last][1:]
            ),
        ),
        (
            "You list the tokens that do *not* continue a word.",
            lambda offsets, spans: [
                place for place in range(1, len(offsets) + 1) if place not in continuing_tokens(offsets, spans)
            ],
        ),
    ],
    signs=[
        (
            "The places of the tokens are asked for, and not True and False.",
            lambda answer, offsets, spans: any(isinstance(one, bool) for one in answer),
        ),
    ],
)
def continuing_tokens(offsets: list[tuple[int, int]], spans: list[tuple[int, int]]) -> list[int]:
    """`offsets` says which characters of the text each token covers, as (begin, end), and `spans` says the same of
    the Chinese words. In both, the end is the place just after the last character. `spans` may miss parts of the text
    (only Chinese words are listed), and a token may cover several characters. Write `continuing_tokens`: the
    ascending list of the tokens that continue a word. Such a token begins inside a word, but not at its first
    character. Where the token ends does not matter.

    Tokens are numbered as the model sees them: [CLS] is 0, the first token of the text is 1.

    天 气 好 (天气 *tiānqì* “weather”, 好 *hǎo* “good”): `continuing_tokens([(0, 1), (1, 2), (2, 3)], [(0, 2), (2, 3)])`
    gives `[2]`. Only 气 continues a word.
    """
    inside = {place for begin, end in spans for place in range(begin + 1, end)}
    return [token for token, (begin, _) in enumerate(offsets, 1) if begin in inside]


def _pieces(word, vocabulary, sizes, keep=False, mark="##"):
    """WordPiece that tries sizes in another order, or goes on after a piece that is not known."""
    found, at = [], 0
    while at < len(word):
        fitting = [size for size in sizes(len(word) - at) if mark * (at > 0) + word[at : at + size] in vocabulary]
        if not fitting:
            return [*found, "[UNK]"] if keep else ["[UNK]"]
        found.append(mark * (at > 0) + word[at : at + fitting[0]])
        at += fitting[0]
    return found


@shelf.exercise(
    title="Greedy matching: WordPiece",
    difficulty=2,
    minutes=15,
    use="how every BERT reads a word that is not in its vocabulary",
    cases=lambda: [
        ("天", {"天"}),
        ("气", {"天"}),
        ("un", {"u", "##n", "un"}),
        ("unwant", {"un", "want"}),
        ("und", {"un", "##d"}),
        ("wante", {"want", "##e", "wanted"}),
        ("unx", {"un", "##n"}),
        ("unx", {"##un", "##x"}),
        ("Un", {"un"}),
        ("unwanted", {"un", "u", "##n", "want", "##wa", "##want", "##ed", "##e"}),
        ("abcd", {"a", "ab", "##c", "##cd", "##bcd"}),
        ("abcd", {"abc", "ab", "##cd"}),
    ],
    hints=(
        "Begin at the left. Which prefix do you try first? And what changes in the name of a piece that is not "
        "the first?",
        "Try the ends from `len(word)` down to `begin + 1`. If none fits, the whole word is `[UNK]`. Else go on "
        "at the end.",
    ),
    remark="Greedy means: the longest piece is taken and never given back, even if the rest cannot be cut then.",
    slips=[
        (
            "The longest piece that fits is taken, and you take the shortest.",
            lambda word, vocabulary: _pieces(word, vocabulary, lambda rest: range(1, rest + 1)),
        ),
        (
            "If one piece is missing, the whole word becomes one [UNK].",
            lambda word, vocabulary: _pieces(word, vocabulary, lambda rest: range(rest, 0, -1), keep=True),
        ),
        (
            "A piece that continues a word has ## before it, in the vocabulary and in the result.",
            lambda word, vocabulary: _pieces(word, vocabulary, lambda rest: range(rest, 0, -1), mark=""),
        ),
        (
            "The pieces of the result keep their ##.",
            lambda word, vocabulary: [piece.removeprefix("##") for piece in greedy_pieces(word, vocabulary)],
        ),
        (
            "Your pieces are one character long. Longer ones come first.",
            lambda word, vocabulary: _pieces(word, vocabulary, lambda rest: range(1, 2)),
        ),
        (
            "You miss the piece that is the whole word: the end may be `len(word)`.",
            lambda word, vocabulary: _pieces(word, vocabulary, lambda rest: range(rest - 1, 0, -1)),
        ),
    ],
    signs=[
        (
            "Letter case counts: an upper-case letter is another letter.",
            lambda answer, word, vocabulary: word != word.lower(),
        ),
        (
            "A piece inside a word needs its ## in the vocabulary: `want` does not match there.",
            lambda answer, word, vocabulary: word == "unwant",
        ),
        (
            "The first piece has no ##: an entry with ## does not match at the beginning of a word.",
            lambda answer, word, vocabulary: word == "unx" and "##un" in vocabulary,
        ),
        (
            "Greedy matching gives nothing back: once the longest piece is taken, it stays.",
            lambda answer, word, vocabulary: "".join(answer).replace("##", "") == word,
        ),
        (
            "A word that cannot be cut is one [UNK], and no empty list.",
            lambda answer, word, vocabulary: answer == [],
        ),
    ],
)
def greedy_pieces(word: str, vocabulary: set[str]) -> list[str]:
    """WordPiece cuts a word into pieces of its vocabulary: it takes the longest piece that the word begins with, then
    the longest one that the rest begins with, and so on. A piece that is not the first of its word is written with
    `##` before it, also in the vocabulary. So `want` without `##` does not match inside a word. Letter case counts. If
    at some place no piece fits, the whole word becomes `["[UNK]"]`. No word is empty.

    `greedy_pieces("unwanted", {"un", "##want", "##ed"})` gives `["un", "##want", "##ed"]`.
    """
    pieces, begin = [], 0
    while begin < len(word):
        mark = "##" if begin else ""
        ends = range(len(word), begin, -1)
        end = next((end for end in ends if mark + word[begin:end] in vocabulary), None)
        if end is None:
            return ["[UNK]"]
        pieces.append(mark + word[begin:end])
        begin = end
    return pieces


def _spans(words):
    ends = [sum(map(len, words[: number + 1])) for number in range(len(words))]
    return {(end - len(word), end) for word, end in zip(words, ends, strict=True)}


@shelf.exercise(
    title="How good is a segmenter?",
    difficulty=2,
    minutes=12,
    use="the number that all papers on word segmentation print",
    cases=lambda: [
        (["天气"], ["天气"]),
        (["天", "气"], ["天气"]),
        (["很好", "天"], ["很", "好", "天"]),
        (["从", "小学", "画画"], ["从小", "学", "画画"]),
        (["天", "天天", "天"], ["天", "天", "天天"]),
        (["南京", "市长", "江", "大桥"], ["南京市", "长江", "大桥"]),
        (["我们", "去", "公园", "散", "步"], ["我们", "去", "公园", "散步"]),
        (["好", "好", "天气"], ["好", "好", "天", "气"]),
    ],
    hints=(
        "A word is right if the other cut has the same word *at the same place*. So compare places.",
        "Make of each cut the set of its (begin, end). The size of the intersection, twice, divided by both "
        "sizes together.",
    ),
    raises={"ZeroDivisionError": "If no word is right, F1 is 0, and nothing must be divided by 0."},
    remark=(
        "A character sequence can be a word here and none there: comparing the words alone counts too much as right."
    ),
    slips=[
        (
            "The same word at another place is no match. Compare where the words stand.",
            lambda cut, gold: 2 * sum(word in gold for word in cut) / (len(cut) + len(gold)),
        ),
        (
            "This is the precision: the share of the segmenter's words.",
            lambda cut, gold: len(_spans(cut) & _spans(gold)) / len(cut),
        ),
        (
            "This is the recall: the share of the right words.",
            lambda cut, gold: len(_spans(cut) & _spans(gold)) / len(gold),
        ),
        (
            "This is the mean of precision and recall. F1 is another mean of the two.",
            lambda cut, gold: len(_spans(cut) & _spans(gold)) * (1 / len(cut) + 1 / len(gold)) / 2,
        ),
        (
            "You compare one end of each word only. A word has to begin and to end at the same place.",
            lambda cut, gold: (
                2
                * len({begin for begin, _ in _spans(cut)} & {begin for begin, _ in _spans(gold)})
                / (len(cut) + len(gold))
            ),
        ),
        (
            "You compare one end of each word only. A word has to begin and to end at the same place.",
            lambda cut, gold: (
                2 * len({end for _, end in _spans(cut)} & {end for _, end in _spans(gold)}) / (len(cut) + len(gold))
            ),
        ),
        (
            "A set of words forgets where they stand, and how often. Compare where the words stand.",
            lambda cut, gold: 2 * len(set(cut) & set(gold)) / (len(cut) + len(gold)),
        ),
        (
            "A set of words forgets where they stand, and how often. Compare where the words stand.",
            lambda cut, gold: 2 * len(set(cut) & set(gold)) / (len(set(cut)) + len(set(gold))),
        ),
        (
            "The first word need not stand against the first, and so on: one cut may have more words before it. "
            "Compare where the words stand.",
            lambda cut, gold: (
                2 * sum(one == other for one, other in zip(cut, gold, strict=False)) / (len(cut) + len(gold))
            ),
        ),
        ("A share from 0 to 1 is asked for. Yours is in per cent.", lambda cut, gold: 100 * cut_agreement(cut, gold)),
        (
            "The factor 2 of F1 is missing.",
            lambda cut, gold: len(_spans(cut) & _spans(gold)) / (len(cut) + len(gold)),
        ),
    ],
)
def cut_agreement(cut: list[str], gold: list[str]) -> float:
    """`cut` holds the words of a text as a segmenter cut it, `gold` as a person did. Both, joined, give the same
    text. Write `cut_agreement`: the F1 of the cut, from 0 to 1. A word of the cut is right if the person has a word
    that begins at the same character and ends at the same character. Precision is the share of right words in `cut`,
    recall their share in `gold`, and F1 is 2 · precision · recall / (precision + recall), or 0 if no word is right.

    `cut_agreement(["好", "天", "气"], ["好", "天气"])` gives `0.4` (好 *hǎo* “good”, 天气 *tiānqì* “weather”): 1 of 3
    words is right, and 1 of 2 is found.
    """
    places = []
    for words in (cut, gold):
        ends = [sum(map(len, words[: number + 1])) for number in range(len(words))]
        places.append({(end - len(word), end) for word, end in zip(words, ends, strict=True)})
    return 2 * len(places[0] & places[1]) / (len(cut) + len(gold))


def _packed(lines, length, cls, sep, ends=True, body=2, drop=False, blank=False, between=False):
    ids = [one for line in lines if line or blank for one in [*line, *[sep] * ends]]
    ids = ids[:-1] if between else ids
    size = length - body
    blocks = [[cls, *ids[at : at + size], sep] for at in range(0, len(ids), size)]
    return [block for block in blocks if len(block) == size + 2] if drop else blocks


@shelf.exercise(
    title="Blocks of fixed length",
    difficulty=2,
    minutes=12,
    use="the input of every pre-training, without padding",
    cases=lambda: [
        ([[7]], 4, 2, 3),
        ([[7, 8], [9]], 8, 2, 3),
        ([[7, 8], [], [9]], 8, 2, 3),
        ([], 5, 2, 3),
        ([[]], 5, 2, 3),
        ([[11, 12, 13, 14, 15]], 5, 2, 3),
        ([[11, 12, 13], [14, 15], [16]], 6, 2, 3),
        ([[11, 12, 13, 14], [15, 16, 17, 18, 19]], 4, 101, 102),
    ],
    hints=(
        "First string all lines together into one long list, then cut it. What stands after each line?",
        "Of `length` places two are taken by [CLS] and the last [SEP], so a block holds `length - 2` of the long list.",
    ),
    remark=(
        "The last block may be shorter. Whoever drops it loses text, and whoever forgets the two special tokens "
        "gets longer blocks."
    ),
    slips=[
        ("A [SEP] stands after every line, also within a block.", lambda *given: _packed(*given, ends=False)),
        ("[CLS] and [SEP] belong to the length: your blocks are two too long.", lambda *given: _packed(*given, body=0)),
        (
            "Your blocks are one too long: two places are taken by special tokens.",
            lambda *given: _packed(*given, body=1),
        ),
        ("The last block is kept, even if it is shorter.", lambda *given: _packed(*given, drop=True)),
        ("An empty line leaves no trace, not even a [SEP].", lambda *given: _packed(*given, blank=True)),
        (
            "Lines run on from block to block. You begin a new block with every line.",
            lambda lines, *rest: [block for line in lines for block in _packed([line], *rest)],
        ),
        (
            "The line's own [SEP] and the block's [SEP] are both there, even side by side.",
            lambda *given: [block[:-1] if block[-2:-1] == block[-1:] else block for block in _packed(*given)],
        ),
        (
            "The line's own [SEP] and the block's [SEP] are both there, also in the last block.",
            lambda *given: [*_packed(*given)[:-1], *[block[:-1] for block in _packed(*given)[-1:]]],
        ),
        (
            "A [SEP] stands after every line, also after the last one.",
            lambda *given: _packed(*given, between=True),
        ),
        (
            "Lines share blocks. You begin a new block with every line.",
            lambda lines, *rest: [block for line in lines for block in _packed([line], *rest, ends=False)],
        ),
        ("Your blocks are one too short: only two places are taken by special tokens.", lambda *g: _packed(*g, body=3)),
        ("Every block begins with [CLS].", lambda *given: [block[1:] for block in _packed(*given)]),
        ("Every block ends with [SEP].", lambda *given: [block[:-1] for block in _packed(*given)]),
    ],
)
def pack_lines(lines: list[list[int]], length: int, cls: int, sep: int) -> list[list[int]]:
    """Each entry of `lines` holds the token ids of one line. Write `pack_lines`: string all lines together, with the
    id `sep` after each line that is not empty, and cut the result into blocks. Each block is [CLS] (the id `cls`),
    then the next piece of the text, then [SEP]. All blocks have `length` tokens, special ones included. Only the last
    may be shorter. No lines give no blocks, and `length` is at least 3.

    `pack_lines([[7, 8], [], [9]], 5, cls=2, sep=3)` gives `[[2, 7, 8, 3, 3], [2, 9, 3, 3]]`.
    """
    ids = [token for line in lines if line for token in [*line, sep]]
    body = length - 2
    return [[cls, *ids[at : at + body], sep] for at in range(0, len(ids), body)]


shelf.question(
    "continuing_in_the_park",
    "我们去公园散步 “we go for a walk in the park” is cut as 我们 / 去 / 公园 / 散步. How many of its "
    "tokens continue a word?",
    3,
    "们 (men), 园 (yuán) and 步 (bù) continue a word. 去 (qù) is a word of one character, and nothing continues it.",
)
shelf.question(
    "one_line_short",
    "Your file of references has one line less than the text. Is it safe to add an empty reference at the end?",
    "No: from the missing line on, every line has the reference of another one",
    "The missing line is hardly ever the last one. Make the file again, from this very text.",
    wrong={
        "Yes: an empty reference only means that no word is known": (
            "That is true of the added line, and not of the others."
        ),
        "Yes: the missing one is surely the last": "It may belong to any line. Then all lines after it are off by one.",
    },
)
shelf.question(
    "without_a_segmenter",
    "Whoever uses the finished model has no segmenter. Does the model need one?",
    "No: words only decided which tokens were hidden together in training",
    "The input is a row of tokens without marks of words, in training and afterwards.",
    wrong={
        "Yes: otherwise its input looks different": (
            "The input holds tokens and no marks of words, in training as well."
        ),
        "Only for sentences that can be cut in two ways": "The model sees the same tokens, whatever the cut is.",
    },
)
shelf.question(
    "blocks_of_ten",
    "Lines of 5, 0 and 8 tokens are packed into blocks of 10 tokens, special tokens included. How many blocks "
    "come out?",
    2,
    "With a [SEP] after each of the two lines that have tokens there are 15 tokens, and a block holds 8 of them.",
)
