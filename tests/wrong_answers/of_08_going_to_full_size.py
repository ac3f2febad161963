"""Wrong answers to the exercises of notebook 08."""

import math

import torch

from . import Wrong


def hours(tokens, teacher, student, peak, share, devices, back=2, teacher_back=0, unit=3600):
    work = tokens * ((1 + teacher_back) * teacher + (1 + back) * student)
    return work / (devices * share * peak * unit)


def rate(step, steps, highest, warmup, first=1, whole=math.ceil, left=0, over=None):
    rise = whole(steps * warmup)
    if step < rise:
        return highest * (step + first) / rise
    return highest * (steps - step - left) / (over or steps - rise)


def both_sides(step, steps, highest, warmup):
    rise = math.ceil(steps * warmup)
    return highest * min((step + 1) / rise, (steps - step) / (steps - rise))


def weighted(gradients, masked, total=None):
    whole = torch.zeros_like(gradients[0])
    for gradient, count in zip(gradients, masked, strict=True):
        whole += count * gradient
    return whole / (total or sum(masked))


def norm(gradients):
    return torch.cat([one.flatten() for one in gradients]).norm()


def scaled(gradients, limit, length):
    return [one * min(1.0, float(limit / (length + 1e-9))) for one in gradients]


WRONG = {
    "run_hours": [
        Wrong("forward only", lambda *g: hours(*g, back=0), "forward and backward"),
        Wrong("backward once", lambda *g: hours(*g, back=1), "You count it once"),
        Wrong("the teacher learns", lambda *g: hours(*g, teacher_back=2), "does not learn"),
        Wrong("seconds", lambda *g: hours(*g, unit=1), "These are seconds"),
        Wrong("the peak", lambda n, t, s, p, a, d: hours(n, t, s, p, 1, d), "a share of the peak"),
        Wrong("times the share", lambda n, t, s, p, a, d: hours(n, t, s, p, 1, d) * a, "divide by it"),
        Wrong("one device", lambda n, t, s, p, a, d: hours(n, t, s, p, a, 1), "share the work"),
    ],
    "rate_at": [
        Wrong("off by one: begins at 0", lambda *g: rate(*g, first=0), "must not have a rate of 0"),
        Wrong("no warm-up", lambda step, steps, highest, _: highest * (1 - step / steps), "warm-up is missing"),
        Wrong("falls by all steps", lambda *g: rate(*g, over=g[1]), "those after the warm-up"),
        Wrong("rounded down", lambda *g: rate(*g, whole=int), "round it down"),
        Wrong("rounded to the nearest", lambda *g: rate(*g, whole=lambda n: int(n + 0.5)), "to the nearest number"),
        Wrong("off by one: ends at 0", lambda *g: rate(*g, left=1), "one step too early"),
        Wrong("divides by zero", both_sides, "may be no warm-up"),
        Wrong("a share", lambda step, steps, highest, warmup: rate(step, steps, 1, warmup), "This is a share"),
    ],
    "joint_gradient": [
        Wrong("a mean of means", lambda g, m: sum(g) / len(g), "mean of means"),
        Wrong("a sum of means", lambda g, m: sum(g), "They are means already"),
        Wrong("a sum of sums", lambda g, m: weighted(g, m, total=1), "divide by the number of all positions"),
        Wrong("divided by the processes", lambda g, m: weighted(g, m, total=len(m)), "not by that of processes"),
        Wrong("wrong axis", lambda g, m: g.mean(-1), "average over the weights"),
        Wrong("the largest process", lambda g, m: g[m.index(max(m))], "All of them count"),
        Wrong("upside down", lambda g, m: weighted(g, [1 / count for count in m]), "weighs more"),
    ],
    "training_bytes": [
        Wrong("no optimiser", lambda s, t, p: (s + p) * (4 + 4) + 2 * t, "They are missing"),
        Wrong("one number of AdamW", lambda s, t, p: (s + p) * (4 + 4 + 4) + 2 * t, "*two* numbers"),
        Wrong("the teacher in four bytes", lambda s, t, p: (s + p) * 16 + t * 4, "two bytes per number"),
        Wrong("the teacher learns", lambda s, t, p: sum(16 * one for one in (s, t, p)), "no gradient and no optimiser"),
        Wrong("no projections", lambda s, t, p: 16 * s + 2 * t, "projections are missing"),
        Wrong("no teacher", lambda s, t, p: 16 * (s + p), "lies in memory, too"),
        Wrong("bits", lambda s, t, p: 8 * (16 * (s + p) + 2 * t), "These are bits"),
    ],
    "clipped": [
        Wrong("each for itself", lambda g, n: [scaled([one], n, norm([one]))[0] for one in g], "each for itself"),
        Wrong("longer, too", lambda g, n: [one * n / (norm(g) + 1e-9) for one in g], "You make it longer"),
        Wrong("numbers cut off", lambda g, n: [one.clip(-n, n) for one in g], "changes the direction"),
        Wrong("no root", lambda g, n: scaled(g, n, norm(g) ** 2), "root is missing"),
        Wrong("the largest number", lambda g, n: scaled(g, n, max(one.abs().max() for one in g)), "largest number"),
        Wrong(
            "0/0", lambda g, n: [one * torch.clamp(n / norm(g), max=1) / (norm(g) / norm(g)) for one in g], "length 0"
        ),
        Wrong("nothing", lambda g, n: g, "Nothing is clipped"),
        Wrong("one tensor", lambda g, n: torch.cat([one.flatten() for one in g]), "the shape is"),
    ],
}
