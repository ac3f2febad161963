"""Exercises of notebook 06: attention by hand, between words, and how alike two heads or two states are."""

from itertools import permutations

import numpy as np
import torch
from torch import Tensor

from .exercise import Shelf
from .samples import normal, shares

shelf = Shelf("06_looking_inside", "Looking inside")


@shelf.exercise(
    title="Attention of one head",
    difficulty=2,
    minutes=10,
    use="to see what fused kernels never write down",
    cases=lambda: [
        (torch.tensor([[1.0]]), torch.tensor([[1.0]]), torch.tensor([[1.0]])),
        (normal(1, 2, 2), normal(2, 1, 2), normal(3, 1, 2)),
        (normal(4, 3, 4), normal(5, 2, 4), normal(6, 2, 4)),
        (normal(7, 5, 3), normal(8, 4, 3), normal(9, 4, 3)),
        (normal(10, 6, 8), normal(11, 4, 8), normal(12, 4, 8)),
    ],
    hints=(
        "Each token needs a query and a key of the head's width. Which shape has the table of all inner products?",
        "`states @ query.T` and `states @ key.T` are [tokens, width]. Divide the scores by the root of the "
        "width, then softmax.",
    ),
    remark="The width is the head's, not the model's, and softmax runs over the tokens that are looked at.",
    slips=[
        ("The division by the root of the width is missing.", lambda s, q, k: _attention(s, q, k, 1)),
        ("You divide by the width. Divide by its root.", lambda s, q, k: _attention(s, q, k, len(q))),
        (
            "You take the width of the model. The head's own width is meant.",
            lambda s, q, k: _attention(s, q, k, s.shape[1] ** 0.5),
        ),
        (
            "Each row adds up to 1: softmax runs over the tokens that are looked at.",
            lambda s, q, k: _attention(s, q, k, len(q) ** 0.5, 0),
        ),
        (
            "Rows are the tokens that look. You have exchanged query and key.",
            lambda s, q, k: _attention(s, k, q, len(q) ** 0.5),
        ),
        ("Softmax is missing.", lambda s, q, k: (s @ q.T) @ (s @ k.T).T / len(q) ** 0.5),
        ("You multiply by the root of the width.", lambda s, q, k: _attention(s, q, k, len(q) ** -0.5)),
    ],
    helpers=("scaled_dot_product_attention", "torch.nn.functional.multi_head_attention_forward"),
)
def head_attention(states: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """`states` [tokens, hidden] go into a layer, and a head has the matrices `query` and `key`, each [width, hidden]
    as PyTorch's `Linear` keeps them. (Biases are left out here.) Write `head_attention`: the attention [tokens,
    tokens]. The score of a pair is the inner product of the query of the token that looks and the key of the token that
    is looked at, divided by the square root of the head's width. Softmax makes shares of the scores: each row adds up
    to 1.

    `head_attention(tensor([[1.0, 0.0], [0.0, 1.0]]), tensor([[1.0, 0.0]]), tensor([[1.0, 0.0]]))`
    gives `tensor([[0.731…, 0.269…], [0.5, 0.5]])`.
    """
    queries = states @ query.T  # [tokens, width]
    keys = states @ key.T
    scores = queries @ keys.T / len(query) ** 0.5  # [tokens, tokens]
    return scores.softmax(-1)


def _attention(states, query, key, divisor, axis=-1):
    return (states @ query.T @ (states @ key.T).T / divisor).softmax(axis)


@shelf.exercise(
    title="Who looks ahead?",
    difficulty=1,
    minutes=8,
    use="to find the heads for the next and the previous character",
    cases=lambda: [
        (shares(1, 1, 4, 4),),
        (shares(3, 2, 5, 5),),
        (shares(4, 3, 8, 8),),
        (torch.eye(6).roll(1, 1)[None],),
    ],
    hints=(
        "Which rows ask, and which column belongs to each of them? Leave out the first row and the last one.",
        "With `inner = torch.arange(1, tokens - 1)` the wanted numbers are `attention[:, inner, inner + 1]`.",
    ),
    remark="Row and column must move together: one number per row, and not a rectangle of the table.",
    slips=[
        ("[CLS] and [SEP] do not ask. You let [CLS] ask.", lambda a: a.diagonal(1, 1, 2).mean(-1)),
        ("This is the share on the previous token.", lambda a: a.diagonal(-1, 1, 2)[:, :-1].mean(-1)),
        ("This is the share on the token itself.", lambda a: a.diagonal(0, 1, 2)[:, 1:-1].mean(-1)),
        ("You add up. The mean over the tokens that ask is meant.", lambda a: a.diagonal(1, 1, 2)[:, 1:].sum(-1)),
        ("Each head has a number of its own. You average over the heads.", lambda a: a.diagonal(1, 1, 2)[:, 1:].mean()),
        ("The token before [SEP] asks, too.", lambda a: a.diagonal(1, 1, 2)[:, 1:-1].mean(-1)),
        (
            "You divide by all tokens. [CLS] and [SEP] do not ask.",
            lambda a: a.diagonal(1, 1, 2)[:, 1:].sum(-1) / a.shape[-1],
        ),
    ],
    helpers=("minirbt_helpers.insight.measured.attention.gaze",),
)
def next_share(attention: Tensor) -> Tensor:
    """`attention` is [heads, tokens, tokens]. A row is a token that looks, a column a token that is looked at. The
    first token is [CLS], the last one [SEP]. Write `next_share`: for each head the mean share that a token gives to
    the token right after it, [heads]. All tokens ask but [CLS] and [SEP].

    `next_share(tensor([[[1.0, 0.0, 0.0], [0.2, 0.3, 0.5], [0.0, 0.0, 1.0]]]))` gives `tensor([0.5])`.
    """
    inner = torch.arange(1, attention.shape[-1] - 1)
    return attention[:, inner, inner + 1].mean(-1)


def _pooled(attention, words, rows, columns):
    return torch.stack([torch.stack([columns(rows(attention[q][:, k], 0), 0) for k in words]) for q in words])


@shelf.exercise(
    title="From characters to words",
    difficulty=2,
    minutes=10,
    use="pictures of attention that a reader can take in",
    cases=lambda: [
        (shares(1, 2, 2), [[0], [1]]),
        (shares(2, 3, 3), [[0], [1, 2]]),
        (shares(3, 4, 4), [[0], [1, 2], [3]]),
        (shares(4, 6, 6), [[0], [1, 2], [3, 4], [5]]),
        (shares(5, 8, 8), [[0], [1, 2, 3], [4], [5, 6], [7]]),
    ],
    hints=(
        "Two axes, two rules: one for the characters that look, another for those that are looked at.",
        "For the words q and k take `attention[q][:, k]`: add up its columns, then average over its rows.",
    ),
    remark="Only the sum over the columns and the mean over the rows keep the rows at 1.",
    slips=[
        (
            "Shares add up: over the characters that are looked at the sum is taken, not the mean.",
            lambda a, w: _pooled(a, w, torch.mean, torch.mean),
        ),
        (
            "Over the characters that look the mean is taken, not the sum.",
            lambda a, w: _pooled(a, w, torch.sum, torch.sum),
        ),
        (
            "You have exchanged the two axes: mean over those who look, sum over those looked at.",
            lambda a, w: _pooled(a, w, torch.sum, torch.mean),
        ),
        ("You transpose the table: rows are the words that look.", lambda a, w: _pooled(a, w, torch.mean, torch.sum).T),
        (
            "You take the largest share of a word, where the sum is asked for.",
            lambda a, w: torch.stack([torch.stack([a[q][:, k].amax(1).mean() for k in w]) for q in w]),
        ),
        (
            "You look at the first character of each word only.",
            lambda a, w: a[[word[0] for word in w]][:, [word[0] for word in w]],
        ),
    ],
    helpers=("minirbt_helpers.insight.measured.attention.word_shares",),
)
def between_words(attention: Tensor, words: list[list[int]]) -> Tensor:
    """`attention` [tokens, tokens] holds the shares of one head: rows look, columns are looked at, each row adds up
    to 1. `words` lists the places of each word's tokens. Write `between_words`: the attention between words, [words,
    words]. It is the **mean** over the tokens of the word that looks and the **sum** over the tokens of the word that
    is looked at: a word looks once, and what its tokens receive adds up. Each row adds up to 1 again.

    `between_words(tensor([[0.5, 0.3, 0.2], [0.2, 0.4, 0.4], [0.6, 0.2, 0.2]]), [[0], [1, 2]])`
    gives `tensor([[0.5, 0.5], [0.4, 0.6]])`.
    """
    columns = torch.stack([attention[:, word].sum(1) for word in words], 1)  # [tokens, words]
    return torch.stack([columns[word].mean(0) for word in words])  # [words, words]


def _entropy(shares_, base=2.0):
    return torch.special.entr(shares_).sum(-1) / np.log(base)


def _one_hot(*places: int) -> Tensor:
    return torch.eye(max(places) + 1)[list(places)]


@shelf.exercise(
    title="How differently do two heads look?",
    difficulty=2,
    minutes=12,
    use="to find a teacher's head again in its student",
    cases=lambda: [
        (torch.tensor([[0.5, 0.5]]), torch.tensor([[0.9, 0.1]])),
        (_one_hot(0, 1), _one_hot(1, 0)),
        (shares(1, 2, 3), shares(2, 2, 3)),
        (shares(3, 4, 4), shares(4, 4, 4)),
        (_one_hot(0, 2, 1), shares(5, 3, 3)),
        (shares(6, 6, 6), shares(7, 6, 6)),
    ],
    hints=(
        "Three entropies per token: of p, of q, and of their average. How much more undecided is the average?",
        "H(m) − (H(p) + H(q))/2 with logarithms to base 2, then the mean over the tokens. A share of 0 "
        "adds 0 to an entropy.",
    ),
    remark="0 · log 0 is nan for a computer and 0 in an entropy. `torch.special.entr` knows it, `clamp` helps as well.",
    slips=[
        ("These are nats. In bits the logarithm has the base 2.", lambda p, q: head_distance(p, q) * np.log(2)),
        ("You add up over the tokens. The mean is asked for.", lambda p, q: head_distance(p, q) * len(p)),
        (
            "Half of the two entropies is subtracted. You subtract them whole.",
            lambda p, q: (_entropy((p + q) / 2) - _entropy(p) - _entropy(q)).mean(),
        ),
        ("This is the root of the distance.", lambda p, q: head_distance(p, q) ** 0.5),
        (
            "The entropy of p + q is no entropy: average the two first.",
            lambda p, q: (_entropy(p + q) - (_entropy(p) + _entropy(q)) / 2).mean(),
        ),
        ("This is the entropy of the average alone.", lambda p, q: _entropy((p + q) / 2).mean()),
        ("The sign is wrong.", lambda p, q: -head_distance(p, q)),
        (
            "This is a KL divergence, which is not the same from both sides. Compare both with their average.",
            lambda p, q: ((p * (p / q).log2()).sum(-1)).mean(),
        ),
        (
            "Average over the tokens at the end. You average the tables first.",
            lambda p, q: _entropy((p + q).mean(0) / 2) - (_entropy(p.mean(0)) + _entropy(q.mean(0))) / 2,
        ),
    ],
    signs=[
        (
            "A share of 0 adds nothing to an entropy. Your logarithm of 0 makes nan or infinity of it.",
            lambda answer, p, q: not np.isfinite(answer),
        ),
    ],
    helpers=("minirbt_helpers.insight.measured.attention.head_distances",),
)
def head_distance(p: Tensor, q: Tensor) -> Tensor:
    """`p` and `q` are the attention of two heads on the same sentence, [tokens, tokens] each, with rows that add up
    to 1. Some shares may be 0. Write `head_distance`: the Jensen-Shannon divergence in bits, as the mean over the
    tokens (rows). For one row it is H(m) − (H(p) + H(q))/2, where m is the average of p and q, and H is the entropy
    with logarithms to base 2. Equal heads are 0 bits apart, heads that never look at the same token 1 bit.

    `head_distance(tensor([[1.0, 0.0]]), tensor([[0.5, 0.5]]))` gives `0.311…`.
    """

    def entropy(rows):
        return -(rows * rows.clamp(min=1e-30).log2()).sum(-1)  # [tokens]

    return (entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2).mean()


def _alike(one, two, centre=True, power=2, normed=True, axis=0):
    if centre:
        one, two = one - one.mean(axis, keepdim=True), two - two.mean(axis, keepdim=True)
    norms = (one.T @ one).norm() * (two.T @ two).norm()
    return (two.T @ one).norm() ** power / (norms if normed else 1)


@shelf.exercise(
    title="CKA",
    difficulty=2,
    minutes=12,
    use="to compare what two models make of the same text, whatever their widths",
    cases=lambda: [
        (torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]), torch.tensor([[0.0, 1.0], [1.0, 1.0], [3.0, 0.0]])),
        (normal(1, 5, 2) + 2, normal(2, 5, 1)),
        (normal(3, 20, 3), normal(3, 20, 3) @ normal(4, 3, 4) + 1),
        (normal(5, 50, 4) + 3, normal(6, 50, 6) - 2),
        (normal(7, 200, 6), normal(7, 200, 6)[:, :3] + normal(8, 200, 3)),
    ],
    hints=(
        "Take the mean over the tokens away first. Then compare which tokens resemble each other in each of the two.",
        "After centring: ‖two.T @ one‖² / (‖one.T @ one‖ · ‖two.T @ two‖), where ‖·‖ is the root of the "
        "sum of squares. No"
        " table of all pairs of tokens is needed.",
    ),
    remark="Without centring, what all tokens have in common looks like agreement.",
    slips=[
        ("The mean over the tokens has to be taken away first.", lambda one, two: _alike(one, two, centre=False)),
        ("The square in the numerator is missing.", lambda one, two: _alike(one, two, power=1)),
        ("The two norms in the denominator are missing.", lambda one, two: _alike(one, two, normed=False)),
        (
            "The mean is taken over the tokens. You take it over each token's own numbers.",
            lambda one, two: _alike(one, two, axis=1),
        ),
        ("This is the root of CKA.", lambda one, two: cka(one, two) ** 0.5),
        (
            "You divide by the norms of the states. Divide by those of their inner products.",
            lambda one, two: (
                _alike(one, two, normed=False) / ((one - one.mean(0)).norm() * (two - two.mean(0)).norm()) ** 2
            ),
        ),
    ],
    helpers=(
        "minirbt_helpers.insight.measured.hidden_states.linear_cka",
        "minirbt_helpers.insight.measured.hidden_states._aligned",
    ),
)
def cka(one: Tensor, two: Tensor) -> Tensor:
    """`one` [tokens, width] and `two` [tokens, another width] are hidden states of the same tokens in two models.
    Write `cka`: their linear centred kernel alignment. Take from both the mean over the tokens. For each pair of
    tokens form the inner product of their two states, in each model: two tables K and L [tokens, tokens]. CKA is the
    sum over all cells of the products of K's cells and L's, divided by ‖K‖ · ‖L‖, the roots of the sums of squares of
    the two tables. Equal states give 1.

    `cka(tensor([[0.0], [1.0], [2.0]]), tensor([[0.0], [2.0], [1.0]]))` gives `0.25`.
    """
    one, two = one - one.mean(0), two - two.mean(0)
    shared = (two.T @ one).square().sum()  # the sum over K · L, without any table of tokens
    return shared / ((one.T @ one).norm() * (two.T @ two).norm())


def _cost(distances, pairs):
    return sum(distances[theirs][ours] for theirs, ours in pairs)


def _greedy(distances):
    cells = sorted((value, row, column) for row, line in enumerate(distances) for column, value in enumerate(line))
    pairs = []
    for _, row, column in cells:
        if all(row != theirs and column != ours for theirs, ours in pairs):
            pairs.append((row, column))
    return [theirs for theirs, _ in sorted(pairs, key=lambda pair: pair[1])]


def _table(seed: int, teachers: int, students: int) -> list[list[float]]:
    return normal(seed, teachers, students).abs().tolist()


@shelf.exercise(
    title="The best match of heads",
    difficulty=2,
    minutes=15,
    use="to say which of the student's heads stands for which of the teacher's",
    cases=lambda: [
        ([[0.3]],),
        ([[0.1, 0.9], [0.2, 0.3]],),
        ([[0.1, 0.2], [0.2, 0.9]],),
        ([[0.4, 0.3], [0.1, 0.2], [0.5, 0.1]],),
        ([[0.9, 0.8], [0.1, 0.15], [0.7, 0.6]],),
        (_table(1, 4, 3),),
        (_table(2, 5, 4),),
        (_table(3, 6, 3),),
    ],
    hints=(
        "There are few heads here, so every pairing can be tried. Which pairings are there?",
        "`itertools.permutations(range(teachers), students)` gives them: the teacher's head for each of "
        "the student's in turn."
        " Take the one with the least sum.",
    ),
    remark=(
        "Two of the student's heads can have the same nearest head, and the closest pair first can leave bad "
        "partners for the rest."
    ),
    slips=[
        (
            "Each of the student's heads gets its nearest one, and two may get the same. Each of the "
            "teacher's is used once.",
            lambda d: [min(range(len(d)), key=lambda row: d[row][column]) for column in range(len(d[0]))],
        ),
        (
            "The closest pair first is greedy: it can leave bad partners for the rest. The least *sum* is asked for.",
            _greedy,
        ),
        (
            "You look for the largest sum.",
            lambda d: best_match([[-value for value in line] for line in d]),
        ),
        (
            "The result has one entry for each of the *student's* heads: its partner among the teacher's.",
            lambda d: [best_match(d).index(row) if row in best_match(d) else -1 for row in range(len(d))],
        ),
        ("You use the teacher's first heads only.", lambda d: best_match(d[: len(d[0])])),
        (
            "You go through the student's heads in order and take the nearest that is left. The least "
            "*sum* is asked for.",
            lambda d: _in_turn(d),
        ),
    ],
    signs=[
        (
            "Each of the teacher's heads may be used once.",
            lambda answer, d: len(set(answer)) < len(answer),
        ),
    ],
    helpers=("linear_sum_assignment", "minirbt_helpers.insight.measured.attention.head_matches"),
)
def best_match(distances: list[list[float]]) -> list[int]:
    """`distances[t][s]` says how far the teacher's head t is from the student's head s. The teacher has at least as
    many heads, and at most six. Write `best_match`: for each of the student's heads, in order, the teacher's head
    that it is paired with. No head of the teacher has two partners, and the sum of all distances is the least
    possible. Do it without SciPy.

    `best_match([[0.1, 0.2], [0.2, 0.9]])` gives `[1, 0]`.
    """
    teachers, students = len(distances), len(distances[0])

    def cost(partners):
        return sum(distances[theirs][ours] for ours, theirs in enumerate(partners))

    return list(min(permutations(range(teachers), students), key=cost))


def _in_turn(distances):
    left, partners = list(range(len(distances))), []
    for ours in range(len(distances[0])):
        partners.append(min(left, key=lambda theirs: distances[theirs][ours]))
        left.remove(partners[-1])
    return partners


shelf.question(
    "other_half",
    "The first character of each two-character word gives 60% of a head's attention to the second. Does it know words?",
    "One cannot tell: it may give 60% to any next character",
    "Compare with neighbours across a word's boundary. Only the difference shows that a head knows words.",
    wrong={
        "Yes: 60% is far more than chance": "More than chance, but a head that looks one ahead does the same.",
        "No: it would have to be 100%": "A head need not be perfect to know something.",
    },
)
shelf.question(
    "nearly_equal_heads",
    "Two heads are 0.03 bits apart. Are they doing the same?",
    "They look at the same places, and if both look evenly everywhere, they do nothing",
    "A small distance says something only of heads that do something. Put a random model into the comparison.",
    wrong={
        "Yes: 0 bits would be equal": "They look alike. Whether they do anything is another question.",
        "No: only 0 bits count": "Unless one is a copy of the other, no two trained heads are 0 bits apart.",
    },
)
shelf.question(
    "cka_of_a_turn",
    "All states of a model are turned in space and doubled in length. What becomes of their CKA with another model?",
    "It stays as it was",
    "CKA compares how tokens resemble each other. Turns and a common length do not touch that.",
    wrong={
        "It doubles": "The norms in the denominator take the length away.",
        "It falls to 0": "A turn leaves all inner products between tokens as they are.",
    },
)
