"""MiniRBT from scratch: the whole method of the course in one file, to be read from top to bottom.

    python examples/minirbt_from_scratch.py

A teacher of twelve layers teaches an assistant of six (stage 1). The assistant teaches a student that is as deep, and a
third as wide (stage 2). The student then learns to tell what a headline is about. The teacher comes with the course, in
data_samples. Everything else is made here, in less than three minutes on two cores.
"""

import json
import math
import time
from collections import Counter, defaultdict
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

DATA = Path(__file__).parents[1] / "data_samples"
LENGTH = 128  # tokens in a block
BATCH = 4  # blocks in a step
TEMPERATURE = 8.0  # of the KD loss
IGNORED = -100  # the label of a token that is not hidden

tokenizer = Tokenizer.from_file(str(DATA / "models" / "teacher" / "tokenizer.json"))
PAD, CLS, SEP, MASK = (tokenizer.token_to_id(name) for name in ("[PAD]", "[CLS]", "[SEP]", "[MASK]"))
SPECIAL = {PAD, CLS, SEP, MASK}  # these are never hidden

# ---- 1 · A BERT that fills in hidden words (notebooks 00 and 03) -----------------------------------------------------
# A model is a dict of tensors, under the names that transformers gives them.
WORDS, POSITIONS, TYPES = (f"bert.embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type"))
HEADS = {192: 12, 64: 8}  # attention heads of a model of this width


def load(folder):
    """Read model.safetensors: 8 bytes say how long the header is, the header says where the numbers of a tensor are."""
    content = bytearray((folder / "model.safetensors").read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    model = {}
    for name, entry in json.loads(content[8:start]).items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            numbers = torch.frombuffer(content[start + first : start + last], dtype=torch.float16)
            model[name] = numbers.view(entry["shape"]).float()
    return model


def linear(model, name, x):
    return F.linear(x, model[f"{name}.weight"], model[f"{name}.bias"])  # [..., in] -> [..., out]


def norm(model, name, x):
    return F.layer_norm(x, x.shape[-1:], model[f"{name}.weight"], model[f"{name}.bias"], eps=1e-12)  # [..., width]


def attention(model, name, x, real):
    """Every token looks at those whose keys fit its query, and takes their values over; real is False on padding."""
    batch, length, width = x.shape
    heads = HEADS[width]
    query, key, value = (
        linear(model, f"{name}.self.{part}", x).view(batch, length, heads, width // heads).transpose(1, 2)
        for part in ("query", "key", "value")
    )  # [batch, heads, length, width / heads] each
    scores = query / math.sqrt(width // heads) @ key.transpose(-1, -2)  # [batch, heads, length, length]
    if not real.all():
        scores = scores.masked_fill(~real[:, None, None, :], -torch.inf)  # nobody looks at padding
    taken = scores.softmax(-1) @ value  # [batch, heads, length, width / heads]
    taken = taken.transpose(1, 2).reshape(batch, length, width)  # the heads side by side
    return norm(model, f"{name}.output.LayerNorm", x + linear(model, f"{name}.output.dense", taken))


def layer(model, name, x, real):
    """Attention, then two matrices for every token alone; what they make of a state is added to that state."""
    x = attention(model, f"{name}.attention", x, real)  # [batch, length, width]
    inner = F.gelu(linear(model, f"{name}.intermediate.dense", x))  # [batch, length, 4 * width]
    return norm(model, f"{name}.output.LayerNorm", x + linear(model, f"{name}.output.dense", inner))


def hidden_states(model, ids):
    """What the embeddings give out, and then each layer: layers + 1 tensors, [batch, length, width] each."""
    real = ids != PAD  # [batch, length]
    x = F.embedding(ids, model[WORDS]) + model[POSITIONS][: ids.shape[1]] + model[TYPES][0]  # [batch, length, width]
    states = [norm(model, "bert.embeddings.LayerNorm", x)]
    layers = sum(name.endswith("attention.self.query.weight") for name in model)
    for number in range(layers):
        states.append(layer(model, f"bert.encoder.layer.{number}", states[-1], real))
    return states


def predict(model, states):
    """The MLM head: a score for every entry of the vocabulary, [..., width] -> [..., vocabulary]."""
    x = F.gelu(linear(model, "cls.predictions.transform.dense", states))  # [..., width]
    x = norm(model, "cls.predictions.transform.LayerNorm", x)
    return F.linear(x, model[WORDS], model["cls.predictions.bias"])  # the embeddings once more


# ---- 2 · References: which tokens continue a word (notebook 02) ------------------------------------------------------
def reference(line, words):
    """The places of tokens that continue a Chinese word; [CLS] has place 0. 天气很好 with 天气, 很, 好 gives [2]."""
    inside, at = set(), 0  # characters that continue a word; where the next word is looked for
    for word in words:
        at = line.index(word, at)
        if all("\u4e00" <= character <= "\u9fff" for character in word):  # a Chinese word
            inside.update(range(at + 1, at + len(word)))
        at += len(word)
    offsets = tokenizer.encode(line, add_special_tokens=False).offsets  # (first character, end) of each token
    return [place for place, (first, _) in enumerate(offsets, 1) if first in inside]


# ---- 3 · Packing: from lines to blocks of one length (notebook 02) ---------------------------------------------------
def pack(lines, references, length=LENGTH):
    """Blocks of running text, (ids, continues) each: [CLS], length - 2 tokens, [SEP]."""
    ids, continues = [], []  # of all lines, one after another; a [SEP] ends each line
    for line, places in zip(lines, references, strict=True):
        encoded = tokenizer.encode(line, add_special_tokens=False)
        if encoded.ids:
            ids += [*encoded.ids, SEP]
            pieces = [token.startswith("##") for token in encoded.tokens]  # of Latin words and numbers
            continues += [piece or place in places for place, piece in enumerate(pieces, 1)] + [False]
    cuts = [slice(at, at + length - 2) for at in range(0, len(ids), length - 2)]
    return [([CLS, *ids[cut], SEP], [False, *continues[cut], False]) for cut in cuts]


def read_lines(folder):
    return [line for file in sorted(folder.glob("*.txt")) for line in file.read_text(encoding="utf-8").splitlines()]


def read_blocks(split):
    """The course's text in blocks. LTP has cut its words already: data_samples/words has them, with spaces between."""
    lines, cut = read_lines(DATA / "corpus" / split), read_lines(DATA / "words" / split)
    return pack(lines, [reference(line, words.split()) for line, words in zip(lines, cut, strict=True)])


# ---- 4 · Whole-word masking (notebook 01) ----------------------------------------------------------------------------
def choose(ids, continues, tickets, luck):
    """The places of a block to hide: whole words in the order of their tickets, on average 15% of the tokens."""
    words = []  # the places of each word
    for place, token in enumerate(ids):
        if token in SPECIAL:
            continue
        if continues[place] and ids[place - 1] not in SPECIAL:  # a block may begin inside a word
            words[-1].append(place)
        else:
            words.append([place])
    budget, chosen = 0.15 * sum(map(len, words)), []
    for word in sorted(words, key=lambda word: tickets[word[0]]):
        left = budget - len(chosen)
        if len(word) > left:  # too long: hidden with probability left / len(word), and it is the last
            return chosen + word if luck * len(word) < left else chosen
        chosen += word
    return chosen


def pad(rows):
    """Rows of ids as one tensor, [rows, longest]; [PAD] fills them up."""
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def mask(blocks, draws):
    """What a model sees of some blocks, and the labels, [batch, length] each; draws gives the random numbers."""
    ids = pad([block for block, _ in blocks])  # [batch, length]
    hidden = torch.zeros_like(ids, dtype=torch.bool)
    for row, (block, continues) in enumerate(blocks):
        *tickets, luck = torch.rand(len(block) + 1, generator=draws).tolist()  # a number for each token, and one more
        hidden[row, choose(block, continues, tickets, luck)] = True
    dice = torch.rand(ids.shape, generator=draws)
    other = torch.randint(tokenizer.get_vocab_size(), ids.shape, generator=draws)
    seen = torch.where(hidden & (dice < 0.8), MASK, ids)  # 80% of the hidden tokens become [MASK]
    seen = torch.where(hidden & (dice >= 0.9), other, seen)  # 10% a random token, and 10% stay as they are
    return seen, torch.where(hidden, ids, IGNORED)


def batches(blocks, steps, seed=0):
    """A batch for every step. Each round through the blocks has another order and other masks."""
    draws, order = torch.Generator().manual_seed(seed), []
    while len(order) < steps * BATCH:
        order += torch.randperm(len(blocks), generator=draws).tolist()
    return [mask([blocks[n] for n in order[at : at + BATCH]], draws) for at in range(0, steps * BATCH, BATCH)]


# ---- 5 · Where assistant and student start (notebook 03) -------------------------------------------------------------
def cut_layers(teacher, layers):
    """A model with some of the teacher's layers, its embeddings and its MLM head."""
    model = {name: tensor.clone() for name, tensor in teacher.items() if ".layer." not in name}
    for place, number in enumerate(layers):
        old, new = f"bert.encoder.layer.{number}.", f"bert.encoder.layer.{place}."
        model |= {name.replace(old, new): tensor.clone() for name, tensor in teacher.items() if name.startswith(old)}
    return model


def newborn(teacher, seed=0):
    """A model as deep as its teacher and a third as wide: random, but for the embeddings and the first attention."""
    draws, model = torch.Generator().manual_seed(seed), {}
    narrow = {192: 64, 768: 256}  # every other size stays
    for name, tensor in teacher.items():
        shape = [narrow.get(size, size) for size in tensor.shape]
        model[name] = torch.zeros(shape) if name.endswith("bias") else 0.02 * torch.randn(shape, generator=draws)
        if name.endswith("LayerNorm.weight"):
            model[name] = torch.ones(shape)
    words = teacher[WORDS] - teacher[WORDS].mean(0)  # [vocabulary, 192]
    directions = torch.linalg.svd(words, full_matrices=False).Vh[:56]  # [56, 192]: those in which words differ most
    model[WORDS] = 0.5 * F.pad(F.normalize(words @ directions.T), (0, 8))  # [vocabulary, 64], the last 8 are 0
    model["cls.predictions.bias"] = teacher["cls.predictions.bias"].clone()  # how frequent each token is
    look_at_neighbours(model)
    return model


def look_at_neighbours(model):
    """Let the last 8 numbers of a state tell its place, and heads look one token back or ahead (notebook 03, aside)."""
    speeds = torch.logspace(0.4, -1.3, 4)  # radians per token
    angles = torch.arange(len(model[POSITIONS]))[:, None] * speeds  # [places, 4]
    model[POSITIONS] = 0.25 * F.pad(torch.cat([angles.sin(), angles.cos()], 1), (56, 0))  # [places, 64]
    parts = ("self.query", "self.key", "self.value", "output.dense")
    query, key, value, output = (model[f"bert.encoder.layer.0.attention.{part}.weight"].zero_() for part in parts)
    for head in range(8):
        own = slice(8 * head, 8 * head + 8)  # this head's part of query, key and value
        taken = slice(8 * (head % 4), 8 * (head % 4) + 8)  # the part of the neighbour's state that it takes over
        turn = (-1 if head < 4 else 1) * speeds  # by one token, back or ahead
        cosine, sine = turn.cos().diag(), turn.sin().diag()  # [4, 4]: sin(a + b) = sin(a) cos(b) + cos(a) sin(b)
        query[own, 56:] = 2 * torch.cat([torch.cat([cosine, sine], 1), torch.cat([-sine, cosine], 1)])  # [8, 8]
        key[own, 56:] = 2 * torch.eye(8)
        value[own, taken] = output[taken, own] = torch.eye(8)


# ---- 6 · The losses of distillation (notebook 04) --------------------------------------------------------------------
def kd_loss(student, teacher, temperature=TEMPERATURE):
    """Cross-entropy of two softened opinions, [hidden, vocabulary] each; a perfect copy has the teacher's entropy."""
    p = (teacher / temperature).softmax(-1)
    log_q = (student / temperature).log_softmax(-1)
    return -(p * log_q).sum(-1).mean()


def hidden_loss(student, teacher, projections):
    """Distances between hidden states in evenly spread pairs: of 12 and 6 layers (0, 0), (2, 1), (4, 2) ... (12, 6)."""
    if projections:  # make the student's states as wide as the teacher's
        student = [linear(projections, f"projections.{number}", state) for number, state in enumerate(student)]
    stride = (len(teacher) - 1) // (len(student) - 1)
    return sum(F.mse_loss(ours, theirs) for ours, theirs in zip(student, teacher[::stride], strict=True))


def distillation(teacher, student, projections, ids, labels):
    """The three parts of the loss of a batch."""
    hidden = labels != IGNORED  # [batch, length]
    theirs, ours = hidden_states(teacher, ids), hidden_states(student, ids)  # the teacher's weights need no gradient
    opinion, answer = predict(teacher, theirs[-1][hidden]), predict(student, ours[-1][hidden])  # [hidden, vocabulary]
    kd = TEMPERATURE**2 * kd_loss(answer, opinion)
    return {"KD": kd, "hidden": hidden_loss(ours, theirs, projections), "MLM": F.cross_entropy(answer, labels[hidden])}


# ---- 7 · Training (notebook 04) --------------------------------------------------------------------------------------
def train(weights, losses, stream, peak, title):
    """Change the weights in place: for every batch a step of AdamW against the sum of losses(*batch)."""
    free = [name for name in weights if name.endswith("bias") or "LayerNorm" in name or "projections" in name]
    decayed = {"params": [weight for name, weight in weights.items() if name not in free], "weight_decay": 0.01}
    optimizer = torch.optim.AdamW([decayed, {"params": [weights[name] for name in free], "weight_decay": 0.0}])
    for weight in weights.values():
        weight.requires_grad_()
    steps, rise, began = len(stream), math.ceil(len(stream) / 10), time.perf_counter()
    for step, batch in enumerate(stream):
        parts = losses(*batch)
        sum(parts.values()).backward()
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        for group in optimizer.param_groups:  # the learning rate rises in a tenth of the steps, then falls to 0
            group["lr"] = peak * min((step + 1) / rise, (steps - step) / max(1, steps - rise))
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % max(1, steps // 5) == 0:
            shown = ", ".join(f"{name} {part.item():.2f}" for name, part in parts.items())
            print(f"    {title}, step {step + 1} of {steps}, {time.perf_counter() - began:.0f} s: {shown}", flush=True)
    for weight in weights.values():
        weight.requires_grad_(False)  # trained: whatever it does next needs no gradient


def distill(teacher, student, stream, peak, title, seed=0):
    """A stage. States of different widths are compared through projections, which are thrown away at the end."""
    draws, projections = torch.Generator().manual_seed(seed), {}
    wide, narrow = teacher[WORDS].shape[1], student[WORDS].shape[1]
    if wide != narrow:
        for number in range(7):  # the embeddings and six layers
            projections[f"projections.{number}.weight"] = 0.02 * torch.randn(wide, narrow, generator=draws)
            projections[f"projections.{number}.bias"] = torch.zeros(wide)
    losses = partial(distillation, teacher, student, projections)
    train(student | projections, losses, stream, peak, title)


# ---- 8 · Measuring: how often is the first guess right? (notebook 03) ------------------------------------------------
def accuracy(guess, questions):
    """The share of hidden tokens that are guessed right; guess maps ids to ids, [batch, length] both."""
    right = asked = 0
    for seen, labels in questions:
        hidden = labels != IGNORED  # [batch, length]
        right += (guess(torch.where(hidden, MASK, seen)) == labels).sum().item()  # all hidden tokens become [MASK]
        asked += hidden.sum().item()
    return right / asked


def first_guess(model, ids):
    """The likeliest token at every [MASK]."""
    hidden, answer = ids == MASK, ids.clone()  # [batch, length]
    answer[hidden] = predict(model, hidden_states(model, ids)[-1][hidden]).argmax(-1)
    return answer


def bigrams(blocks):
    """A guess by counting: the token that follows the left neighbour most often, or else precedes the right one."""
    after, before, alone = defaultdict(Counter), defaultdict(Counter), Counter()
    for ids, _ in blocks:
        for left, right in pairwise(ids):
            if left not in SPECIAL and right not in SPECIAL:
                after[left][right] += 1
                before[right][left] += 1
                alone[right] += 1

    def guess(ids):
        answer = ids.clone()
        for row, place in (ids == MASK).nonzero().tolist():
            left, right = ids[row, place - 1].item(), ids[row, place + 1].item()
            counts = after[left] or before[right] or alone  # the first that is not empty
            answer[row, place] = counts.most_common(1)[0][0]
        return answer

    return guess


# ---- 9 · Fine-tuning: what is a headline about? (notebook 05) --------------------------------------------------------
def read_headlines(split):
    """Rows (ids, label) of TNEWS's sample: headlines of fifteen kinds, labels 0 to 14."""
    text = (DATA / "tasks" / "tnews" / f"{split}.json").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    labels = sorted({row["label"] for row in rows})
    return [(tokenizer.encode(row["sentence"]).ids, labels.index(row["label"])) for row in rows]


def collate(rows):
    return pad([ids for ids, _ in rows]), torch.tensor([label for _, label in rows])  # [rows, longest], [rows]


def classify(model, ids):
    """Scores of the classes from the state of [CLS]: [batch, classes]."""
    first = hidden_states(model, ids)[-1][:, 0]  # [batch, width]
    return linear(model, "classifier", torch.tanh(linear(model, "bert.pooler.dense", first)))


def finetune(student, rows, epochs, peak, seed=0):
    """A classifier: the student with two random matrices in place of the MLM head, trained on the rows."""
    draws, width = torch.Generator().manual_seed(seed), student[WORDS].shape[1]
    model = {name: tensor.clone() for name, tensor in student.items() if not name.startswith("cls.")}
    for name, size in (("bert.pooler.dense", width), ("classifier", 15)):
        model |= {f"{name}.weight": 0.02 * torch.randn(size, width, generator=draws), f"{name}.bias": torch.zeros(size)}
    stream = []
    for _ in range(epochs):
        order = torch.randperm(len(rows), generator=draws).tolist()
        stream += [collate([rows[n] for n in order[at : at + 32]]) for at in range(0, len(rows), 32)]
    train(model, lambda ids, labels: {"loss": F.cross_entropy(classify(model, ids), labels)}, stream, peak, "headlines")
    return model


# ---- 10 · All of it --------------------------------------------------------------------------------------------------
def main(assistant_steps=40, student_steps=240, epochs=5, asked=None):
    """Run all of it and print a table; asked: how many blocks of held-out text are measured (None: all)."""
    torch.set_num_threads(2)
    text, heldout = read_blocks("train"), read_blocks("heldout")[:asked]
    draws, table = torch.Generator().manual_seed(0), {}
    questions = [mask(heldout[at : at + 16], draws) for at in range(0, len(heldout), 16)]  # the same for everybody

    def note(name, share):
        table[name] = share
        print(f"{share:6.1%}  {name}", flush=True)

    note("words: bigrams, which only count", accuracy(bigrams(text), questions))
    teacher = load(DATA / "models" / "teacher")
    note("words: teacher, 12 layers", accuracy(partial(first_guess, teacher), questions))
    assistant = cut_layers(teacher, range(6))
    note("words: its first six layers, untrained", accuracy(partial(first_guess, assistant), questions))
    distill(teacher, assistant, batches(text, assistant_steps), 5e-4, "stage 1")
    note("words: assistant, these six after stage 1", accuracy(partial(first_guess, assistant), questions))
    student = newborn(assistant)
    distill(assistant, student, batches(text, student_steps), 3e-3, "stage 2")
    note("words: student, after stage 2", accuracy(partial(first_guess, student), questions))

    rows, (ids, labels) = read_headlines("train"), collate(read_headlines("dev"))
    common = Counter(label for _, label in rows).most_common(1)[0][0]
    note("headlines: always the commonest class", (labels == common).float().mean().item())
    answers = classify(finetune(student, rows, epochs, 1e-3), ids).argmax(-1)  # [rows]
    note("headlines: student, fine-tuned", (answers == labels).float().mean().item())
    print("\nRight at the first guess. Compare words with notebooks 03 and 04, headlines with notebook 05.")
    print("\n".join(f"{share:6.1%}  {name}" for name, share in table.items()))
    return table


if __name__ == "__main__":
    main()
