"""Wrong answers to the exercises of notebook 02."""

from . import Wrong


def in_a_row(text, words):
    places, at = [], 0
    for word in words:
        places.append((at, at + len(word)))
        at += len(word)
    return places


def found(text, words, shift=0, end=0):
    places, at = [], 0
    for word in words:
        at = text.index(word, at)
        places.append((at + shift, at + len(word) + shift + end))
        at += len(word)
    return places


def reference(offsets, spans, first=1, low=1, high=0):
    inside = {place for begin, end in spans for place in range(begin + low, end + high)}
    return [place for place, (begin, _) in enumerate(offsets, first) if begin in inside]


def wordpiece(word, vocabulary, longest=True, mark="##", lost=("[UNK]",), all_or_nothing=True, shown=True):
    pieces, at = [], 0
    while at < len(word):
        ends = range(at + 1, len(word) + 1)
        for end in reversed(ends) if longest else ends:
            piece = (mark if at else "") + word[at:end]
            if piece in vocabulary:
                pieces.append(piece if shown else word[at:end])
                at = end
                break
        else:
            return list(lost) if all_or_nothing else [*pieces, *lost]
    return pieces


def with_a_way_back(word, vocabulary, at=0):
    if at == len(word):
        return []
    for end in range(len(word), at, -1):
        piece = ("##" if at else "") + word[at:end]
        if piece in vocabulary:
            rest = with_a_way_back(word, vocabulary, end)
            if rest != ["[UNK]"]:
                return [piece, *rest]
    return ["[UNK]"]


def places(words):
    at, found = 0, set()
    for word in words:
        found.add((at, at + len(word)))
        at += len(word)
    return found


def ends_alone(cut, gold):
    ends = [{end for _, end in places(words)} for words in (cut, gold)]
    return 2 * len(ends[0] & ends[1]) / (len(cut) + len(gold))


def in_step(cut, gold):
    return 2 * sum(one == other for one, other in zip(cut, gold, strict=False)) / (len(cut) + len(gold))


def shares(cut, gold):
    right = len(places(cut) & places(gold))
    return right / len(cut), right / len(gold)


def blocks(lines, length, cls, sep, body=2, ended=True, first=True, last=True, blank=False):
    ids = []
    for line in lines:
        if line or blank:
            ids += line + ([sep] if ended else [])
    size = length - body
    return [([cls] if first else []) + ids[at : at + size] + ([sep] if last else []) for at in range(0, len(ids), size)]


def one_sep(lines, length, cls, sep):
    packed = blocks(lines, length, cls, sep)
    for block in packed:
        if len(block) > 2 and block[-2] == sep:
            block.pop()
    return packed


def between(lines, length, cls, sep):
    ids = []
    for line in filter(None, lines):
        ids += [sep, *line] if ids else line
    return [[cls, *ids[at : at + length - 2], sep] for at in range(0, len(ids), length - 2)]


def over_one_space(text, words):
    places, at = [], 0
    for word in words:
        if text[at] == " ":
            at += 1
        places.append((at, at + len(word)))
        at += len(word)
    return places


def from_the_last_end(text, words):
    places, at = [], 0
    for word in words:
        end = text.index(word, at) + len(word)
        places.append((at, end))
        at = end
    return places


def bare_inside(word, vocabulary):
    return wordpiece(word, vocabulary | {f"##{piece}" for piece in vocabulary if not piece.startswith("##")})


def marked_first(word, vocabulary):
    return wordpiece(word, vocabulary | {piece.removeprefix("##") for piece in vocabulary})


def within(offsets, spans):
    return [n for n, (s, t) in enumerate(offsets, 1) if any(b < s and t <= e for b, e in spans)]


def overlapping(offsets, spans):
    return [n for n, (s, t) in enumerate(offsets, 1) if any(s < e and t > b + 1 and s != b for b, e in spans)]


def over_an_end(offsets, spans):
    return [n for n, (s, t) in enumerate(offsets, 1) if any(b < s < e or s < e < t for b, e in spans)]


def all_but_the_first(offsets, spans):
    found = []
    for begin, end in spans:
        found += [n for n, (s, _) in enumerate(offsets, 1) if begin <= s < end][1:]
    return sorted(found)


def no_first(offsets, spans):
    return [n for n, (s, _) in enumerate(offsets, 1) if all(s != begin for begin, _ in spans)]


WRONG = {
    "word_places": [
        Wrong("from the beginning", lambda t, w: [(t.find(o), t.find(o) + len(o)) for o in w], "from the beginning"),
        Wrong("no spaces", in_a_row, "may hold spaces"),
        Wrong("last character for end", lambda t, w: found(t, w, end=-1), "just after the last character"),
        Wrong("counted with [CLS]", lambda t, w: found(t, w, shift=1), "no [CLS] in a text"),
        Wrong("begins alone", lambda t, w: [begin for begin, _ in found(t, w)], "a pair is asked for"),
        Wrong("one space", over_one_space, "Several spaces"),
        Wrong("begins at the spaces", from_the_last_end, "Spaces before it"),
        Wrong("begin and length", lambda t, w: [(b, e - b) for b, e in found(t, w)], "not its length"),
    ],
    "continuing_tokens": [
        Wrong("forgot [CLS]", lambda o, s: reference(o, s, first=0), "[CLS] is token 0"),
        Wrong("all tokens of a word", lambda o, s: reference(o, s, low=0), "first token of a word"),
        Wrong("off by one at the end", lambda o, s: reference(o, s, high=1), "end of a span"),
        Wrong(
            "characters",
            lambda o, s: [p for b, e in s for p in range(b + 1, e)],
            "Number the tokens, not the characters",
        ),
        Wrong(
            "the others",
            lambda o, s: [p for p in range(1, len(o) + 1) if p not in reference(o, s)],
            "do *not* continue",
        ),
        Wrong("the token's end counts", within, "Where the token begins decides"),
        Wrong("overlap", overlapping, "runs into a word"),
        Wrong("runs over an end", over_an_end, "runs over a word's end"),
        Wrong("all but the first", all_but_the_first, "may begin after the word's first character"),
        Wrong("not at a word's beginning", no_first, "outside every span"),
        Wrong("flags", lambda o, s: [p in reference(o, s) for p in range(1, len(o) + 1)], "not True and False"),
    ],
    "greedy_pieces": [
        Wrong("shortest first", lambda w, v: wordpiece(w, v, longest=False), "you take the shortest"),
        Wrong("no ##", lambda w, v: wordpiece(w, v, mark=""), "has ## before it"),
        Wrong("## lost", lambda w, v: wordpiece(w, v, shown=False), "keep their ##"),
        Wrong("keeps the pieces before [UNK]", lambda w, v: wordpiece(w, v, all_or_nothing=False), "becomes one [UNK]"),
        Wrong("nothing for [UNK]", lambda w, v: wordpiece(w, v, lost=()), "one [UNK]"),
        Wrong("bare pieces inside", bare_inside, "does not match there"),
        Wrong("## at the beginning", marked_first, "The first piece has no ##"),
        Wrong("lower case", lambda w, v: wordpiece(w.lower(), v), "Letter case counts"),
        Wrong("finds a way back", with_a_way_back, "gives nothing back"),
    ],
    "cut_agreement": [
        Wrong("words without places", lambda c, g: 2 * len([w for w in c if w in g]) / len([*c, *g]), "another place"),
        Wrong("precision", lambda c, g: shares(c, g)[0], "This is the precision"),
        Wrong("recall", lambda c, g: shares(c, g)[1], "This is the recall"),
        Wrong("mean", lambda c, g: sum(shares(c, g)) / 2, "mean of precision and recall"),
        Wrong("ends alone", ends_alone, "one end of each word only"),
        Wrong("sets of words", lambda c, g: 2 * len({*c} & {*g}) / len([*c, *g]), "A set of words"),
        Wrong("k-th with k-th", in_step, "need not stand against the first"),
        Wrong("forgot the 2", lambda c, g: shares(c, g)[0] * len(c) / (len(c) + len(g)), "factor 2"),
        Wrong(
            "divides by zero",
            lambda c, g: 2 * shares(c, g)[0] * shares(c, g)[1] / sum(shares(c, g)),
            "ZeroDivisionError",
        ),
    ],
    "pack_lines": [
        Wrong("no [SEP] after lines", lambda *g: blocks(*g, ended=False), "after every line"),
        Wrong("two too long", lambda *g: blocks(*g, body=0), "two too long"),
        Wrong("one too long", lambda *g: blocks(*g, body=1), "one too long"),
        Wrong("no [CLS]", lambda *g: blocks(*g, first=False), "begins with [CLS]"),
        Wrong("a block per line", lambda lines, *g: [b for one in lines for b in blocks([one], *g)], "run on"),
        Wrong("blank lines count", lambda *g: blocks(*g, blank=True), "leaves no trace"),
        Wrong("[SEP] twice is too much", one_sep, "even side by side"),
        Wrong("[SEP] between lines only", lambda *g: between(*g), "after the last one"),
        Wrong(
            "lines apart", lambda lines, *g: [b for o in lines for b in blocks([o], *g, ended=False)], "share blocks"
        ),
        Wrong("one too short", lambda *g: blocks(*g, body=3), "one too short"),
        Wrong("drops the rest", lambda *g: [b for b in blocks(*g) if len(b) == g[1]], "last block is kept"),
    ],
}
