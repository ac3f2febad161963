"""Wrong answers to the exercises of notebook 04."""

import torch

from . import Wrong


def powers(logits, temperature):
    return torch.exp(logits / temperature)


def kl(student, teacher, one=1.0, two=1.0):
    p, q = torch.softmax(teacher / two, -1), torch.softmax(student / one, -1)
    return (p * (torch.log_softmax(teacher / two, -1) - torch.log_softmax(student / one, -1))).sum() / len(p), p, q


def log_of_softmax(student, teacher, temperature):
    p, q = torch.softmax(teacher / temperature, -1), torch.softmax(student / temperature, -1)
    return (p * (p / q).log()).sum(1).mean()


def pull(student, teacher, one, two=None):
    return torch.softmax(student / one, -1) - torch.softmax(teacher / (two or one), -1)


def by_autograd(student, teacher, temperature):
    student = student.clone().requires_grad_()
    p = (teacher / temperature).softmax(-1)
    loss = -(temperature**2) * (p * (student / temperature).log_softmax(-1)).sum(-1).mean()
    loss.backward()
    return student.grad


def squared(student, teacher, weight, bias):
    return (torch.einsum("bls,ts->blt", student, weight) + bias - teacher) ** 2


def loop(weight, batches, rate, order=("backward", "optimizer", "scheduler", "zero"), mean=torch.mean, last=0):
    student = weight.clone().requires_grad_()
    optimizer = torch.optim.SGD([student], lr=rate)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / max(1, len(batches) - last))
    for states, p in batches:
        loss = mean(-(p * (states @ student.T).log_softmax(-1)).sum(-1))
        calls = {"backward": loss.backward, "optimizer": optimizer.step, "scheduler": scheduler.step}
        for name in order:
            (calls | {"zero": optimizer.zero_grad})[name]()
    return student


def in_place(weight, batches, rate):
    weight.copy_(loop(weight, batches, rate).detach())
    return weight


WRONG = {
    "soften": [
        Wrong(
            "no temperature", lambda z, T: powers(z, 1) / powers(z, 1).sum(-1, keepdim=True), "temperature is missing"
        ),
        Wrong("times T", lambda z, T: powers(z, 1 / T) / powers(z, 1 / T).sum(-1, keepdim=True), "You multiply"),
        Wrong("overflow", lambda z, T: powers(z, T) / powers(z, T).sum(-1, keepdim=True), "overflow"),
        Wrong("the wrong axis", lambda z, T: powers(z, T) / powers(z, T).sum(0, keepdim=True), "wrong axis"),
        Wrong("the whole table", lambda z, T: powers(z, T) / powers(z, T).sum(), "the whole table"),
        Wrong("not divided", powers, "Divide by the sum"),
        Wrong("PyTorch's own", lambda z, T: torch.softmax(z / T, -1), "write it yourself"),
    ],
    "kl_at": [
        Wrong("T on the student's side only", lambda s, t, T: kl(s, t, one=T)[0], "for the student only"),
        Wrong("T on the teacher's side only", lambda s, t, T: kl(s, t, two=T)[0], "for the teacher only"),
        Wrong("no T", lambda s, t, T: kl(s, t)[0], "temperature is missing"),
        Wrong("swapped", lambda s, t, T: kl(t, s, T, T)[0], "swap teacher and student"),
        Wrong("mean over the vocabulary", lambda s, t, T: kl(s, t, T, T)[0] / s.size(1), "over the vocabulary"),
        Wrong("a sum over positions", lambda s, t, T: kl(s, t, T, T)[0] * s.size(0), "over the positions"),
        Wrong("with T²", lambda s, t, T: kl(s, t, T, T)[0] * T * T, "T² is not part"),
        Wrong(
            "cross-entropy",
            lambda s, t, T: -((t / T).softmax(1) * (s / T).log_softmax(1)).sum(1).mean(),
            "This is the cross-entropy",
        ),
        Wrong("log of softmax", log_of_softmax, "log 0"),
    ],
    "kd_gradient": [
        Wrong("forgot T²", lambda s, t, T: pull(s, t, T) / T / len(s), "T² is missing"),
        Wrong("p - q", lambda s, t, T: -pull(s, t, T) * T / len(s), "sign is wrong"),
        Wrong("not divided by the positions", lambda s, t, T: pull(s, t, T) * T, "divided by their number"),
        Wrong("not divided by T", lambda s, t, T: pull(s, t, T) * T**2 / len(s), "division is missing"),
        Wrong("T on one side", lambda s, t, T: pull(s, t, T, 1.0) * T / len(s), "both sides"),
        Wrong("no T in the opinions", lambda s, t, T: pull(s, t, 1.0) * T / len(s), "at the temperature"),
        Wrong("autograd", by_autograd, "write it yourself"),
    ],
    "layer_partners": [
        Wrong("no embeddings", lambda t, s: [(t // s * i, i) for i in range(1, s + 1)], "state 0, is matched"),
        Wrong("off by one: no last", lambda t, s: [(t // s * i, i) for i in range(s)], "last state of both"),
        Wrong("student first", lambda t, s: [(i, t // s * i) for i in range(s + 1)], "stands first"),
        Wrong("the first layers", lambda t, s: [(i, i) for i in range(s + 1)], "spread evenly"),
        Wrong("a pair per teacher's state", lambda t, s: [(i, i * s // t) for i in range(t + 1)], "not of the teacher"),
        Wrong("the last pair alone", lambda t, s: [(t, s)], "not the last one alone"),
    ],
    "projected_match": [
        Wrong("no bias", lambda s, t, w, b: squared(s, t, w, 0 * b).mean(), "bias of the projection"),
        Wrong("a sum", lambda s, t, w, b: squared(s, t, w, b).sum(), "You add them up"),
        Wrong("a sum over the width", lambda s, t, w, b: squared(s, t, w, b).sum(2).mean(), "add up over the width"),
        Wrong("root", lambda s, t, w, b: squared(s, t, w, b).mean() ** 0.5, "root of the loss"),
        Wrong("no square", lambda s, t, w, b: squared(s, t, w, b).sqrt().mean(), "take their size"),
        Wrong("no .T", lambda s, t, w, b: ((s @ w + b - t) ** 2).mean(), "RuntimeError"),
        Wrong("one per token", lambda s, t, w, b: squared(s, t, w, b).mean(-1), "one number"),
    ],
    "train_student": [
        Wrong("no zero_grad", lambda *given: loop(*given, order=("backward", "optimizer", "scheduler")), "still there"),
        Wrong("no scheduler", lambda *given: loop(*given, order=("backward", "optimizer", "zero")), "does not fall"),
        Wrong(
            "the scheduler first",
            lambda *given: loop(*given, order=("backward", "scheduler", "optimizer", "zero")),
            "falls too early",
        ),
        Wrong(
            "zeroed too early",
            lambda *given: loop(*given, order=("backward", "zero", "optimizer", "scheduler")),
            "The table is as it was",
        ),
        Wrong("a sum", lambda *given: loop(*given, mean=torch.sum), "You add it up"),
        Wrong("0 at the last", lambda *given: loop(*given, last=1), "for the last batch already"),
        Wrong("in place", in_place, "changes weight"),
    ],
}
