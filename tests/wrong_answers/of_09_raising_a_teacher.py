"""Wrong answers to the exercises of notebook 09."""

import torch

from . import Wrong


def surprise(logits, labels):
    """-log p of every label, without a look at -100."""
    return -logits.log_softmax(-1)[torch.arange(len(labels)), labels.clamp(min=0)]


def counts(ids, size, window, ignored, far=1, near=1, back=True, once=False):
    table = torch.zeros(size, size)
    for i in range(len(ids)):
        for j in range(i + near, min(len(ids), i + window + far)):
            if ids[i] in ignored or ids[j] in ignored:
                continue
            for a, b in [(ids[i], ids[j]), (ids[j], ids[i])][: 2 if back else 1]:
                table[a, b] = 1 if once else table[a, b] + 1
    return table


def pmi(counts):
    shares = counts / counts.sum()
    own = shares.sum(0)
    return torch.log(shares / torch.outer(own, own))


def head(length, speeds, step, sharpness, cosine=True, axis=1):
    def waves(at):
        return torch.cat([torch.sin(at * speeds), torch.cos(at * speeds)] if cosine else [torch.sin(at * speeds)])

    scores = [[sharpness * waves(t + step) @ waves(s) for s in range(length)] for t in range(length)]
    return torch.tensor(scores).softmax(axis)


def grown(present, depth, old_is_new=False):
    made = []
    for layer in range(present):
        for number in range(depth // present):
            made.append((layer, (number > 0) != old_is_new))
    return made


WRONG = {
    "mlm_loss": [
        Wrong(
            "mean over all positions",
            lambda logits, labels: surprise(logits, labels)[labels >= 0].sum() / len(labels),
            "average over all positions",
        ),
        Wrong("a sum", lambda logits, labels: surprise(logits, labels)[labels >= 0].sum(), "You add up"),
        Wrong("no minus", lambda logits, labels: -surprise(logits, labels)[labels >= 0].mean(), "sign is wrong"),
        Wrong(
            "probabilities",
            lambda logits, labels: (-surprise(logits, labels)[labels >= 0]).exp().mean(),
            "takes its logarithm",
        ),
        Wrong("ignores -100", lambda logits, labels: surprise(logits, labels).mean(), "Leave it out"),
        Wrong("-100 as a place", lambda logits, labels: -logits.log_softmax(-1)[:, labels].mean(), "IndexError"),
        Wrong(
            "overflows",
            lambda logits, labels: (
                -(logits.exp() / logits.exp().sum(-1, keepdim=True))[labels >= 0, labels[labels >= 0]].log().mean()
            ),
            "overflow",
        ),
        Wrong(
            "softmax over positions",
            lambda logits, labels: -logits[labels >= 0].log_softmax(0)[:, labels[labels >= 0]].diagonal().mean(),
            "runs over the positions",
        ),
    ],
    "neighbour_counts": [
        Wrong("one direction", lambda *g: counts(*g, back=False), "both directions"),
        Wrong("off by one: too small", lambda *g: counts(*g, far=0), "one too small"),
        Wrong("off by one: too large", lambda *g: counts(*g, far=2), "one too large"),
        Wrong("its own neighbour", lambda *g: counts(*g, near=0), "its own neighbour"),
        Wrong("ignores nothing", lambda ids, size, window, _: counts(ids, size, window, []), "count for nothing"),
        Wrong("yes or no", lambda *g: counts(*g, once=True), "whether it happens"),
        Wrong(
            "closes the gaps",
            lambda ids, size, window, ignored: counts([o for o in ids if o not in ignored], size, window, []),
            "close the gap",
        ),
    ],
    "ppmi": [
        Wrong("negative numbers stay", lambda c: pmi(c).nan_to_num(0, posinf=0, neginf=0), "become 0"),
        Wrong("nan and infinity stay", lambda c: pmi(c), "Both become 0"),
        Wrong("no logarithm", lambda c: pmi(c).exp().nan_to_num(0), "logarithm is missing"),
        Wrong(
            "base 2",
            lambda c: pmi(c).nan_to_num(0, posinf=0, neginf=0).clamp(min=0) / torch.log(torch.tensor(2.0)),
            "base 2",
        ),
        Wrong(
            "counts for shares",
            lambda c: (c / torch.outer(c.sum(0), c.sum(1))).log().nan_to_num(0, neginf=0, posinf=0).clamp(min=0),
            "total is missing",
        ),
        Wrong("log of one more", lambda c: torch.log1p(pmi(c).exp().nan_to_num(0)), "before the logarithm"),
    ],
    "neighbour_head": [
        Wrong("the other direction", lambda n, s, step, sharp: head(n, s, -step, sharp), "opposite direction"),
        Wrong("sines alone", lambda *g: head(*g, cosine=False), "cosines are missing"),
        Wrong("softmax over the wrong axis", lambda *g: head(*g, axis=0), "over the keys"),
        Wrong("no sharpness", lambda n, s, step, sharp: head(n, s, step, 1.0), "sharpness is missing"),
        Wrong("no step", lambda n, s, step, sharp: head(n, s, 0, sharp), "looks at itself"),
        Wrong("one step always", lambda n, s, step, sharp: head(n, s, max(-1, min(step, 1)), sharp), "by how many"),
    ],
    "grown_layers": [
        Wrong("new ones at the end", lambda p, d: [(i % p, i >= p) for i in range(d)], "at the end"),
        Wrong("old for new", lambda p, d: grown(p, d, old_is_new=True), "old layer itself"),
        Wrong("counted from 1", lambda p, d: [(a + 1, b) for a, b in grown(p, d)], "counted from 0"),
        Wrong("no marks", lambda p, d: [a for a, _ in grown(p, d)], "a pair is asked for"),
        Wrong("nothing new", lambda p, d: [(a, False) for a, _ in grown(p, d)], "Nothing is marked"),
        Wrong("one new layer each", lambda p, d: grown(p, 2 * p), "need not be twice"),
    ],
}
