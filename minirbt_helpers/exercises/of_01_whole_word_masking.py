"""Exercises of notebook 01: the words of a block, choices under two budgets, what becomes of the chosen tokens."""

from .exercise import Shelf

shelf = Shelf("01_whole_word_masking", "Whole-word masking")
IDS = [2, 31, 32, 33, 34, 35, 36, 3]  # [CLS] 今 天 天 气 很 好 [SEP]


def _stops_early(words, order, budget):
    chosen = set()
    for number in order:
        if len(chosen) + len(words[number]) > budget:
            break
        chosen.update(words[number])
    return chosen


@shelf.exercise(
    title="Whole words under a budget",
    difficulty=1,
    minutes=10,
    use="the heart of whole-word masking",
    cases=lambda: [
        ([[1]], [0], 1),
        ([[1, 2]], [0], 1),
        ([[1, 2], [3]], [0, 1], 1),
        ([[1, 2], [3, 4], [5], [6]], [0, 2, 1, 3], 2),
        ([[1, 2], [3, 4], [5], [6]], [2, 0, 3, 1], 3),
        ([[1, 2, 3, 4], [5], [6, 7], [8]], [1, 0, 2, 3], 4),
        ([[1, 2, 3], [4, 5], [6], [7, 8], [9]], [3, 0, 1, 2, 4], 5),
        ([[1], [2, 3], [4, 5, 6], [7]], [2, 3, 1, 0], 0),
    ],
    hints=(
        "Go through the words in the given order, and keep the places that are chosen so far. When does a word fit?",
        "A word fits if the places chosen so far and its own together are at most `budget`. If not, go on with "
        "the next.",
    ),
    remark="A word that does not fit ends nothing: a shorter one after it may still fit. And a word is never cut.",
    slips=[
        (
            "Your function stops at the first word that does not fit. Pass over it and try the next one.",
            _stops_early,
        ),
        (
            "A word fits if it fills the budget exactly.",
            lambda words, order, budget: whole_words(words, order, budget - 1),
        ),
        (
            "You take the words in reading order. The order is given.",
            lambda words, order, budget: whole_words(words, sorted(order), budget),
        ),
        (
            "You go through the order from its end.",
            lambda words, order, budget: whole_words(words, order[::-1], budget),
        ),
        (
            "You return the numbers of the words. Return the places of their tokens.",
            lambda words, order, budget: {
                number for number in order if set(words[number]) <= whole_words(words, order, budget)
            },
        ),
    ],
    signs=[
        (
            "Return the places of the tokens, and not the numbers of the words.",
            lambda answer, words, order, budget: set(answer) - {place for word in words for place in word},
        ),
        (
            "Your choice exceeds the budget.",
            lambda answer, words, order, budget: len(answer) > budget,
        ),
        (
            "A word of yours is cut: all of its tokens are chosen, or none.",
            lambda answer, words, order, budget: any(0 < len(set(word) & set(answer)) < len(word) for word in words),
        ),
    ],
)
def whole_words(words: list[list[int]], order: list[int], budget: int) -> set[int]:
    """`words[i]` lists the places of the tokens of word i. Write `whole_words`: go through the words in the given
    `order` (a list of word numbers), take each word that still fits into the `budget` of tokens, and pass over each
    one that does not. Return the set of the chosen places.

    `whole_words([[1, 2], [3]], [0, 1], 1)` gives `{3}`: the first word does not fit into a budget of 1.
    """
    chosen = set()
    for number in order:
        if len(chosen) + len(words[number]) <= budget:
            chosen.update(words[number])
    return chosen


def _words(continues, special, forget=lambda continues, special, place: False):
    """Words of a block, with one thing forgotten."""
    words = []
    for place, goes_on in enumerate(continues):
        if special[place]:
            continue
        if goes_on and words and (not special[place - 1] or forget(continues, special, place)):
            words[-1].append(place)
        else:
            words.append([place])
    return words


@shelf.exercise(
    title="The words of a block",
    difficulty=2,
    minutes=12,
    use="a collator, a picture of words, a count by word length",
    cases=lambda: [
        ([False, False, False], [True, False, True]),
        ([False, False, True, False], [True, False, False, True]),
        ([False, False, True, False, True, False, False, False], [True, *[False] * 6, True]),
        ([False, False, True, True, True, False], [True, *[False] * 4, True]),
        ([False, True, False, False], [True, False, False, True]),
        ([False, False, False, False, True, False], [True, False, True, False, False, True]),
        ([False, False, True, False, True, False, False], [True, False, False, True, False, False, True]),
    ],
    hints=(
        "Three things can happen at a place: it belongs to no word, it goes on with the word before, it begins a word.",
        "A token goes on with the last word only if it continues one *and* the token before it is not special.",
    ),
    remark=(
        "A block can begin in the middle of a word: then the flag is set just after [CLS], and the token begins a word "
        "all the same."
    ),
    slips=[
        (
            "Every token begins a word of its own here. Look at the flags.",
            lambda continues, special: [[place] for place in range(len(special)) if not special[place]],
        ),
        (
            "After a special token a word begins, even if the flag says that one goes on.",
            lambda continues, special: _words(continues, special, lambda *_: True),
        ),
        (
            "The places are counted with [CLS] as 0. Yours are one too low.",
            lambda continues, special: [[place - 1 for place in word] for word in words_of_block(continues, special)],
        ),
        (
            "The flag is at the token that continues, not at the one before it.",
            lambda continues, special: words_of_block([*continues[1:], False], special),
        ),
        (
            "You keep words of two tokens and more only.",
            lambda continues, special: [word for word in words_of_block(continues, special) if len(word) > 1],
        ),
        (
            "Your last word is missing: when the places end, a word may still be open.",
            lambda continues, special: words_of_block(continues, special)[:-1],
        ),
    ],
    raises={"IndexError": "At the first token no word has begun yet: a flag there continues nothing."},
    signs=[
        (
            "[CLS] and [SEP] belong to no word.",
            lambda answer, continues, special: any(special[place] for word in answer for place in word),
        ),
    ],
)
def words_of_block(continues: list[bool], special: list[bool]) -> list[list[int]]:
    """A block says of every token whether it continues the word of the token before (`continues`), and whether it is
    [CLS], [SEP] or padding (`special`). Write `words_of_block`: the words of the block, each as the list of its
    places.

    - Places are counted with [CLS] as 0. Special tokens belong to no word.
    - A token that follows a special token begins a word, whatever its flag says (a block may start in the middle of
      a word; notebook 02).

    [CLS] 天 气 好 [SEP] (天气 *tiānqì* “weather”, 好 *hǎo* “good”) has the flag at 气:
    `words_of_block([False, False, True, False, False], [True, False, False, False, True])` gives `[[1, 2], [3]]`. The
    block [CLS] 气 好 [SEP] has it there, too: `words_of_block([False, True, False, False], [True, False, False, True])`
    gives `[[1], [2]]`.
    """
    words = []
    for place, goes_on in enumerate(continues):
        if special[place]:
            continue
        if goes_on and not special[place - 1]:
            words[-1].append(place)
        else:
            words.append([place])
    return words


def _in_turn(chosen, values):
    """The values at the chosen places, if the first value belongs to the first chosen place, and so on."""
    turned = list(values)
    for value, place in zip(values, sorted(chosen), strict=False):
        turned[place] = value
    return turned


@shelf.exercise(
    title="80, 10, 10",
    difficulty=2,
    minutes=12,
    use="the input and the labels of every masked language model",
    cases=lambda: [
        (IDS[:3], {1}, [0.0, 0.1, 0.9], [50, 51, 52], 4),
        (IDS[:3], {1}, [0.0, 0.85, 0.0], [50, 51, 52], 4),
        (IDS[:3], {1}, [0.0, 0.95, 0.0], [50, 51, 52], 4),
        (IDS, {3, 4}, [0.5] * 8, list(range(60, 68)), 4),
        (IDS, {1, 2, 5}, [0.1, 0.79, 0.8, 0.3, 0.2, 0.9, 0.1, 0.1], list(range(60, 68)), 4),
        (IDS, set(), [0.1] * 8, list(range(60, 68)), 4),
        (IDS, {1, 2, 3, 4, 5, 6}, [0.0, 0.05, 0.15, 0.2, 0.89, 0.91, 0.99, 0.0], list(range(60, 68)), 7),
    ],
    hints=(
        "Go through the places. A place that is not chosen keeps its token and gets the label -100.",
        "A chosen place has its own id as the label, always. What is seen there depends on its die: below 0.8, "
        "below 0.9, or not.",
    ),
    remark="The label holds the token from before the masking, also where the token is left as it was.",
    slips=[
        (
            "The labels hold the tokens before the masking. Yours hold what the model sees.",
            lambda ids, chosen, *rest: (
                masked_input(ids, chosen, *rest)[0],
                [seen if place in chosen else -100 for place, seen in enumerate(masked_input(ids, chosen, *rest)[0])],
            ),
        ),
        (
            "A place that is not asked for has the label -100. Yours has its id.",
            lambda ids, *rest: (
                masked_input(ids, *rest)[0],
                list(ids),
            ),
        ),
        (
            "Every chosen token becomes [MASK] here. A tenth becomes a random token, a tenth stays.",
            lambda ids, chosen, dice, draws, mask_id: masked_input(ids, chosen, [0.0] * len(ids), draws, mask_id),
        ),
        (
            "The share of [MASK] is too large: it ends at 0.8, and from there on a random token is drawn.",
            lambda ids, chosen, dice, draws, mask_id: masked_input(
                ids, chosen, [0.0 if die < 0.9 else die for die in dice], draws, mask_id
            ),
        ),
        (
            "The random share is too large: it ends at 0.9, and from there on the token stays.",
            lambda ids, chosen, dice, draws, mask_id: masked_input(
                ids, chosen, [min(die, 0.85) for die in dice], draws, mask_id
            ),
        ),
        (
            "A chosen token that stays as it was is asked for, too: it has a label.",
            lambda ids, chosen, dice, draws, mask_id: masked_input(
                ids, {place for place in chosen if dice[place] < 0.9}, dice, draws, mask_id
            ),
        ),
        (
            "You mask places that were not chosen.",
            lambda ids, chosen, *rest: masked_input(ids, set(range(len(ids))), *rest),
        ),
        (
            "Only the chosen places change. Yours changes others, too.",
            lambda ids, chosen, *rest: (
                masked_input(ids, set(range(len(ids))), *rest)[0],
                masked_input(ids, chosen, *rest)[1],
            ),
        ),
        (
            "`dice` and `draws` have a number for every place of `ids`. You count the chosen places only.",
            lambda ids, chosen, dice, draws, mask_id: masked_input(
                ids, chosen, _in_turn(chosen, dice), _in_turn(chosen, draws), mask_id
            ),
        ),
        (
            "`dice` has a number for every place of `ids`. You count the chosen places only.",
            lambda ids, chosen, dice, *rest: masked_input(ids, chosen, _in_turn(chosen, dice), *rest),
        ),
        (
            "`draws` has an id for every place of `ids`. You count the chosen places only.",
            lambda ids, chosen, dice, draws, mask_id: masked_input(ids, chosen, dice, _in_turn(chosen, draws), mask_id),
        ),
        (
            "You return the labels first. What the model sees comes first.",
            lambda *given: masked_input(*given)[::-1],
        ),
    ],
    signs=[
        (
            "A place that is not asked for has the label -100.",
            lambda answer, ids, chosen, *_: any(
                label != -100 for place, label in enumerate(answer[1]) if place not in chosen
            ),
        ),
        (
            "A die of exactly 0.8 draws a random token, and one of exactly 0.9 leaves the token.",
            lambda answer, ids, chosen, dice, *_: {dice[place] for place in chosen} & {0.8, 0.9},
        ),
    ],
    raises={"IndexError": "`draws` holds token ids, and not places. `dice` and `draws` are indexed by place."},
)
def masked_input(
    ids: list[int], chosen: set[int], dice: list[float], draws: list[int], mask_id: int
) -> tuple[list[int], list[int]]:
    """`ids` are the token ids of a block, and `chosen` holds the places in `ids` that are to be predicted. For every
    place of `ids`, chosen or not, there is a number from 0 to 1, `dice[place]`, and a random token id,
    `draws[place]`. The number decides what the model sees at a chosen place. Below 0.8 it sees [MASK] (`mask_id`).
    From 0.8 and below 0.9 it sees the random token. From 0.9 on it sees the token as it was. Write `masked_input`; it
    returns two lists as long as `ids`:

    - the token ids that the model sees,
    - the labels: the right token id at the chosen places, -100 everywhere else.

    `masked_input([31, 32, 33], {1, 2}, [0.0, 0.5, 0.85], [50, 51, 52], 4)` gives `([31, 4, 52], [-100, 32, 33])`.
    """
    seen, labels = [], []
    for place, token in enumerate(ids):
        labels.append(token if place in chosen else -100)
        if place not in chosen or dice[place] >= 0.9:
            seen.append(token)
        else:
            seen.append(mask_id if dice[place] < 0.8 else draws[place])
    return seen, labels


@shelf.exercise(
    title="Not asked, masked, random, unchanged",
    difficulty=1,
    minutes=6,
    use="a count that shows whether a collator keeps its 80/10/10",
    cases=lambda: [
        ([31], [31], [-100], 4),
        ([31], [4], [31], 4),
        ([31], [31], [31], 4),
        ([31], [77], [31], 4),
        ([2, 31, 32, 33, 3], [2, 4, 32, 90, 3], [-100, 31, 32, 33, -100], 4),
        ([2, 4, 31, 3], [2, 4, 4, 3], [-100, -100, 31, -100], 4),
        ([2, 31, 32, 33, 34, 3], [2, 9, 9, 33, 40, 3], [-100, 31, 32, -100, 34, -100], 9),
    ],
    hints=(
        "Ask the label first. It alone says whether a token is to be predicted.",
        "No label (-100): not asked. Else compare what is seen: with `mask_id`, then with the token before the "
        "masking.",
    ),
    remark=(
        "A token that looks unchanged is “not asked” if it has no label. A random draw that hits the very same token "
        "looks unchanged."
    ),
    slips=[
        (
            "A token with a label is “unchanged” if it stayed. You call it “not asked”.",
            lambda *given: ["not asked" if state == "unchanged" else state for state in token_fates(*given)],
        ),
        (
            "A token without a label is “not asked”. You call it “unchanged”.",
            lambda *given: ["unchanged" if state == "not asked" else state for state in token_fates(*given)],
        ),
        (
            "You ask for [MASK] before you ask for the label: the text itself may hold a [MASK].",
            lambda ids, masked, labels, mask_id: [
                "mask" if seen == mask_id else state
                for seen, state in zip(masked, token_fates(ids, masked, labels, mask_id), strict=True)
            ],
        ),
        (
            "You call every changed token “random”. [MASK] is “mask”.",
            lambda *given: ["random" if state == "mask" else state for state in token_fates(*given)],
        ),
        (
            "You call every changed token “mask”, also where another token stands now.",
            lambda *given: ["mask" if state == "random" else state for state in token_fates(*given)],
        ),
        (
            "You never say “unchanged”. A chosen token may have stayed as it was.",
            lambda *given: ["random" if state == "unchanged" else state for state in token_fates(*given)],
        ),
    ],
    signs=[
        (
            "The id of [MASK] is given as `mask_id`.",
            lambda answer, ids, masked, labels, mask_id: mask_id != 4,
        ),
    ],
    helpers=("minirbt_helpers.insight.measured.words.masking_states",),
)
def token_fates(ids: list[int], masked: list[int], labels: list[int], mask_id: int) -> list[str]:
    """From the ids before the masking (`ids`), the ids after it (`masked`) and the `labels`, say what happened to
    every token. Write `token_fates`; it returns one word per token:

    - `"not asked"`: it is not to be predicted (its label is -100),
    - `"mask"`: it became [MASK],
    - `"random"`: it became another token,
    - `"unchanged"`: it is to be predicted and stayed as it was.

    Before the masking no chosen token was [MASK]. A random draw that happens to be the same token counts as
    `"unchanged"`. `token_fates([2, 31, 32], [2, 4, 32], [-100, 31, 32], 4)` gives `["not asked", "mask", "unchanged"]`.
    """
    states = []
    for before, after, label in zip(ids, masked, labels, strict=True):
        if label == -100:
            states.append("not asked")
        elif after == mask_id:
            states.append("mask")
        else:
            states.append("unchanged" if after == before else "random")
    return states


@shelf.exercise(
    title="Hidden whole by chance",
    difficulty=2,
    minutes=8,
    use="the number that says why whole-word masking is needed",
    cases=lambda: [(1, 0.15), (2, 0.5), (2, 0.15), (3, 0.15), (4, 0.15), (2, 0.4), (3, 0.9), (3, 1.0)],
    hints=(
        "Of two events you need the probability: all tokens are drawn; at least one is drawn.",
        "The opposite of “at least one” is “none”: `(1 - p) ** size`. Divide the one probability by the other.",
    ),
    remark="Without “of the touched words” the number answers another question: how often any word is hidden whole.",
    slips=[
        (
            "This is the share of all words. The share of the touched words is asked for.",
            lambda size, p: p**size,
        ),
        (
            "This is how often a word is touched.",
            lambda size, p: 1 - (1 - p) ** size,
        ),
        (
            "This is the share of the touched words that are *not* hidden whole.",
            lambda size, p: 1 - hidden_whole(size, p),
        ),
        (
            "Touched means: at least one token is drawn. You divide by something else.",
            lambda size, p: p**size / (size * p),
        ),
        (
            "You divide by the probability that no token is drawn.",
            lambda size, p: p**size / (1 - p) ** size,
        ),
        (
            "The length of the word is missing in one of the two powers.",
            lambda size, p: p / (1 - (1 - p) ** size),
        ),
        ("This holds for words of two tokens only.", lambda size, p: p / (2 - p)),
        (
            "You assume that one particular token is drawn. Any of them may be.",
            lambda size, p: p ** (size - 1),
        ),
        (
            "1 − pⁿ says that not all tokens are drawn. Touched means: at least one is drawn.",
            lambda size, p: p**size / (1 - p**size),
        ),
        ("A probability from 0 to 1 is asked for. Yours is in per cent.", lambda size, p: 100 * hidden_whole(size, p)),
    ],
)
def hidden_whole(size: int, p: float) -> float:
    """Token masking draws every token on its own with probability `p`. A word of `size` tokens is *touched* if at
    least one of its tokens is drawn, and hidden *whole* if all are. Write `hidden_whole`: the share of the touched
    words that are hidden whole, from 0 to 1.

    `p` is above 0 and at most 1. `hidden_whole(1, 0.15)` gives `1`, and so does any other `p` with one token.
    """
    return p**size / (1 - (1 - p) ** size)


def _crossing(words, order, budget, luck, later=False):
    """The fair choice, which may go on after the first word that does not fit."""
    chosen = set()
    for number in order:
        left, size = budget - len(chosen), len(words[number])
        if size <= left or luck * size < left:
            chosen.update(words[number])
        if size > left and not later:
            break
    return chosen


@shelf.exercise(
    title="A fair budget",
    difficulty=2,
    minutes=12,
    use="long words and short ones get more equal chances",
    cases=lambda: [
        ([[1]], [0], 1.0, 0.9),
        ([[1, 2]], [0], 1.5, 0.7),
        ([[1, 2]], [0], 1.5, 0.8),
        ([[1, 2, 3, 4], [5], [6, 7], [8]], [1, 0, 2, 3], 3.0, 0.4),
        ([[1, 2, 3, 4], [5], [6, 7], [8]], [1, 0, 2, 3], 3.0, 0.6),
        ([[1, 2, 3], [4, 5], [6], [7, 8], [9]], [3, 0, 1, 2, 4], 4.25, 0.9),
        ([[1, 2], [3, 4], [5], [6]], [2, 0, 3, 1], 3.5, 0.3),
        ([[1, 2], [3]], [0, 1], 2.0, 0.0),
    ],
    hints=(
        "As long as words fit, nothing differs from `whole_words`. What is new happens once, at the first word that "
        "does not fit.",
        "At that word, compare `luck` with left / size. Then leave the loop, whether the word was taken or not.",
    ),
    remark=(
        "The last word adds size tokens with probability left / size: on average just the left ones. So the budget is "
        "met on average, and a choice exceeds it by less than one word."
    ),
    slips=[
        (
            "After the first word that does not fit, nothing more is taken. Yours passes over it and goes on.",
            lambda words, order, budget, luck: _crossing(words, order, budget, luck, later=True),
        ),
        (
            "The word that does not fit has a chance. Yours never takes it.",
            lambda words, order, budget, luck: _crossing(words, order, budget, 2.0),
        ),
        (
            "The word that does not fit is taken with probability left / size. Yours always takes it.",
            lambda words, order, budget, luck: _crossing(words, order, budget, 0.0),
        ),
        (
            "The comparison is the wrong way round: the larger left / size is, the more often the word is taken.",
            lambda words, order, budget, luck: _crossing(words, order, budget, 1 - luck),
        ),
        (
            "The budget need not be a whole number. Do not round it.",
            lambda words, order, budget, luck: _crossing(words, order, round(budget), luck),
        ),
        (
            "This is the published budget: it passes over. The fair one is asked for.",
            lambda words, order, budget, luck: whole_words(words, order, budget),
        ),
    ],
    signs=[
        (
            "Return the places of the tokens, and not the numbers of the words.",
            lambda answer, words, *_: set(answer) - {place for word in words for place in word},
        ),
        (
            "A word of yours is cut: all of its tokens are chosen, or none.",
            lambda answer, words, *_: any(0 < len(set(word) & set(answer)) < len(word) for word in words),
        ),
    ],
)
def fair_words(words: list[list[int]], order: list[int], budget: float, luck: float) -> set[int]:
    """Go through the words in the given `order`, as in `whole_words`, and take each word that fits into what is left
    of the `budget`; the budget need not be a whole number. At the first word that does not fit, `luck` decides, a
    random number from 0 to 1: the word is taken if `luck` is below left / size, where *left* is what is left of the
    budget and *size* the number of the word's tokens. Then the choice ends. Write `fair_words`; it returns the set of
    the chosen places.

    `fair_words([[1, 2], [3]], [0, 1], 1.5, 0.7)` gives `{1, 2}`, because 0.7 is below 1.5 / 2. With a luck of 0.8
    the result is empty.
    """
    chosen = set()
    for number in order:
        left, size = budget - len(chosen), len(words[number])
        if size <= left or luck * size < left:
            chosen.update(words[number])
        if size > left:
            break
    return chosen


shelf.question(
    "budget_of_forty",
    "A block has 40 tokens of text, and 15% are to be predicted. How many tokens may be chosen?",
    6,
    "15% of 40 is 6. Words are taken while they fit, and the budget is never exceeded.",
)
shelf.question(
    "last_of_the_budget",
    "The budget is 6, and 5 tokens are chosen. The next word has two tokens, the one after it has one. What happens?",
    "The word of two is passed over, and the word of one is taken",
    "Passing over keeps both laws: no word is cut, and the budget is not exceeded.",
    wrong={
        "One token of the next word is taken": "Then a word would be cut, and its other half would be a hint.",
        "The choice ends here": "Then long words would end many choices too early.",
        "Both are taken": "That would be 8 tokens of 6.",
    },
)
shelf.question(
    "why_unchanged",
    "A tenth of the chosen tokens stays as it is. What is that good for?",
    "The model cannot trust a token just because it is not [MASK]",
    "In fine-tuning nothing is [MASK], and every place should be worth reading.",
    wrong={
        "It makes the task easier at the beginning": "The share is the same from the first step to the last.",
        "It saves work: these tokens need no prediction": "They are predicted as well: each has a label.",
    },
)
shelf.question(
    "half_word_two_tokens",
    "Token masking at 15% touches a word of two tokens. With which probability, in per cent, does it hide both?",
    100 * 0.15**2 / (1 - 0.85**2),
    "0.15² / (1 − 0.85²) = 0.0225 / 0.2775, about 8.1%.",
    tolerance=0.03,
)
