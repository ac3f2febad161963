"""Laws of the family and of how its members start."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from minirbt_helpers.errors import CourseError, CourseWarning
from minirbt_helpers.models import (
    ARCHITECTURES,
    find_architecture,
    inherit_embeddings,
    load_model,
    look_at_neighbours,
    start_from_counts,
    take_layers,
)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_counts_match_the_published_table_to_its_printed_digits(name):
    architecture = ARCHITECTURES[name]
    for embeddings, published in zip((True, False), architecture.published, strict=True):
        digits = len(str(published).partition(".")[2])
        assert round(architecture.count(embeddings) / 1e6, digits) == published


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_count_equals_a_real_model(name):
    model = ARCHITECTURES[name].random_model("sample", 500)
    assert ARCHITECTURES[name].count(scale="sample", vocabulary=500) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_sample_is_a_quarter_of_every_width(name):
    full, sample = ARCHITECTURES[name].full, ARCHITECTURES[name].sample
    assert (full.layers, full.hidden, full.ffn) == (sample.layers, 4 * sample.hidden, 4 * sample.ffn)


def test_the_first_six_layers_equal_the_teachers(teacher):
    assistant = take_layers(teacher)
    theirs = teacher.state_dict()
    for name, tensor in assistant.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name
    shared = {w.data_ptr() for w in teacher.parameters()} & {w.data_ptr() for w in assistant.parameters()}
    assert assistant.config.num_hidden_layers == 6 and teacher.config.num_hidden_layers == 12 and not shared


def test_any_layers_in_any_order(teacher):
    odd = take_layers(teacher, [11, 3])
    for ours, theirs in enumerate((11, 3)):
        for name, tensor in odd.bert.encoder.layer[ours].state_dict().items():
            assert torch.equal(tensor, teacher.bert.encoder.layer[theirs].state_dict()[name])


@pytest.mark.parametrize("part", ["weight", "bias"])
def test_a_decoder_of_its_own_is_copied_as_it_is(tmp_path, part):
    """transformers keeps such a checkpoint apart although its config says tied; loaded again, ours is the same."""
    teacher = ARCHITECTURES["RBT3"].random_model("sample", 50)
    other = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    other[f"cls.predictions.decoder.{part}"] = torch.randn_like(other[f"cls.predictions.decoder.{part}"])
    teacher.config.save_pretrained(tmp_path)
    save_file(other, tmp_path / "model.safetensors", {"format": "pt"})
    teacher = load_model(tmp_path)
    assert teacher.config.tie_word_embeddings
    with pytest.warns(UserWarning, match="decoder is not its word embeddings"):
        taken = take_layers(teacher, range(3))
    taken.save_pretrained(tmp_path / "taken")
    batch = torch.arange(20)[None]
    with torch.no_grad():
        for model in (taken, load_model(tmp_path / "taken")):
            assert torch.equal(model(batch).logits, teacher(batch).logits)
            assert all(torch.equal(tensor, other[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("layers", [[], [12], [-1], [0, 99]])
def test_layers_the_teacher_does_not_have_are_refused(teacher, layers):
    with pytest.raises(CourseError, match="of a teacher with 12"):
        take_layers(teacher, layers)


def test_taking_layers_leaves_the_random_state_alone(teacher):
    before = torch.get_rng_state()
    take_layers(teacher)
    ARCHITECTURES["RBT3"].random_model("sample", 100)
    assert torch.equal(before, torch.get_rng_state())


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(CourseError, match=r"no config\.json in the folder"):
        load_model(tmp_path)
    with pytest.raises(CourseError, match="unknown scale"):
        ARCHITECTURES["RBT6"].config("tiny")


def distances(model) -> torch.Tensor:
    words = model.bert.embeddings.word_embeddings.weight[5:205].detach().double()
    return (words[:, None] - words[None]).norm(dim=-1)


def test_inherited_embeddings_keep_the_teachers_distances(teacher):
    """As wide as the teacher, they are its embeddings turned; narrower, the best of that width."""
    size = teacher.config.vocab_size
    whole = ARCHITECTURES["RBT6"].random_model("sample", size)
    narrow = ARCHITECTURES["MiniRBT-H256"].random_model("sample", size)
    truth = distances(teacher)
    errors = []
    for student in (whole, narrow):
        inherit_embeddings(student, teacher)
        errors.append(float((distances(student) - truth).abs().max() / truth.max()))
    assert errors[0] < 1e-4 < errors[1] < 1
    with pytest.raises(CourseError, match="cannot start"):
        inherit_embeddings(whole, narrow)


@pytest.mark.parametrize("heads", [1, 64])  # one has all dimensions, or each has one alone
def test_heads_without_room_for_neighbours_cost_the_words_nothing(teacher, heads):
    architecture = find_architecture(f"2x64x64x{heads}")
    student = architecture.random_model("sample", teacher.config.vocab_size)
    inherit_embeddings(student, teacher)
    before = {name: weight.clone() for name, weight in student.state_dict().items()}
    with pytest.warns(CourseWarning, match=f"heads: {heads}, dimensions of each: {64 // heads}"):
        look_at_neighbours(student)
    assert all(torch.equal(weight, before[name]) for name, weight in student.state_dict().items())
    counted = architecture.random_model("sample", 200)
    with pytest.warns(CourseWarning, match="no head can look"):
        start_from_counts(counted, np.random.default_rng(0).integers(5, 200, 5000))
    lengths = counted.bert.embeddings.word_embeddings.weight[5:].detach().norm(dim=1)
    torch.testing.assert_close(lengths, torch.full((195,), 0.5))
    assert counted.bert.embeddings.position_embeddings.weight.any()


def test_a_narrow_student_looks_at_neighbours_and_keeps_its_words_directions(teacher):
    student = ARCHITECTURES["MiniRBT-H256"].random_model("sample", teacher.config.vocab_size).eval()
    inherit_embeddings(student, teacher)
    words = student.bert.embeddings.word_embeddings.weight.detach()
    before = words[:, :-8] - words[:, :-8].mean(0)
    look_at_neighbours(student)
    after = words[:, :-8]
    assert torch.cosine_similarity(before, after, dim=1).min() > 0.999 and not words[:, -8:].any()
    assert (after.norm(dim=1) - after.norm(dim=1)[0]).abs().max() < 1e-4  # all of one length
    student.set_attn_implementation("eager")
    ids = torch.arange(100, 120)[None]
    with torch.no_grad():
        heads = student.bert(ids, output_attentions=True).attentions[0][0]  # [heads, tokens, tokens]
    half = len(heads) // 2
    assert heads[:half].diagonal(-1, 1, 2).min() > 0.5 and heads[half:].diagonal(1, 1, 2).min() > 0.5
