"""Laws of fine-tuning's batches: of like length, in an order of the seed's own, padded and no more."""

from contextlib import ExitStack

import numpy as np
import torch

from minirbt_helpers.models import ARCHITECTURES
from minirbt_helpers.models.attention import fast_on_cpu, first_token_alone
from minirbt_helpers.tasks import TASKS, with_head
from minirbt_helpers.tasks.distilling import entropy
from minirbt_helpers.tasks.trainer import STRETCH, Batches, Buckets

LENGTHS = np.random.default_rng(0).integers(1, 100, 1003).tolist()


def cut(order: list[int], size: int = 8) -> list[list[int]]:
    return [order[begin : begin + size] for begin in range(0, len(order), size)]


def test_every_row_comes_once_and_its_batch_is_of_like_length():
    order = list(Buckets(LENGTHS, 8, seed=0))
    assert sorted(order) == list(range(len(LENGTHS)))
    longest = sum(len(batch) * max(LENGTHS[row] for row in batch) for batch in cut(order))
    shuffled = np.random.default_rng(1).permutation(len(LENGTHS)).tolist()
    assert longest < 1.1 * sum(LENGTHS) < sum(len(one) * max(LENGTHS[row] for row in one) for one in cut(shuffled))


def test_batches_do_not_come_from_long_to_short():
    """As the Trainer's own groups do: there the means of a stretch fall, so they go with their place (about -1)."""
    means = [np.mean([LENGTHS[row] for row in batch]) for batch in cut(list(Buckets(LENGTHS, 8, seed=0)))][:STRETCH]
    assert abs(np.corrcoef(means, range(STRETCH))[0, 1]) < 0.4


def test_the_order_is_that_of_seed_and_epoch_alone():
    one, two = Buckets(LENGTHS, 8, seed=0), Buckets(LENGTHS, 8, seed=0)
    first = list(one)
    torch.rand(3)  # what a model draws changes nothing
    assert list(two) == first
    one.set_epoch(1)
    assert list(one) != first and list(Buckets(LENGTHS, 8, seed=1)) != first


def test_rows_are_padded_to_the_longest():
    rows = [{"input_ids": np.array(ids), "token_type_ids": np.array(ids) * 0 + 1, "label": 2} for ids in ([7, 8], [9])]
    batch = Batches(padding=3)(rows)
    assert batch["input_ids"].tolist() == [[7, 8], [9, 3]] and batch["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert batch["token_type_ids"].tolist() == [[1, 1], [1, 0]] and batch["labels"].tolist() == [2, 2]


def test_the_floor_of_the_kd_loss_is_what_the_teacher_itself_has():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.0]])
    for temperature in (1.0, 8.0):
        soft = logits / temperature
        own = torch.nn.functional.cross_entropy(soft, soft.softmax(-1))
        torch.testing.assert_close(entropy(logits, temperature), own)


def test_a_classifier_needs_the_first_token_of_the_last_layer_alone():
    """The same logits and gradients, padding or not; afterwards the model is as before; other heads are left alone."""
    base = ARCHITECTURES["RBT3"].random_model("sample", 50)
    model = with_head(base, TASKS["bq"], attention_dropout=0.0).eval()
    batch = Batches(padding=0)([{"input_ids": np.arange(2, 2 + size), "label": size % 2} for size in (9, 4)])
    found = {}
    for quick in (False, True):
        model.zero_grad()
        with ExitStack() as stack:
            if quick:
                stack.enter_context(fast_on_cpu(model))
                stack.enter_context(first_token_alone(model))
            outputs = model(**batch)
            outputs.loss.backward()
        found[quick] = [outputs.logits, *(weight.grad for weight in model.parameters())]
    torch.testing.assert_close(found[True], found[False], atol=1e-5, rtol=1e-4)
    assert "forward" not in vars(model.bert.encoder.layer[-1].attention)
    reader = with_head(base, TASKS["drcd"])
    with first_token_alone(reader):
        assert reader(batch["input_ids"]).start_logits.shape == (2, 9)
