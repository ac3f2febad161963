"""The method in one file (examples/minirbt_from_scratch.py) does what the package does."""

import copy
import importlib.util
from functools import partial

import numpy as np
import pytest
import torch
from conftest import ROOT, first
from transformers import BertForSequenceClassification

from minirbt_helpers.lines import read_lines
from minirbt_helpers.models import find_architecture, load_model, take_layers
from minirbt_helpers.recipe import load_recipe
from minirbt_helpers.text import WholeWordCollator
from minirbt_helpers.text import pack as package_pack
from minirbt_helpers.text.references import references
from minirbt_helpers.training import Distiller, held_out
from minirbt_helpers.training.distillation import Pupil, newborn
from minirbt_helpers.training.evaluation import held_out_questions, masked_positions
from minirbt_helpers.training.loop import Steps, learning_rate
from minirbt_helpers.training.machine import World

FILE = ROOT / "examples" / "minirbt_from_scratch.py"


@pytest.fixture(scope="module")
def scratch():
    """The file as a module."""
    spec = importlib.util.spec_from_file_location("minirbt_from_scratch", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def lines():
    """200 lines of the sample text, and the words that lie beside them."""
    rows = []
    for name in ("heldout/arts", "heldout/school", "train/food", "train/technology", "train/work"):
        text, words = (read_lines(ROOT / "data_samples" / part / f"{name}.txt") for part in ("corpus", "words"))
        rows += zip(text, (row.split() for row in words), strict=True)
    return rows[:200]


@pytest.fixture(scope="module")
def some_blocks(scratch, lines):
    """Blocks of 32 tokens, as the file makes them."""
    return scratch.pack([line for line, _ in lines], [scratch.reference(*row) for row in lines], 32)


@pytest.fixture(scope="module")
def masked(scratch, some_blocks):
    """A batch of eight blocks for each of ten steps."""
    draws = torch.Generator().manual_seed(0)
    return [scratch.mask(some_blocks[at : at + 8], draws) for at in range(0, 80, 8)]


@pytest.fixture(scope="module")
def weights(scratch):
    """The teacher, and a student that has just begun."""
    teacher = scratch.load(ROOT / "data_samples" / "models" / "teacher")
    return teacher, scratch.newborn(scratch.cut_layers(teacher, range(6)))


def filled(model, tensors):
    """A model of transformers with the file's tensors."""
    missing, unexpected = model.load_state_dict({name: w.clone() for name, w in tensors.items()}, strict=False)
    assert not unexpected and all("cls.predictions.decoder" in name for name in missing)  # tied to what is there
    return model


def close(ours, theirs, tolerance):
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


# --- one step after another -----------------------------------------------------------------------------------------


def test_the_file_is_short_and_stands_alone():
    source = FILE.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 400
    assert not any(name in source for name in ("minirbt_helpers", "textbrewer", "transformers import", "numpy"))


@pytest.mark.parametrize("name", first(["student", "assistant", "teacher"]))
def test_same_logits(scratch, name):
    folder = ROOT / "data_samples" / "models" / name
    ids = scratch.pad([scratch.tokenizer.encode(text).ids for text in ("今天天气很好。", "我们去公园散步，你呢？")])
    real = ids != scratch.PAD
    model = {name: tensor.double() for name, tensor in scratch.load(folder).items()}  # float32 rounds at 1e-5, too
    ours = scratch.predict(model, scratch.hidden_states(model, ids)[-1])  # [batch, length, vocabulary]
    with torch.no_grad():
        theirs = load_model(folder).double()(ids, attention_mask=real.long()).logits
    close(ours[real], theirs[real], 1e-5)


def test_same_references(scratch, lines, tokenizer):
    ours = [scratch.reference(*row) for row in lines]
    assert len(ours) == 200
    assert ours == references(*zip(*lines, strict=True), tokenizer)


def test_same_blocks(scratch, lines, tokenizer):
    rows = [(line, scratch.reference(line, words)) for line, words in lines]
    ours = scratch.pack(*zip(*rows, strict=True), 32)
    assert [{"input_ids": ids, "continues": flags} for ids, flags in ours] == list(package_pack(rows, tokenizer, 32))


def test_same_masks(scratch, some_blocks, tokenizer):
    collator, random = WholeWordCollator(tokenizer, budget="fair"), np.random.default_rng(0)
    for ids, continues in some_blocks[:300]:
        tickets, luck = random.integers(2**20, size=len(ids)), random.random()
        row = (np.array(one)[None] for one in (ids, continues, np.ones(len(ids), bool), tickets.astype(np.uint32)))
        theirs = collator.choose(*row, np.array([luck]))[0].nonzero()[0]
        assert sorted(scratch.choose(ids, continues, tickets.tolist(), luck)) == theirs.tolist()


def test_eight_in_ten_become_masks(scratch, some_blocks):
    ids, labels = scratch.mask(some_blocks, torch.Generator().manual_seed(0))
    asked = labels != scratch.IGNORED
    share = (ids[asked] == scratch.MASK).float().mean()
    kept = (ids[asked] == labels[asked]).float().mean()
    assert abs(share - 0.8) < 0.04 and abs(kept - 0.1) < 0.03
    text = ~torch.isin(torch.where(asked, labels, ids), torch.tensor(sorted(scratch.SPECIAL)))
    assert abs(asked.sum() / text.sum() - 0.15) < 0.005
    assert torch.equal(torch.where(asked, labels, ids), scratch.pad([block for block, _ in some_blocks]))


def test_same_six_layers(scratch, weights, teacher):
    theirs = take_layers(teacher, [0, 2, 4, 6, 8, 11]).state_dict()
    for name, tensor in scratch.cut_layers(weights[0], [0, 2, 4, 6, 8, 11]).items():
        assert torch.equal(tensor, theirs[name])


# --- the losses and the steps of both stages ------------------------------------------------------------------------


@pytest.fixture(params=["assistant", "student"])
def stage(request, scratch, weights, teacher):
    """The two of a stage and the projections, as the file has them, and as the package does."""
    theirs, ours = weights[0], scratch.cut_layers(weights[0], range(6))
    recipe = load_recipe("sample", optimizer="adamw", steps=10, learning_rate=1e-3, batch_size=8, micro_batch=8)
    taught_by, taught = teacher, take_layers(teacher, range(6))
    if request.param == "student":
        theirs, ours, taught_by = ours, weights[1], taught
        taught = filled(newborn(recipe, find_architecture("MiniRBT-H256"), teacher), ours)
    taught_by = copy.deepcopy(taught_by).eval().requires_grad_(False)
    pupil = Pupil(Distiller(taught_by, taught.train(), recipe), taught)
    projections = {f"projections.{name}": w.detach().clone() for name, w in pupil.projections.named_parameters()}
    return theirs, {name: w.clone() for name, w in ours.items()}, projections, pupil, recipe


def test_same_losses_and_gradients(scratch, stage, masked):
    theirs, ours, projections, pupil, _ = stage
    for w in [*ours.values(), *projections.values()]:
        w.requires_grad_()
    ids, labels = masked[0]
    parts = scratch.distillation(theirs, ours, projections, ids, labels)
    total, their_parts = pupil({"input_ids": ids, "labels": labels})
    close(sum(parts.values()), total, 1e-5)
    close(parts["KD"], scratch.TEMPERATURE**2 * their_parts["kd"], 1e-5)
    close(parts["MLM"], their_parts["mlm"], 1e-5)
    close(parts["hidden"], sum(part for name, part in their_parts.items() if "hidden" in name), 1e-5)
    sum(parts.values()).backward()
    total.backward()
    gradients = {name.removeprefix("student."): w.grad for name, w in pupil.named_parameters()}
    for name, w in (ours | projections).items():
        close(w.grad, gradients[name], 1e-5)


@pytest.mark.slow
def test_same_student_after_ten_steps(scratch, stage, masked):
    theirs, ours, projections, pupil, recipe = stage
    before = {name: w.clone() for name, w in (ours | projections).items()}
    losses = partial(scratch.distillation, theirs, ours, projections)
    scratch.train(ours | projections, losses, masked, recipe.learning_rate, "ten steps")
    steps = Steps(recipe, pupil, World(0, 1, torch.device("cpu")))
    for step, (ids, labels) in enumerate(masked):
        batch = {"input_ids": ids, "labels": labels, "positions": masked_positions(labels)}
        steps.take(step + 1, [batch], learning_rate(recipe, step))
    ends = {name.removeprefix("student."): w.detach() for name, w in pupil.named_parameters()}
    moved = {name: w - before[name] for name, w in (ours | projections).items()}
    for name, w in moved.items():
        if not name.endswith("key.bias"):  # no loss depends on it: it moves by rounding alone
            apart = (before[name] + w - ends[name]).norm() / w.norm()
            assert apart < 5e-3, name  # AdamW moves a weight whose gradient is rounding, too, by a whole step
    assert all((w - before[name]).abs().max() > 1e-3 for name, w in ours.items() if "dense.weight" in name)


# --- measuring and fine-tuning --------------------------------------------------------------------------------------


def test_same_answers_to_the_packages_questions(scratch, blocks, tokenizer):
    folder = ROOT / "data_samples" / "models" / "student"
    some = blocks.select(range(64))
    questions = [(one["input_ids"], one["labels"]) for one in held_out_questions(some, tokenizer)]
    ours = scratch.accuracy(partial(scratch.first_guess, scratch.load(folder)), questions)
    assert ours == pytest.approx(held_out(load_model(folder), some, tokenizer)["top1"])


def test_bigrams_say_what_they_counted(scratch):
    def block(text):
        return scratch.tokenizer.encode(text).ids, []

    guess = scratch.bigrams([block("天气很好"), block("天气很冷"), block("天气很好"), block("我好好")])
    for asked, answer in (("天气很[MASK]", "天气很好"), ("[MASK]气", "天气"), ("[MASK][MASK]冷", "好很冷")):
        ids = torch.tensor([scratch.tokenizer.encode(asked).ids])
        assert guess(ids)[0].tolist() == scratch.tokenizer.encode(answer).ids


def test_same_classifier(scratch, weights):
    rows = scratch.read_headlines("dev")[:4]
    classifier = scratch.finetune(weights[1], rows, 1, 1e-3)
    config = find_architecture("MiniRBT-H256").config("sample", len(classifier[scratch.WORDS]))
    config.num_labels, config.max_position_embeddings = 15, len(classifier[scratch.POSITIONS])
    theirs = filled(BertForSequenceClassification(config).eval(), classifier)
    ids, labels = scratch.collate(rows)
    assert labels.tolist() == [row[1] for row in rows] and (ids == scratch.PAD).any()
    with torch.no_grad():
        close(scratch.classify(classifier, ids), theirs(ids, attention_mask=(ids != scratch.PAD).long()).logits, 1e-5)


def test_a_newborn_looks_at_its_neighbours(scratch, weights):
    ids = torch.tensor([scratch.tokenizer.encode("今天天气很好，我们去公园散步。").ids])
    scores, real_softmax = [], torch.Tensor.softmax
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "softmax", lambda x, axis: scores.append(x) or real_softmax(x, axis))
        scratch.hidden_states(weights[1], ids)
    seen = scores[0][0].argmax(-1)  # [heads, tokens], in the first layer
    places = torch.arange(ids.shape[1])
    assert (seen[:4, 1:] == places[:-1]).all() and (seen[4:, :-1] == places[1:]).all()


@pytest.mark.slow
def test_a_short_run_makes_the_table(scratch, capsys, monkeypatch):
    read = scratch.read_headlines
    monkeypatch.setattr(scratch, "BATCH", 1)
    monkeypatch.setattr(scratch, "read_headlines", lambda split: read(split)[:32])
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    table = scratch.main(assistant_steps=1, student_steps=2, epochs=1, asked=2)
    printed = capsys.readouterr().out
    assert len(table) == 7 and all(0 <= share <= 1 for share in table.values())
    assert all(f"{share:6.1%}  {name}" in printed for name, share in table.items())


def test_words_beside_the_text_are_the_segmenters(segmenter):
    for file in sorted((ROOT / "data_samples" / "corpus").glob("*/*.txt")):
        cut = read_lines(ROOT / "data_samples" / "words" / file.parent.name / file.name)
        assert [line.split() for line in cut] == segmenter(list(read_lines(file))), file.name
