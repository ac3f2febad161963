"""Exercises of notebook 08: what a run costs, what it keeps in memory, and one gradient from many processes."""

import math

import torch
from torch import Tensor

from .exercise import Shelf
from .samples import normal

shelf = Shelf("08_going_to_full_size", "Going to full size")


@shelf.exercise(
    title="What a run costs",
    difficulty=2,
    minutes=10,
    use="a plan, before the machine is rented",
    cases=lambda: [
        (3600, 1.0, 0.0, 1.0, 1.0, 1),
        (3600, 0.0, 1.0, 1.0, 1.0, 1),
        (3600, 2.0, 1.0, 10.0, 0.5, 1),
        (7200, 2.0, 1.0, 10.0, 0.5, 8),
        (209_715_200_000, 1.8e8, 2.1e7, 9.89e14, 0.4, 8),
    ],
    hints=(
        "How many operations does one token need, for the teacher and for the student? Who of them learns?",
        "Backward costs twice as much as forward, so the student needs three times its forward work. "
        "Divide all operations by"
        " what all devices get done in a second, and make hours of the seconds.",
    ),
    remark=(
        "The peak is what the vendor prints. What a machine gets done is a share of it, and the share has to "
        "be measured."
    ),
    slips=[
        (
            "The student learns: it goes forward and backward, three times its forward work.",
            lambda n, t, s, p, a, d: run_hours(n, t, s / 3, p, a, d),
        ),
        (
            "Backward costs twice as much as forward. You count it once.",
            lambda n, t, s, p, a, d: run_hours(n, t, s * 2 / 3, p, a, d),
        ),
        ("The teacher does not learn: it goes forward only.", lambda n, t, s, p, a, d: run_hours(n, 3 * t, s, p, a, d)),
        ("These are seconds.", lambda *given: 3600 * run_hours(*given)),
        ("Only a share of the peak is reached.", lambda n, t, s, p, a, d: run_hours(n, t, s, p, 1.0, d)),
        ("A smaller share takes longer: divide by it.", lambda n, t, s, p, a, d: run_hours(n, t, s, p, 1 / a, d)),
        ("Several devices share the work.", lambda n, t, s, p, a, d: run_hours(n, t, s, p, a, 1)),
        ("The teacher works, too.", lambda n, t, s, p, a, d: run_hours(n, 0.0, s, p, a, d)),
    ],
)
def run_hours(
    tokens: int,
    teacher: float,
    student: float,
    peak: float,
    share: float,
    devices: int,
) -> float:
    """A distillation reads so many `tokens`. For one token the forward pass needs `teacher` operations in the teacher
    and `student` operations in the student. The teacher only goes forward. The student also goes backward, which
    costs twice its forward pass. Each of the `devices` can do `peak` operations in a second and reaches a `share` of
    that. Write `run_hours`: how many hours does the run take?

    `run_hours(7200, 2.0, 1.0, 10.0, 0.5, 8)` gives `0.25`.
    """
    operations = tokens * (teacher + 3 * student)
    return operations / (peak * share * devices) / 3600


def _rounded(step, steps, highest, rise):
    return highest * ((step + 1) / rise if step < rise else (steps - step) / (steps - rise))


@shelf.exercise(
    title="The learning-rate schedule",
    difficulty=2,
    minutes=12,
    use="the curve behind every long training",
    cases=lambda: [
        (0, 10, 1.0, 0.5),
        (4, 10, 1.0, 0.5),
        (5, 10, 1.0, 0.5),
        (9, 10, 1.0, 0.5),
        (1, 10, 2.0, 0.25),
        (2, 10, 2.0, 0.25),
        (3, 10, 2.0, 0.25),
        (0, 4, 0.5, 0.0),
        (3, 4, 0.5, 0.0),
        (1, 11, 1.0, 0.2),
        (50_000, 100_000, 4e-4, 0.1),
    ],
    hints=(
        "First the number of warm-up steps, rounded up. Which step is the first one at the highest rate?",
        "With r warm-up steps: in the warm-up highest · (step + 1)/r, afterwards highest · (steps − step)/(steps − r).",
    ),
    remark=(
        "Steps are counted from 0: whoever forgets the + 1 takes the first step with a rate of 0, that is, for nothing."
    ),
    slips=[
        (
            "The first step must not have a rate of 0: the warm-up ends at the highest rate with its last step.",
            lambda step, steps, highest, warmup: (
                highest * step / math.ceil(steps * warmup)
                if step < math.ceil(steps * warmup)
                else rate_at(step, steps, highest, warmup)
            ),
        ),
        ("The warm-up is missing.", lambda step, steps, highest, warmup: highest * (steps - step) / steps),
        (
            "After the warm-up the rate falls from its highest: count the steps that are left by those "
            "after the warm-up.",
            lambda step, steps, highest, warmup: (
                rate_at(step, steps, highest, warmup)
                if step < math.ceil(steps * warmup)
                else highest * (steps - step) / steps
            ),
        ),
        (
            "The number of warm-up steps is rounded up. You round it down.",
            lambda step, steps, highest, warmup: (
                highest * (step + 1) / math.floor(steps * warmup)
                if step < math.floor(steps * warmup)
                else highest * (steps - step) / (steps - math.floor(steps * warmup))
            ),
        ),
        (
            "The number of warm-up steps is rounded up. You round it to the nearest number.",
            lambda step, steps, highest, warmup: _rounded(step, steps, highest, int(steps * warmup + 0.5)),
        ),
        (
            "The rate falls one step too early: the first step after the warm-up still has the highest rate.",
            lambda step, steps, highest, warmup: (
                rate_at(step, steps, highest, warmup)
                if step < math.ceil(steps * warmup)
                else highest * (steps - step - 1) / (steps - math.ceil(steps * warmup))
            ),
        ),
        (
            "After the warm-up the rate falls. Yours stays at its highest.",
            lambda step, steps, highest, warmup: (
                rate_at(step, steps, highest, warmup) if step < math.ceil(steps * warmup) else highest
            ),
        ),
        (
            "This is a share. Multiply by the highest rate.",
            lambda step, steps, highest, warmup: rate_at(step, steps, 1.0, warmup),
        ),
    ],
    raises={"ZeroDivisionError": "There may be no warm-up. Then it has 0 steps, and nothing must be divided by that."},
    helpers=("minirbt_helpers.training.loop.learning_rate",),
)
def rate_at(step: int, steps: int, highest: float, warmup: float) -> float:
    """A run takes `steps` steps, counted from 0. Over the first share `warmup` of them (rounded up to r whole steps)
    the learning rate rises evenly: the first step has 1/r of the `highest` rate, the last step of the warm-up has all
    of it. From the step after the warm-up on it falls evenly: that step still has the highest rate, and after the
    last step 0 would be reached. Write `rate_at`: the rate of one `step`. There may be no warm-up at all.

    `rate_at(0, 10, 1.0, 0.5)` gives `0.2`.
    """
    rise = math.ceil(steps * warmup)
    if step < rise:
        return highest * (step + 1) / rise
    return highest * (steps - step) / (steps - rise)


@shelf.exercise(
    title="One gradient from many processes",
    difficulty=2,
    minutes=10,
    use="the same training on one GPU and on eight",
    cases=lambda: [
        (torch.tensor([[1.0, 2.0]]), [3]),
        (torch.tensor([[1.0, 2.0], [3.0, 4.0]]), [2, 2]),
        (torch.tensor([[1.0, 2.0], [3.0, 4.0]]), [1, 3]),
        (torch.tensor([[1.0, 2.0], [0.0, 0.0], [3.0, 4.0]]), [5, 0, 3]),
        (normal(1, 4, 5), [19, 7, 12, 1]),
    ],
    hints=(
        "Each process has a mean over its own positions. What do you have to do to a mean to get back the sum?",
        "Multiply each process's gradient by its number of positions, add up, divide by the number of all positions.",
    ),
    remark="A mean of means lets a position weigh more where few were masked. With equal numbers nobody notices.",
    slips=[
        (
            "A mean of means: positions of a process with few of them weigh too much. Every position weighs the same.",
            lambda gradients, masked: gradients.mean(0),
        ),
        ("You add the gradients up. They are means already.", lambda gradients, masked: gradients.sum(0)),
        (
            "After adding up the sums of all processes divide by the number of all positions.",
            lambda gradients, masked: (gradients * torch.tensor(masked)[:, None]).sum(0),
        ),
        (
            "Divide by the number of positions, not by that of processes.",
            lambda gradients, masked: (gradients * torch.tensor(masked)[:, None]).mean(0),
        ),
        (
            "You average over the weights. Each weight keeps its own number: average over the processes.",
            lambda gradients, masked: gradients.mean(1),
        ),
        (
            "A process with *more* masked positions weighs more.",
            lambda gradients, masked: (
                (gradients / torch.tensor(masked)[:, None]).sum(0) / (1 / torch.tensor(masked)).sum()
            ),
        ),
        (
            "You take the gradient of the process with the most positions. All of them count.",
            lambda gradients, masked: gradients[torch.tensor(masked).argmax()],
        ),
    ],
)
def joint_gradient(gradients: Tensor, masked: list[int]) -> Tensor:
    """Several processes have read different blocks. Row i of `gradients` [processes, weights] is the gradient of the
    **mean** loss over the `masked[i]` positions of process i. Write `joint_gradient`: the gradient of the mean loss
    over the positions of all processes together, [weights]. Each position weighs the same, wherever it was read.

    `joint_gradient(tensor([[1.0, 2.0], [3.0, 4.0]]), [1, 3])` gives `tensor([2.5, 3.5])`.
    """
    counts = torch.tensor(masked, dtype=torch.float)[:, None]  # [processes, 1]
    return (gradients * counts).sum(0) / counts.sum()


@shelf.exercise(
    title="What lies in memory",
    difficulty=1,
    minutes=8,
    use="to know before the run whether it fits",
    cases=lambda: [(1, 0, 0), (0, 1, 0), (0, 0, 1), (10, 100, 3), (10_400_000, 59_760_000, 1_376_256)],
    hints=(
        "Make a list: what is kept per number of the student, of the projections, of the teacher?",
        "What learns keeps itself, its gradient and two numbers of AdamW, four bytes each. The teacher "
        "keeps itself, in two.",
    ),
    remark="The optimiser keeps twice as much as the model itself. The teacher needs none of it.",
    slips=[
        (
            "AdamW keeps two numbers for every number that learns. They are missing.",
            lambda s, t, p: 8 * (s + p) + 2 * t,
        ),
        ("AdamW keeps *two* numbers for every number that learns.", lambda s, t, p: 12 * (s + p) + 2 * t),
        ("The teacher is kept in two bytes per number.", lambda s, t, p: 16 * (s + p) + 4 * t),
        ("The teacher does not learn: it has no gradient and no optimiser.", lambda s, t, p: 16 * (s + p + t)),
        (
            "The projections learn as well: they have gradients and an optimiser, too.",
            lambda s, t, p: 16 * s + 4 * p + 2 * t,
        ),
        ("The projections are missing.", lambda s, t, p: 16 * s + 2 * t),
        ("These are bits.", lambda s, t, p: 8 * training_bytes(s, t, p)),
        ("The teacher lies in memory, too.", lambda s, t, p: 16 * (s + p)),
        ("These are numbers. A number of the student has four bytes.", lambda s, t, p: 4 * (s + p) + t),
    ],
)
def training_bytes(student: int, teacher: int, projections: int) -> int:
    """The three arguments are numbers of parameters. Student and projections learn: each parameter is kept in 4
    bytes, with its gradient (4 bytes) and the two running averages of AdamW (4 bytes each). The teacher only answers,
    and is kept in bfloat16, 2 bytes per parameter. Write `training_bytes`: how many bytes lie in memory before the
    first text is read?

    `training_bytes(10, 100, 3)` gives `408`.
    """
    return (student + projections) * (4 + 4 + 2 * 4) + teacher * 2


@shelf.exercise(
    title="Clip the gradient",
    difficulty=2,
    minutes=10,
    use="one bad batch that must not ruin a long run",
    cases=lambda: [
        ([torch.tensor([3.0, 4.0])], 1.0),
        ([torch.tensor([0.3, 0.4])], 1.0),
        ([torch.tensor([3.0]), torch.tensor([4.0])], 1.0),
        ([torch.zeros(2), torch.zeros(3)], 1.0),
        ([normal(1, 3, 2), normal(2, 4), 0.1 * normal(3, 5)], 2.0),
        ([normal(4, 2, 2), normal(5, 3)], 100.0),
    ],
    hints=(
        "All tensors together are one long vector. How long is it, and by what must it be multiplied?",
        "The length is the root of all squares added up. Multiply every tensor by limit/length, but only "
        "if that is below 1.",
    ),
    remark=(
        "All tensors are multiplied by the *same* number, so the direction stays. And a short gradient stays as it is."
    ),
    slips=[
        (
            "The length of all tensors *together* counts. You clip each for itself.",
            lambda gradients, limit: [one * min(1.0, limit / max(float(one.norm()), 1e-12)) for one in gradients],
        ),
        (
            "A gradient that is shorter than the limit stays as it is. You make it longer.",
            lambda gradients, limit: [one * limit / max(_length(gradients), 1e-12) for one in gradients],
        ),
        (
            "Multiply all by the same number. You cut off each number at the limit, which changes the direction.",
            lambda gradients, limit: [one.clamp(-limit, limit) for one in gradients],
        ),
        (
            "The root is missing in the length.",
            lambda gradients, limit: [one * min(1.0, limit / max(_length(gradients) ** 2, 1e-12)) for one in gradients],
        ),
        (
            "You clip by the largest number. The length of the whole vector counts.",
            lambda gradients, limit: [
                one * min(1.0, limit / max(max(float(other.abs().max()) for other in gradients), 1e-12))
                for one in gradients
            ],
        ),
        ("Nothing is clipped.", lambda gradients, limit: list(gradients)),
        (
            "The lengths of the tensors do not add up. Their squares do.",
            lambda gradients, limit: [
                one * min(1.0, limit / max(sum(float(other.norm()) for other in gradients), 1e-12)) for one in gradients
            ],
        ),
    ],
    signs=[
        (
            "A gradient of zeros has the length 0. It stays as it is.",
            lambda answer, gradients, limit: _length(gradients) == 0,
        ),
    ],
    helpers=("torch.nn.utils.clip_grad.clip_grad_norm_",),
)
def clipped(gradients: list[Tensor], limit: float) -> list[Tensor]:
    """`gradients` holds one tensor for each weight of a model. Think of all their numbers as one long vector. Write
    `clipped`: the same gradients if this vector is at most `limit` long, else all of them multiplied by one number so
    that it is exactly `limit` long. The length is the root of the sum of all squares.

    `clipped([tensor([3.0]), tensor([4.0])], 1.0)` gives `[tensor([0.6]), tensor([0.8])]`.
    """
    length = sum(one.square().sum() for one in gradients) ** 0.5
    factor = limit / length if length > limit else 1.0
    return [one * factor for one in gradients]


def _length(gradients):
    return float(sum(one.square().sum() for one in gradients)) ** 0.5


shelf.question(
    "one_to_eight",
    "A recipe has a batch of 4,096 blocks. You go from one GPU to eight. What must change in the recipe?",
    "Nothing: the batch is that of all processes together",
    "Each of the eight takes an eighth of the batch. The gradient is the same.",
    wrong={
        "The batch becomes eight times as large": "Then it would be another training.",
        "The learning rate is divided by eight": "The gradient is a mean over the same batch, so the rate stays.",
    },
)
shelf.question(
    "smaller_student",
    "A student of half the size saves much less than half of the work of stage two. Why?",
    "Most of the work is the forward pass of its teacher",
    "The assistant answers every token, whoever listens.",
    wrong={
        "The projections become larger": "They become smaller with the student's width.",
        "A small model needs more steps": "The number of steps is the recipe's, and the same.",
    },
)
shelf.question(
    "gpu_hours",
    "A run takes 12 hours on 8 GPUs. How many GPU-hours are paid?",
    96,
    "12 · 8 = 96. On one GPU the same run takes about four days.",
)
shelf.question(
    "tokens_of_a_stage",
    "A stage has 100,000 steps of 4,096 blocks of 512 tokens. How many billion tokens are read?",
    209.7152,
    "100,000 · 4,096 · 512 = 209,715,200,000.",
    tolerance=0.01,
)
