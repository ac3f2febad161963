"""Exercises of notebook 04: a softened prediction, its KL divergence, its gradient, matches, and a loop."""

import torch
from torch import Tensor

from .exercise import Shelf
from .samples import normal, shares

shelf = Shelf("04_two_stage_distillation", "Two-stage distillation")


def _two(seed: int, *shape: int, scale: float = 2.0) -> tuple[Tensor, Tensor]:
    return normal(seed, *shape, scale=scale), normal(seed + 100, *shape, scale=scale)


@shelf.exercise(
    title="Softmax at a temperature",
    difficulty=1,
    minutes=8,
    use="every softened prediction, and every sampler of a language model",
    cases=lambda: [
        (torch.tensor([0.0, 1.0]), 1.0),
        (torch.tensor([0.0, 1.0]), 2.0),
        (torch.tensor([3.0, 1.0, -2.0]), 8.0),
        (normal(1, 2, 4, scale=3.0), 2.0),
        (normal(2, 3, 5, scale=5.0), 0.5),
        (torch.tensor([[1000.0, 1001.0, 990.0], [-1000.0, -1001.0, -1010.0]]), 2.0),
    ],
    hints=(
        "First divide by the temperature. How can you keep the exponentials small without changing the shares?",
        "Subtract the row's largest number (`amax(-1, keepdim=True)`) before `exp`. Then divide by the row's sum.",
    ),
    remark=(
        "Dividing the finished probabilities by T is no softmax. And without the subtraction large logits become nan."
    ),
    slips=[
        ("The temperature is missing.", lambda logits, temperature: logits.softmax(-1)),
        (
            "Divide by the temperature. You multiply with it.",
            lambda logits, temperature: (logits * temperature).softmax(-1),
        ),
        (
            "You divide the finished probabilities by the temperature. Divide the logits, before the exponential.",
            lambda logits, temperature: logits.softmax(-1) / temperature,
        ),
        (
            "Each row adds up to 1. You divide by the sum over the whole table, or over the wrong axis.",
            lambda logits, temperature: (logits / temperature).softmax(0),
        ),
        (
            "These are logarithms of the probabilities.",
            lambda logits, temperature: (logits / temperature).log_softmax(-1),
        ),
    ],
    signs=[
        (
            "Divide by the sum over the vocabulary: each row adds up to 1.",
            lambda answer, logits, temperature: logits.ndim == 1 and abs(answer.sum() - 1) > 1e-3,
        ),
        (
            "Large logits overflow in a bare exponential. One number may be subtracted from the whole row.",
            lambda answer, logits, temperature: logits.abs().max() > 90,
        ),
        (
            "Each row adds up to 1. You divide by the sum over the whole table, or over the wrong axis.",
            lambda answer, logits, temperature: logits.ndim > 1 and not (abs(answer.sum(-1) - 1) < 1e-3).all(),
        ),
    ],
    helpers=("softmax", "log_softmax", "special_softmax", "special_log_softmax"),
)
def soften(logits: Tensor, temperature: float) -> Tensor:
    """Write `soften`: probabilities from logits [..., vocabulary] at a temperature T, p = exp(z/T) divided by the sum
    of exp(z/T) over the vocabulary (the last axis). Logits may be as large as 1,000 and as small as −1,000. Do it
    without PyTorch's softmax.

    `soften(tensor([0.0, 1.0]), 2.0)` gives `tensor([0.378…, 0.622…])`.
    """
    scaled = logits / temperature
    powers = (scaled - scaled.amax(-1, keepdim=True)).exp()  # the largest becomes 1
    return powers / powers.sum(-1, keepdim=True)


def _kl(student, teacher, one, two):
    """KL divergence with the student at the temperature ``one`` and the teacher at ``two``."""
    log_q, log_p = (student / one).log_softmax(-1), (teacher / two).log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1).mean()


def _cross_entropy(student, teacher, temperature):
    p, log_q = (teacher / temperature).softmax(-1), (student / temperature).log_softmax(-1)
    return -(p * log_q).sum(-1).mean()


@shelf.exercise(
    title="KL divergence at a temperature",
    difficulty=2,
    minutes=12,
    use="the loss of distillation, with its floor at 0",
    cases=lambda: [
        (torch.zeros(1, 2), torch.zeros(1, 2), 1.0),
        (torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]), 1.0),
        (*_two(1, 1, 3), 2.0),
        (*_two(2, 4, 3), 1.0),
        (*_two(3, 5, 7), 4.0),
        (*_two(4, 3, 6, scale=300.0), 2.0),
    ],
    hints=(
        "Both predictions at the temperature, the teacher's as p, the student's as q. Each position has one "
        "number; then the mean.",
        "Per position: the sum over the vocabulary of p · (log p − log q). Take both logarithms with `log_softmax`.",
    ),
    remark="The temperature belongs to both sides. Without log p it is the cross-entropy, whose floor is not 0.",
    slips=[
        ("The temperature belongs to both sides. You use it for the student only.", lambda s, t, T: _kl(s, t, T, 1)),
        ("The temperature belongs to both sides. You use it for the teacher only.", lambda s, t, T: _kl(s, t, 1, T)),
        ("The temperature is missing.", lambda s, t, T: _kl(s, t, 1, 1)),
        ("The teacher's probabilities weigh. You swap teacher and student.", lambda s, t, T: _kl(t, s, T, T)),
        ("You add up over the positions. The mean is asked for.", lambda s, t, T: _kl(s, t, T, T) * len(s)),
        (
            "Add up over the vocabulary: only over the positions a mean is taken.",
            lambda s, t, T: _kl(s, t, T, T) / s.shape[-1],
        ),
        ("This is the cross-entropy. The teacher's own entropy has to be subtracted.", _cross_entropy),
        ("The sign is wrong.", lambda s, t, T: -_kl(s, t, T, T)),
        ("T² is not part of this one.", lambda s, t, T: T**2 * _kl(s, t, T, T)),
    ],
    signs=[
        (
            "Large logits make probabilities of 0, and log 0 is no number: use log_softmax.",
            lambda answer, s, t, T: s.abs().max() > 90,
        ),
    ],
    helpers=("torch.nn.functional.kl_div", "kl_div", "textbrewer.losses.kd_ce_loss"),
)
def kl_at(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """`student` and `teacher` are logits [masked, vocabulary] at the same masked positions. At the temperature the
    teacher's probabilities are p and the student's are q. Write `kl_at`: the KL divergence KL(p‖q), which is the sum
    of p · (log p − log q) over the vocabulary, as the mean over the positions. It is 0 for a student that copies its
    teacher. Do it without PyTorch's `kl_div`.

    `kl_at(tensor([[0.0, 0.0]]), tensor([[1.0, 0.0]]), 1.0)` gives `0.111…`.
    """
    log_p = (teacher / temperature).log_softmax(-1)  # [masked, vocabulary]
    log_q = (student / temperature).log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1).mean()


@shelf.exercise(
    title="The gradient of the KD loss",
    difficulty=3,
    minutes=15,
    use="to see what temperature and T² do to a step of training",
    cases=lambda: [
        (torch.zeros(1, 2), torch.zeros(1, 2), 1.0),
        (torch.zeros(1, 2), torch.tensor([[2.0, 0.0]]), 1.0),
        (torch.zeros(1, 2), torch.tensor([[2.0, 0.0]]), 2.0),
        (*_two(11, 2, 3), 1.0),
        (*_two(12, 3, 4), 4.0),
        (*_two(13, 5, 6), 8.0),
    ],
    hints=(
        "For one position and T = 1 the gradient is q − p: where the student finds a token too likely, its "
        "logit must fall."
        " Each logit is divided by T before, and the loss is multiplied by T² afterwards.",
        "One position without T²: (q − p)/T. Now the factor T², and the mean over the positions divides by "
        "their number.",
    ),
    remark="The mean over n positions puts 1/n into every gradient. Without it the gradients are n times as large.",
    slips=[
        ("T² is missing.", lambda s, t, T: kd_gradient(s, t, T) / T**2),
        ("The sign is wrong: a logit that is too high must fall.", lambda s, t, T: -kd_gradient(s, t, T)),
        (
            "The loss is a mean over the positions, so each gradient is divided by their number.",
            lambda s, t, T: kd_gradient(s, t, T) * len(s),
        ),
        (
            "The logits are divided by T, so the gradient is, too. That division is missing.",
            lambda s, t, T: kd_gradient(s, t, T) * T,
        ),
        ("Between T² and the division by T one T is lost.", lambda s, t, T: kd_gradient(s, t, T) / T),
        (
            "The probabilities are those at the temperature.",
            lambda s, t, T: T * (s.softmax(-1) - t.softmax(-1)) / len(s),
        ),
        (
            "The temperature belongs to both sides. You use it for the student only.",
            lambda s, t, T: T * ((s / T).softmax(-1) - t.softmax(-1)) / len(s),
        ),
        (
            "You divide by all numbers of the table. The mean is over the positions alone.",
            lambda s, t, T: kd_gradient(s, t, T) / s.shape[-1],
        ),
    ],
    helpers=("torch.autograd.grad", "torch.autograd.backward", "torch._tensor.Tensor.backward"),
)
def kd_gradient(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """The KD loss is T² times the cross-entropy −Σ p · log q, as the mean over the positions. Here p are the
    teacher's probabilities at the temperature T, q the student's at the same T, and the sum runs over the vocabulary.
    Write `kd_gradient`: the derivative of this loss by every logit of the student, [masked, vocabulary], from the
    logits of both. Work it out by hand: autograd is not allowed.

    `kd_gradient(tensor([[0.0, 0.0]]), tensor([[2.0, 0.0]]), 1.0)` gives `tensor([[-0.381…, 0.381…]])`.
    """
    p = (teacher / temperature).softmax(-1)  # [masked, vocabulary]
    q = (student / temperature).softmax(-1)
    return temperature**2 * (q - p) / temperature / len(student)


@shelf.exercise(
    title="Who learns from whom?",
    difficulty=1,
    minutes=5,
    use="the list of hidden matches of every stage",
    cases=lambda: [(1, 1), (2, 1), (2, 2), (4, 2), (6, 6), (12, 4), (12, 6)],
    hints=(
        "State 0 is the output of the embeddings, and it is matched as well. How many pairs are there?",
        "One pair for each of the student's states 0 to n. The teacher's state is a constant times the student's.",
    ),
    remark="A model of six layers has seven states. Whoever starts at 1 forgets the embeddings.",
    slips=[
        (
            "The embeddings' output, state 0, is matched, too.",
            lambda teacher, student: layer_partners(teacher, student)[1:],
        ),
        (
            "The last state of both models is matched, too.",
            lambda teacher, student: layer_partners(teacher, student)[:-1],
        ),
        (
            "The teacher's state stands first.",
            lambda teacher, student: [pair[::-1] for pair in layer_partners(teacher, student)],
        ),
        (
            "The teacher's states are spread evenly. You take its first ones.",
            lambda teacher, student: [(state, state) for state in range(student + 1)],
        ),
        (
            "The last state pairs with the last. You take the teacher's states one too early.",
            lambda teacher, student: [(max(0, one - 1), two) for one, two in layer_partners(teacher, student)],
        ),
        (
            "There is one pair for each state of the student, not of the teacher.",
            lambda teacher, student: [(state, state * student // teacher) for state in range(teacher + 1)],
        ),
        (
            "All states of the student are matched, and not the last one alone.",
            lambda teacher, student: [(teacher, student)],
        ),
    ],
    helpers=("minirbt_helpers.training.matches.layer_pairs",),
)
def layer_partners(teacher_layers: int, student_layers: int) -> list[tuple[int, int]]:
    """A model of n layers has the hidden states 0 to n: state 0 is the output of the embeddings, state i the output
    of layer i. The depth of the teacher is a multiple of the student's. Write `layer_partners`: all pairs (teacher's
    state, student's state) that are matched, evenly spread, from the first states of both to the last.

    `layer_partners(4, 2)` gives `[(0, 0), (2, 1), (4, 2)]`.
    """
    step = teacher_layers // student_layers
    return [(step * state, state) for state in range(student_layers + 1)]


def _off(student, teacher, weight, bias):
    return student @ weight.T + bias - teacher


@shelf.exercise(
    title="A match through a projection",
    difficulty=2,
    minutes=10,
    use="the hidden loss between models of different widths",
    cases=lambda: [
        (torch.ones(1, 1, 1), torch.zeros(1, 1, 1), torch.tensor([[2.0]]), torch.tensor([0.5])),
        (normal(1, 1, 2, 2), normal(2, 1, 2, 3), normal(3, 3, 2), normal(4, 3)),
        (normal(5, 2, 3, 2), normal(6, 2, 3, 4), normal(7, 4, 2), torch.zeros(4)),
        (normal(8, 2, 5, 3), normal(9, 2, 5, 3), normal(10, 3, 3), normal(11, 3)),
        (normal(12, 3, 4, 4), normal(13, 3, 4, 6), normal(14, 6, 4), normal(15, 6)),
    ],
    hints=(
        "The student's states go through the projection first. Then both have the same shape, and can be subtracted.",
        "`student @ weight.T + bias` is [batch, length, teacher's width]. Square the difference, and "
        "average over all axes.",
    ),
    remark="PyTorch keeps the matrix of a linear map as [out, in]. With equal widths a forgotten `.T` raises no error.",
    slips=[
        ("The bias of the projection is missing.", lambda s, t, w, b: (s @ w.T - t).square().mean()),
        (
            "The mean over all numbers is asked for. You add them up.",
            lambda s, t, w, b: _off(s, t, w, b).square().sum(),
        ),
        (
            "You add up over the width. The mean runs over all axes.",
            lambda s, t, w, b: _off(s, t, w, b).square().sum(-1).mean(),
        ),
        ("This is the root of the loss.", lambda s, t, w, b: _off(s, t, w, b).square().mean().sqrt()),
        ("The differences are squared, and you take their size.", lambda s, t, w, b: _off(s, t, w, b).abs().mean()),
        (
            "First square, then average: you do it the other way round.",
            lambda s, t, w, b: _off(s, t, w, b).mean().square(),
        ),
        (
            "Only the first position is compared. All positions count.",
            lambda s, t, w, b: _off(s, t, w, b)[:, 0].square().mean(),
        ),
    ],
    signs=[
        (
            "The matrix of a linear map is [out, in]: your projection takes it the other way round.",
            lambda answer, s, t, w, b: s.shape[-1] > 1 and abs(float((s @ w + b - t).square().mean()) - answer) < 1e-3,
        ),
    ],
    helpers=(
        "torch.nn.functional.mse_loss",
        "mse_loss",
        "minirbt_helpers.insight.measured.hidden_states.hidden_mse",
        "textbrewer.losses.hid_mse_loss",
    ),
    raises={"RuntimeError": "`weight` is [teacher's width, student's width], and a hidden state has the student's."},
)
def projected_match(student: Tensor, teacher: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`student` [batch, length, student's width] and `teacher` [batch, length, teacher's width] are hidden states of
    the same tokens. A projection leads from the student's width to the teacher's, with the `weight` [teacher's width,
    student's width] and the `bias` [teacher's width], as PyTorch's `Linear` keeps them. Write `projected_match`: the
    mean squared difference between the projected student and the teacher, over all tokens and all numbers.

    `projected_match(tensor([[[1.0]]]), tensor([[[0.0]]]), tensor([[2.0]]), tensor([0.5]))` gives `6.25`.
    """
    projected = student @ weight.T + bias  # [batch, length, teacher's width]
    return (projected - teacher).square().mean()


def _steps(weight, batches, rate, *, falls=lambda number, count: 1 - number / count, gathers=0.0):
    """The weight after a step per batch, with the gradient by hand; ``gathers``: what is kept of earlier gradients."""
    gradient = torch.zeros_like(weight)
    for number, (states, p) in enumerate(batches):
        q = (states @ weight.T).softmax(-1)
        gradient = (q - p).T @ states / len(states) + gathers * gradient
        weight = weight - rate * falls(number, len(batches)) * gradient
    return weight


def _scaled(weight, batches, rate, *, by):
    """As ``_steps``, with the gradient of each batch multiplied by a number that depends on its probabilities."""
    for number, one in enumerate(batches):
        weight = _steps(weight, [one], rate * (1 - number / len(batches)) * by(one[1]))
    return weight


@shelf.exercise(
    title="A loop of training",
    difficulty=2,
    minutes=15,
    use="the loop at the heart of every training run",
    cases=lambda: [
        (torch.zeros(2, 1), [(torch.ones(1, 1), torch.tensor([[1.0, 0.0]]))], 1.0),
        (torch.zeros(2, 1), [(torch.ones(1, 1), torch.tensor([[1.0, 0.0]]))] * 2, 1.0),
        (normal(1, 3, 2), [(normal(2, 4, 2), shares(3, 4, 3))], 0.5),
        (normal(4, 3, 2), [(normal(seed, 2, 2), shares(seed + 10, 2, 3)) for seed in (5, 6, 7)], 0.5),
        (normal(8, 5, 3), [(normal(seed, 4, 3), shares(seed + 10, 4, 5)) for seed in (21, 22, 23, 24)], 2.0),
    ],
    hints=(
        "Make a copy of `weight` that asks for a gradient, and give it to the optimiser. For each batch: forward, "
        "loss, `backward`, and then three calls.",
        "After `backward` come `optimizer.step()`, `scheduler.step()` and `optimizer.zero_grad()`. The scheduler may "
        "be `torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / len(batches))`.",
    ),
    remark=(
        "`backward` adds to the gradients that are there. Without `zero_grad` a step follows all batches so far, and "
        "nothing raises an error."
    ),
    slips=[
        (
            "The gradients of earlier batches are still there: `backward` adds to them. Zero them after each step.",
            lambda *given: _steps(*given, gathers=1.0),
        ),
        (
            "The rate does not fall: the scheduler has to step as well, once for each batch.",
            lambda *given: _steps(*given, falls=lambda number, count: 1),
        ),
        (
            "The rate falls too early. The first batch has the whole rate: the scheduler steps after the optimiser.",
            lambda *given: _steps(*given, falls=lambda number, count: 1 - (number + 1) / count),
        ),
        (
            "Your rate is 0 for the last batch already. It would be 0 for the batch after the last.",
            lambda *given: _steps(*given, falls=lambda number, count: 1 - number / max(1, count - 1)),
        ),
        (
            "The table is as it was. The optimiser has to step, after `backward` and before the gradients are zeroed.",
            lambda weight, batches, rate: weight,
        ),
        ("You go uphill: a step goes against the gradient.", lambda weight, batches, r: _steps(weight, batches, -r)),
        (
            "The loss is a mean over the positions. You add it up.",
            lambda *given: _scaled(*given, by=len),
        ),
        (
            "Add up over the vocabulary: only over the positions a mean is taken.",
            lambda *given: _scaled(*given, by=lambda p: 1 / p.shape[-1]),
        ),
        (
            "You stop after the first batch. Every batch has a step.",
            lambda weight, batches, rate: _steps(weight, batches[:1], rate),
        ),
        (
            "Each batch has a step of its own. You take one step for all of them.",
            lambda weight, batches, rate: weight + sum(_steps(weight, [one], rate) - weight for one in batches),
        ),
    ],
)
def train_student(weight: Tensor, batches: list[tuple[Tensor, Tensor]], rate: float) -> Tensor:
    """The student is one table, `weight` [vocabulary, width]. Its logits are `states @ weight.T`. A batch is a pair:
    `states` [masked, width], and the teacher's probabilities p [masked, vocabulary]. Write `train_student`: the table
    after one step of `torch.optim.SGD` for each batch. The loss is −Σ p · log q over the vocabulary, as the mean over
    the positions, where q are the student's probabilities. The learning rate falls evenly: of n batches the first has
    `rate`, and batch k, counted from 0, has rate · (1 − k/n). Leave `weight` as it is, and return a new tensor.

    `train_student(tensor([[0.0], [0.0]]), [(tensor([[1.0]]), tensor([[1.0, 0.0]]))], 1.0)`
    gives `tensor([[0.5], [-0.5]])`.
    """
    student = weight.clone().requires_grad_()
    optimizer = torch.optim.SGD([student], lr=rate)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / len(batches))
    for states, p in batches:
        log_q = (states @ student.T).log_softmax(-1)  # [masked, vocabulary]
        loss = -(p * log_q).sum(-1).mean()
        loss.backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    return student.detach()


shelf.question(
    "perfect_copy",
    "The KD loss as a cross-entropy stands at 8.7 for a student that copies its teacher perfectly. Is that possible?",
    "Yes: its floor is the teacher's own entropy",
    "A perfect copy still pays the entropy of the prediction. The KL divergence is what lies above this floor.",
    wrong={
        "No: a perfect copy has a loss of 0": "That is true of the KL divergence. The cross-entropy has a floor.",
        "Yes: the student has fewer parameters": "A copy of the prediction has the same loss, whatever computes it.",
    },
)
shelf.question(
    "pull_at_eight",
    "By the rule for high temperatures and without T²: how many times as weak as at T = 1 is the pull at T = 8?",
    64,
    "Once by the division by T, and once because the two softened predictions are closer by about another T: 8 · 8.",
)
shelf.question(
    "seven_matches",
    "How many hidden matches has a student of six layers?",
    7,
    "One for the output of the embeddings and one for each layer.",
)
shelf.question(
    "lower_loss",
    "Suppose the two-stage student ends with a lower KD loss than the one-stage student. Has it learned more?",
    "That does not follow: their teachers differ, and so do the floors of their losses",
    "Compare what both do on the same questions, such as the accuracy on held-out text.",
    wrong={
        "Yes: a lower loss is a better student": "Only against the same teacher, at the same temperature.",
        "No: a lower loss means that it has forgotten the labels": "The KD loss says nothing about the labels.",
    },
)
