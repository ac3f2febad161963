"""Laws of masking."""

import numpy as np
import pytest
import torch
from conftest import examples, first
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader
from transformers import BertTokenizer

from minirbt_helpers.errors import CourseError
from minirbt_helpers.text import WholeWordCollator, pack, read_lines, references, text_files
from minirbt_helpers.text.masking import TICKETS


def words_of(block: dict) -> list[list[int]]:
    """The words of a block as lists of positions, the slow and plain way."""
    words: list[list[int]] = []
    for place in range(1, len(block["input_ids"]) - 1):
        if block["input_ids"][place] == 3:  # a [SEP] between lines
            words.append([])
        elif block["continues"][place] and words and words[-1]:
            words[-1].append(place)
        else:
            words.append([place])
    return [word for word in words if word]


BLOCK = st.lists(
    st.tuples(st.integers(1, 40).map(lambda n: n if n != 2 else 5), st.booleans()), min_size=1, max_size=60
)


def as_block(row: list[tuple[int, bool]]) -> dict:
    ids = [3 if token in (3, 4) else max(token, 5) for token, _ in row]
    flags = [flag and token != 3 for (_, flag), token in zip(row, ids, strict=True)]
    return {"input_ids": [2, *ids, 3], "continues": [False, *flags, False]}


@examples(300)
@given(rows=st.lists(BLOCK, min_size=1, max_size=4), seed=st.integers(0, 99), unit=st.sampled_from(["word", "token"]))
def test_words_are_masked_whole_within_the_budget(tokenizer, rows, seed, unit):
    made = list(map(as_block, rows))
    batch = WholeWordCollator(tokenizer, unit, seed=seed)(made)
    for block, ids, attention, labels in zip(
        made, batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True
    ):
        size = len(block["input_ids"])
        original = torch.tensor(block["input_ids"])
        asked = labels != -100
        assert attention.tolist() == [1] * size + [0] * (len(ids) - size)
        assert not asked[size:].any() and (labels[asked] == original[asked[:size]]).all()
        assert (ids[:size][~asked[:size]] == original[~asked[:size]]).all()
        words = words_of(block)
        maskable = sum(map(len, words))
        assert asked.sum() <= max(1, round(0.15 * maskable + 1e-9))
        assert set(asked.nonzero().flatten().tolist()) <= {place for word in words for place in word}
        if unit == "word":
            assert all(len({bool(asked[place]) for place in word}) == 1 for word in words)


@examples(200)
@given(rows=st.lists(BLOCK, min_size=1, max_size=4), seed=st.integers(0, 99), probability=st.sampled_from([0.1, 0.5]))
def test_words_are_taken_in_the_order_of_their_tickets(tokenizer, rows, seed, probability):
    made = list(map(as_block, rows))
    collator = WholeWordCollator(tokenizer, probability=probability)
    ids, continues = (
        torch.nn.utils.rnn.pad_sequence([torch.tensor(block[name]) for block in made], batch_first=True).numpy()
        for name in ("input_ids", "continues")
    )
    inside = np.arange(ids.shape[1]) < [[len(block["input_ids"])] for block in made]
    tickets = np.random.default_rng(seed).integers(TICKETS, size=ids.shape)
    chosen = collator.choose(ids, continues, inside, tickets)
    for block, row, ticket in zip(made, chosen, tickets, strict=True):
        words = words_of(block)
        left, wanted = max(1, round(probability * sum(map(len, words)))), set()
        for word in sorted(words, key=lambda word: ticket[word[0]]):
            if len(word) <= left:
                left -= len(word)
                wanted.update(word)
        assert set(np.flatnonzero(row).tolist()) == wanted


def test_a_word_that_fits_is_found_behind_many_that_do_not(tokenizer):
    """Ten words of three tokens come first, and two tokens may be masked: the single one, which comes last, is."""
    block = as_block([(7, place % 3 != 0) for place in range(30)] + [(9, False)])
    ids, continues = (np.array([block[name]]) for name in ("input_ids", "continues"))
    tickets = np.arange(ids.size)[None]
    chosen = WholeWordCollator(tokenizer, probability=0.05).choose(ids, continues, np.ones_like(ids, bool), tickets)
    assert np.flatnonzero(chosen).tolist() == [31]


def rates(tokenizer, budget: str, length: int) -> tuple[np.ndarray, float]:
    """How often words of 1 to 4 tokens are masked, and which share of the tokens, in blocks of mixed words."""
    random = np.random.default_rng(1)
    sizes = random.choice([1, 2, 3, 4], (3000, length), p=[0.4, 0.4, 0.1, 0.1])  # words are cut at the block's end
    continues = np.zeros((3000, length), bool)
    for row, words in zip(continues, sizes, strict=True):
        row[:] = True
        row[np.minimum(words.cumsum() - words, length - 1)] = False
    columns = {"input_ids": np.full((3000, length), 7), "continues": continues}
    asked = WholeWordCollator(tokenizer, seed=1, budget=budget)(columns)["labels"].numpy() != -100
    begins = np.flatnonzero(~continues)
    size = np.diff(begins, append=continues.size)
    hidden = asked.ravel()[begins]
    return np.array([hidden[size == words].mean() for words in (1, 2, 3, 4)]), asked.mean()


@pytest.mark.parametrize("length", [32, 64, 128])
def test_a_fair_budget_hides_long_words_as_often_as_short_ones(tokenizer, length):
    """And exactly the share; the published one hides four characters a third as often in blocks of 32."""
    fair, share = rates(tokenizer, "fair", length)
    published, _ = rates(tokenizer, "published", length)
    assert abs(share - 0.15) < 0.002
    assert fair.min() / fair.max() > {32: 0.75, 64: 0.85, 128: 0.92}[length]
    assert published[3] / published[0] < {32: 0.4, 64: 0.75, 128: 0.95}[length]


def test_the_word_that_crosses_a_fair_budget_is_taken_by_chance(tokenizer):
    """Ten words of four tokens, 15% of 40: one whole word, and half of a second on average."""
    flags = [False, *[place % 4 != 0 for place in range(40)], False]
    block = {"input_ids": [2, *range(10, 50), 3], "continues": flags}
    collator = WholeWordCollator(tokenizer, budget="fair")
    counts = [int((collator([block])["labels"] != -100).sum()) for _ in range(600)]
    assert set(counts) == {4, 8}
    assert abs(np.mean(counts) - 6) < 0.25


def test_half_of_the_blocks_are_masked_by_words_and_half_by_tokens(tokenizer):
    """Words of two tokens: in some blocks all that is hidden is hidden in pairs, in the others hardly any."""
    flags = [False, *[place % 2 == 1 for place in range(60)], False]
    block = {"input_ids": [2, *range(10, 70), 3], "continues": flags}
    asked = (WholeWordCollator(tokenizer, "both")([block] * 2000)["labels"][:, 1:-1] != -100).view(2000, 30, 2)
    halves = asked.sum(2) == 1  # [block, word]: hidden by half
    whole = ~halves.any(1)
    assert abs(whole.float().mean() - 0.5) < 0.05  # five standard errors
    assert halves[~whole].sum(1).float().mean() > 4  # of the nine tokens hidden
    assert (asked.sum((1, 2)) <= 9).all()


@pytest.mark.parametrize("length", first([128, 512]))
def test_shares_over_a_million_tokens(tokenizer, segmenter, length):
    """Masked 14.5 to 15.5%, 80/10/10 within a point, and not one word cut."""
    lines = [line for file in text_files("data_samples/corpus/train") for line in read_lines(file)]
    rows = list(pack(zip(lines, references(lines, segmenter(lines), tokenizer), strict=True), tokenizer, length))[:-1]
    columns = {name: np.array([row[name] for row in rows]) for name in ("input_ids", "continues")}
    specials = np.isin(columns["input_ids"], [0, 2, 3, 4])
    goes_on = columns["continues"][:, 1:] & ~specials[:, 1:] & ~specials[:, :-1]  # one word with its left neighbour
    collator, seen, asked, cut, fates = WholeWordCollator(tokenizer), 0, 0, 0, np.zeros(3)
    while seen < 1_000_000:
        batch = {name: column.numpy() for name, column in collator(columns).items()}
        chosen = batch["labels"] != -100
        cut += (goes_on & (chosen[:, 1:] != chosen[:, :-1])).sum()
        truth, shown = batch["labels"][chosen], batch["input_ids"][chosen]
        masked, kept = shown == tokenizer.mask_token_id, shown == truth
        fates += [masked.sum(), kept.sum(), (~masked & ~kept).sum()]
        seen, asked = seen + (~specials).sum(), asked + chosen.sum()
    assert cut == 0
    assert 0.145 <= asked / seen <= 0.155
    assert np.abs(fates / asked - [0.8, 0.1, 0.1]).max() < 0.01


@pytest.mark.slow
def test_words_are_drawn_evenly(tokenizer):
    """Every word of a block has the same chance."""
    flags = [False, *(place % 3 == 2 for place in range(60)), False]
    block = {"input_ids": [2, *range(10, 70), 3], "continues": flags}
    collator, counts = WholeWordCollator(tokenizer, probability=0.3), np.zeros(62)
    for _ in range(4000):
        counts += (collator([block])["labels"][0] != -100).numpy()
    single, double = counts[[at for at in range(1, 61) if at % 3 == 1]], counts[2:61:3]
    assert counts[0] == counts[61] == 0
    for part in (single, double):
        spread = part.std() / (4000 * 0.3 * 0.7) ** 0.5
        assert 0.6 < spread < 1.5  # as chance has it


# --- what comes in --------------------------------------------------------------------------------------------------


def test_lists_arrays_tensors_and_columns_are_masked_alike(tokenizer, blocks):
    rows = [blocks[index] for index in range(8)]
    arrays = [{name: np.array(values) for name, values in row.items()} for row in rows]
    tensors = [{name: torch.tensor(values) for name, values in row.items()} for row in rows]
    columns = [blocks.with_format(kind)[:8] for kind in (None, "numpy", "torch")]
    wanted = WholeWordCollator(tokenizer, seed=3)(rows)
    assert all(column.dtype == torch.int64 for column in wanted.values())
    for given_rows in (arrays, tensors, *columns):
        made = WholeWordCollator(tokenizer, seed=3)(given_rows)
        assert all(torch.equal(made[name], wanted[name]) for name in wanted)


def test_blocks_of_different_lengths_are_filled_up(tokenizer, blocks):
    rows = [blocks[0], blocks[len(blocks) - 1]]
    assert len(rows[0]["input_ids"]) != len(rows[1]["input_ids"])
    for given_rows in (rows, blocks.with_format("numpy")[[0, len(blocks) - 1]]):
        batch = WholeWordCollator(tokenizer)(given_rows)
        assert batch["attention_mask"].sum(1).tolist() == [len(row["input_ids"]) for row in rows]
        assert (batch["input_ids"][batch["attention_mask"] == 0] == tokenizer.pad_token_id).all()
        assert (batch["labels"][batch["attention_mask"] == 0] == -100).all()


def test_the_blocks_themselves_are_left_alone(tokenizer, blocks):
    columns = blocks.with_format("numpy")[:8]
    before = columns["input_ids"].copy()
    WholeWordCollator(tokenizer)(columns)
    assert (columns["input_ids"] == before).all()


def test_words_too_long_for_the_budget_are_passed_over(tokenizer):
    long = {"input_ids": [2, *[9] * 40, *range(10, 20), 3], "continues": [False] * 2 + [True] * 39 + [False] * 11}
    for seed in range(20):
        asked = WholeWordCollator(tokenizer, seed=seed)([long])["labels"][0] != -100
        assert not asked[:41].any() and asked.sum() == 8  # 15% of 50


# --- chance ---------------------------------------------------------------------------------------------------------


def same(first: dict, second: dict) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_the_same_seed_masks_the_same(tokenizer, blocks):
    rows = [blocks[index] for index in range(8)]
    first, second = (WholeWordCollator(tokenizer, seed=3) for _ in range(2))
    batches = [first(rows) for _ in range(3)]
    assert all(same(batch, second(rows)) for batch in batches)
    assert not same(batches[0], batches[1])
    assert not same(batches[0], WholeWordCollator(tokenizer, seed=4)(rows))


def test_the_state_of_the_generator_is_all_there_is_to_save(tokenizer, blocks):
    rows = [blocks[index] for index in range(8)]
    collator = WholeWordCollator(tokenizer, seed=3)
    collator(rows)
    state = collator.generator.get_state()
    wanted = collator(rows)
    other = WholeWordCollator(tokenizer, seed=9)
    other.generator.set_state(state)
    assert same(other(rows), wanted)


def test_ranks_mask_differently(tokenizer, blocks, monkeypatch):
    rows = [blocks[index] for index in range(8)]
    zero, one = (WholeWordCollator(tokenizer, seed=3, rank=rank)(rows) for rank in (0, 1))
    assert not same(zero, one) and same(zero, WholeWordCollator(tokenizer, seed=3)(rows))
    monkeypatch.setenv("RANK", "1")  # torchrun's
    assert same(one, WholeWordCollator(tokenizer, seed=3)(rows))


@pytest.mark.slow
def test_workers_mask_differently_and_every_epoch_anew(tokenizer, blocks):
    rows = [blocks[0]] * 4  # the same block in both workers

    def epochs() -> list[list[dict]]:
        settings = {"batch_size": 2, "num_workers": 2, "collate_fn": WholeWordCollator(tokenizer, seed=3)}
        loader = DataLoader(rows, generator=torch.Generator().manual_seed(5), **settings)
        return [list(loader) for _ in range(2)]

    (first, second), again = epochs(), epochs()
    assert not same(first[0], first[1]), "two workers drew the same"
    assert not same(first[0], second[0]), "two epochs drew the same"
    assert all(same(*pair) for pair in zip([*first, *second], [*again[0], *again[1]], strict=True))


def test_impossible_masking_is_refused(tokenizer):
    with pytest.raises(CourseError, match="unknown mask_unit"):
        WholeWordCollator(tokenizer, "sentence")
    with pytest.raises(CourseError, match="unknown budget"):
        WholeWordCollator(tokenizer, budget="rounded")
    with pytest.raises(CourseError, match="probability"):
        WholeWordCollator(tokenizer, probability=15)


def test_a_tokenizer_without_a_mask_is_refused(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    maskless = BertTokenizer.from_pretrained(tmp_path)
    maskless.mask_token = None
    with pytest.raises(CourseError, match=r"no \[MASK\]"):
        WholeWordCollator(maskless)
