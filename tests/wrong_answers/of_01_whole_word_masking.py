"""Wrong answers to the exercises of notebook 01."""

from . import Wrong


def stops(words, order, budget):
    chosen = set()
    for number in order:
        if len(chosen | set(words[number])) > budget:
            return chosen
        chosen |= set(words[number])
    return chosen


def strictly_less(words, order, budget):
    chosen = set()
    for number in order:
        if len(chosen) + len(words[number]) < budget:
            chosen |= set(words[number])
    return chosen


def any_order(words, order, budget):
    chosen = set()
    for word in words:
        if len(chosen) + len(word) <= budget:
            chosen |= set(word)
    return chosen


def asks_too_late(words, order, budget):
    chosen = set()
    for number in order:
        if len(chosen) < budget:
            chosen |= set(words[number])
    return chosen


def cuts(words, order, budget):
    places = [place for number in order for place in words[number]]
    return set(places[:budget])


def numbers(words, order, budget):
    chosen, left = set(), budget
    for number in order:
        if len(words[number]) <= left:
            chosen.add(number)
            left -= len(words[number])
    return chosen


def fair(words, order, budget, luck, on=False):
    chosen = set()
    for number in order:
        left = budget - len(chosen)
        fits = len(words[number]) <= left
        if fits or luck * len(words[number]) < left:
            chosen |= set(words[number])
        if not fits and not on:
            return chosen
    return chosen


def with_specials(continues, special):
    words = []
    for place, goes_on in enumerate(continues):
        if goes_on and place and not special[place] and not special[place - 1]:
            words[-1].append(place)
        else:
            words.append([place])
    return words


def glued(continues, special):
    words = []
    for place, goes_on in enumerate(continues):
        if special[place]:
            continue
        if goes_on and words:
            words[-1].append(place)
        else:
            words.append([place])
    return words


def from_one(continues, special):
    words = []
    for place, goes_on in enumerate(continues):
        if special[place]:
            continue
        if goes_on and not special[place - 1]:
            words[-1].append(place - 1)
        else:
            words.append([place - 1])
    return words


def flag_before(continues, special):
    words = []
    for place, goes_on in enumerate([*continues[1:], False]):
        if not special[place]:
            if goes_on and words and not special[place - 1]:
                words[-1].append(place)
            else:
                words.append([place])
    return words


def loses_the_last(continues, special):
    words, word = [], []
    for place, goes_on in enumerate(continues):
        if word and (special[place] or special[place - 1] or not goes_on):
            words.append(word)
            word = []
        if not special[place]:
            word.append(place)
    return words if word else words[:-1]


def goes_on_with_none(continues, special):
    words = []
    for place, goes_on in enumerate(continues):
        if not special[place]:
            if not goes_on:
                words.append([])
            words[-1] += [place]
    return words


def numbers_counted(words, order, budget):
    chosen = set()
    for number in order:
        if len(chosen) + len(words[number]) <= budget:
            chosen.add(number)
    return chosen


def by_turn(ids, chosen, dice, draws, mask_id, dice_too=True):
    seen, labels = list(ids), [-100] * len(ids)
    for turn, place in enumerate(sorted(chosen)):
        labels[place] = ids[place]
        die = dice[turn if dice_too else place]
        if die < 0.9:
            seen[place] = mask_id if die < 0.8 else draws[turn]
    return seen, labels


def masks_all(ids, chosen, dice, draws, mask_id):
    _, labels = masks(ids, chosen, dice, draws, mask_id)
    return masks(ids, range(len(ids)), dice, draws, mask_id)[0], labels


def draws_as_places(ids, chosen, dice, draws, mask_id):
    seen = list(ids)
    for place in chosen:
        seen[place] = mask_id if dice[place] < 0.8 else ids[draws[place]] if dice[place] < 0.9 else ids[place]
    return seen, [token if place in chosen else -100 for place, token in enumerate(ids)]


def never_unchanged(ids, masked, labels, mask_id):
    return [
        "not asked" if label == -100 else "mask" if after == mask_id else "random"
        for after, label in zip(masked, labels, strict=True)
    ]


def states(ids, masked, labels, mask_id, first="label"):
    found = []
    for before, after, label in zip(ids, masked, labels, strict=True):
        if first == "mask" and after == mask_id:
            found.append("mask")
        elif label == -100:
            found.append("not asked")
        else:
            found.append("mask" if after == mask_id else "unchanged" if after == before else "random")
    return found


def by_looks(ids, masked, labels, mask_id):
    return [
        "mask" if after == mask_id and label != -100 else "not asked" if after == before else "random"
        for before, after, label in zip(ids, masked, labels, strict=True)
    ]


def masks(ids, chosen, dice, draws, mask_id, low=0.8, high=0.9, label=lambda before, after: before, rest=-100):
    seen = [
        token if place not in chosen or dice[place] >= high else mask_id if dice[place] < low else draws[place]
        for place, token in enumerate(ids)
    ]
    return seen, [label(token, seen[place]) if place in chosen else rest for place, token in enumerate(ids)]


WRONG = {
    "whole_words": [
        Wrong("stops at a word that does not fit", stops, "stops at the first word"),
        Wrong("off by one: < for <=", strictly_less, "fills the budget exactly"),
        Wrong("reading order", any_order, "The order is given"),
        Wrong("exceeds the budget", asks_too_late, "exceeds the budget"),
        Wrong("cuts a word", cuts, "is cut"),
        Wrong("word numbers", numbers, "numbers of the words"),
        Wrong("word numbers, and the budget counts them", numbers_counted, "numbers of the words"),
        Wrong("from the end", lambda words, order, budget: stops(words, order[::-1], 99), "exceeds the budget"),
    ],
    "words_of_block": [
        Wrong("[CLS] and [SEP] as words", with_specials, "belong to no word"),
        Wrong("a flag after [CLS] or [SEP] counts", glued, "After a special token"),
        Wrong("off by one", from_one, "one too low"),
        Wrong("flag of the token before", flag_before, "not at the one before"),
        Wrong(
            "tokens for words", lambda c, s: [[place] for place in range(len(c)) if not s[place]], "Look at the flags"
        ),
        Wrong(
            "long words only",
            lambda c, s: [word for word in with_specials(c, s) if len(word) > 1],
            "two tokens and more",
        ),
        Wrong(
            "no special tokens known",
            lambda c, s: [[place] for place, goes_on in enumerate(c) if not goes_on],
            "belong to no word",
        ),
        Wrong("loses the last word", loses_the_last, "last word is missing"),
        Wrong("goes on with no word", goes_on_with_none, "no word has begun yet"),
    ],
    "masked_input": [
        Wrong("dice and draws by turn", by_turn, "for every place of `ids`"),
        Wrong("draws by turn", lambda *g: by_turn(*g, dice_too=False), "`draws` has an id for every place"),
        Wrong("masks all places", masks_all, "Only the chosen places change"),
        Wrong("draws as places", draws_as_places, "token ids, and not places"),
        Wrong("labels of what is seen", lambda *g: masks(*g, label=lambda before, after: after), "before the masking"),
        Wrong("labels everywhere", lambda ids, *g: (masks(ids, *g)[0], list(ids)), "has the label -100"),
        Wrong("always [MASK]", lambda *g: masks(*g, low=2, high=2), "A tenth becomes a random token"),
        Wrong("90% [MASK]", lambda *g: masks(*g, low=0.9), "share of [MASK] is too large"),
        Wrong("never unchanged", lambda *g: masks(*g, high=2), "from there on the token stays"),
        Wrong("two results for one", lambda *g: masks(*g)[0], "a list is asked for"),
        Wrong(
            "<= for <",
            lambda ids, chosen, dice, *g: masks(ids, chosen, [die - 1e-9 for die in dice], *g),
            "exactly 0.8",
        ),
        Wrong("0 for -100", lambda *g: masks(*g, rest=0), "has the label -100"),
    ],
    "token_fates": [
        Wrong("looks alone", by_looks, "“unchanged” if it stayed"),
        Wrong("[MASK] before the label", lambda *g: states(*g, first="mask"), "before you ask for the label"),
        Wrong(
            "unchanged for not asked",
            lambda *g: ["unchanged" if one == "not asked" else one for one in states(*g)],
            "You call it “unchanged”",
        ),
        Wrong("no [MASK]", lambda *g: [one.replace("mask", "random") for one in states(*g)], "[MASK] is “mask”"),
        Wrong("a fixed id of [MASK]", lambda ids, masked, labels, _: states(ids, masked, labels, 4), "`mask_id`"),
        Wrong("never unchanged", never_unchanged, "never say “unchanged”"),
        Wrong("a set", lambda *g: set(states(*g)), "the order counts"),
    ],
    "fair_words": [
        Wrong(
            "the published budget",
            lambda words, order, budget, luck: fair(words, order, budget, 2, on=True),
            "passes over",
        ),
        Wrong("goes on", lambda *g: fair(*g, on=True), "nothing more is taken"),
        Wrong("never the last", lambda words, order, budget, luck: fair(words, order, budget, 2), "never takes it"),
        Wrong("always the last", lambda words, order, budget, luck: fair(words, order, budget, 0), "always takes it"),
        Wrong("luck upside down", lambda words, order, budget, luck: fair(words, order, budget, 1 - luck), "way round"),
        Wrong(
            "a rounded budget", lambda words, order, budget, luck: fair(words, order, round(budget), luck), "round it"
        ),
        Wrong("cuts the last", lambda words, order, budget, luck: cuts(words, order, int(budget)), "is cut"),
        Wrong(
            "numbers of words",
            lambda *g: {n for n, word in enumerate(g[0]) if set(word) <= fair(*g)},
            "not the numbers",
        ),
    ],
    "hidden_whole": [
        Wrong("of all words", lambda size, p: p**size, "share of all words"),
        Wrong("touched", lambda size, p: 1 - (1 - p) ** size, "how often a word is touched"),
        Wrong("not whole", lambda size, p: 1 - p**size / (1 - (1 - p) ** size), "*not* hidden whole"),
        Wrong("expected tokens", lambda size, p: p ** (size - 1) / size, "at least one token"),
        Wrong("none for some", lambda size, p: (p / (1 - p)) ** size, "no token is drawn"),
        Wrong("two tokens always", lambda size, p: p / (2 - p), "words of two tokens only"),
        Wrong("the others follow", lambda size, p: p ** (size - 1), "one particular token"),
        Wrong("not all for some", lambda size, p: p**size / (1 - p**size), "not all tokens"),
        Wrong("per cent", lambda size, p: 100 * p**size / (1 - (1 - p) ** size), "in per cent"),
    ],
}
