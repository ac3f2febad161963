"""MiniRBT from scratch: the whole method of the course in one file, to be read from top to bottom.

    python examples/minirbt_from_scratch.py

A teacher of twelve layers teaches an assistant of six (stage 1). The assistant teaches a student, which has six layers
as well and is a third as wide (stage 2). The student then learns to tell what a headline is about. The teacher comes
with the course, in data_samples. Everything else is made here, in less than three minutes on two cores.
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
BATCH = 4  # blocks in a batch
TEMPERATURE = 1.0  # of the KD loss; at the published 8 nearly all candidates of so small a teacher look alike
IGNORED = -100  # the label of a token that is not masked; F.cross_entropy knows this number, too

tokenizer = Tokenizer.from_file(str(DATA / "models" / "teacher" / "tokenizer.json"))
PAD, CLS, SEP, MASK = (tokenizer.token_to_id(name) for name in ("[PAD]", "[CLS]", "[SEP]", "[MASK]"))
SPECIAL = {PAD, CLS, SEP, MASK}  # these are never masked

# ---- 1 · A BERT that fills in masked words (notebooks 00 and 03) -----------------------------------------------------
# A model is a dict of tensors, named as in transformers; there is no dropout. The names of its embedding tables:
WORDS, POSITIONS, TYPES = (f"bert.embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type"))
HEADS = {192: 12, 64: 8}  # width of a model: how many attention heads it has


def load(folder):
    """Read model.safetensors: 8 bytes with the header's length, the header (JSON), then the numbers of all tensors."""
    content = bytearray((folder / "model.safetensors").read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")  # where the numbers start
    model = {}
    for name, entry in json.loads(content[8:start]).items():
        if name != "__metadata__":  # every other entry is a tensor
            first, last = entry["data_offsets"]  # in bytes, from start; our files have float16 only
            numbers = torch.frombuffer(content[start + first : start + last], dtype=torch.float16)
            model[name] = numbers.view(entry["shape"]).float()
    return model


def linear(model, name, x):
    return F.linear(x, model[f"{name}.weight"], model[f"{name}.bias"])  # [..., in] -> [..., out]


def norm(model, name, x):
    return F.layer_norm(x, x.shape[-1:], model[f"{name}.weight"], model[f"{name}.bias"], eps=1e-12)  # [..., width]


def attention(model, name, x, real):
    """Each token takes values from the tokens whose keys fit its query; real is True for tokens, False for padding."""
    batch, length, width = x.shape
    heads = HEADS[width]
    query, key, value = (
        linear(model, f"{name}.self.{part}", x).view(batch, length, heads, width // heads).transpose(1, 2)
        for part in ("query", "key", "value")
    )  # [batch, heads, length, width / heads] each
    scores = (query / math.sqrt(width // heads)) @ key.transpose(-1, -2)  # [batch, heads, length, length]
    scores = scores.masked_fill(~real[:, None, None, :], -torch.inf)  # no token looks at padding
    mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(batch, length, width)  # the heads side by side again
    return norm(model, f"{name}.output.LayerNorm", x + linear(model, f"{name}.output.dense", mixed))


def layer(model, name, x, real):
    """Attention, then the feed-forward network (FFN); each adds its result to the states that go in."""
    x = attention(model, f"{name}.attention", x, real)  # [batch, length, width]
    inner = F.gelu(linear(model, f"{name}.intermediate.dense", x))  # [batch, length, 4 * width]
    return norm(model, f"{name}.output.LayerNorm", x + linear(model, f"{name}.output.dense", inner))


def hidden_states(model, ids):
    """The states after the embeddings and after each layer: layers + 1 tensors, [batch, length, width] each."""
    real = ids != PAD  # [batch, length]
    x = F.embedding(ids, model[WORDS]) + model[POSITIONS][: ids.shape[1]]  # [batch, length, width]
    states = [norm(model, "bert.embeddings.LayerNorm", x + model[TYPES][0])]  # all tokens have type 0: one text
    layers = sum(name.endswith("attention.self.query.weight") for name in model)  # each layer has one of these
    for number in range(layers):
        states.append(layer(model, f"bert.encoder.layer.{number}", states[-1], real))
    return states


def predict(model, states):
    """The MLM head: a score for every entry of the vocabulary, [..., width] -> [..., vocabulary]."""
    x = F.gelu(linear(model, "cls.predictions.transform.dense", states))  # [..., width]
    x = norm(model, "cls.predictions.transform.LayerNorm", x)
    return F.linear(x, model[WORDS], model["cls.predictions.bias"])  # tied: the last matrix is the word embeddings


# ---- 2 · References: which tokens continue a word (notebook 02) ------------------------------------------------------
def reference(line, words):
    """The places of tokens that continue a Chinese word; [CLS] has place 0. 天气很好 cut into 天气 很 好: [2]."""
    inside, at = set(), 0  # inside: the characters of the line that continue a word
    for word in words:
        at = line.index(word, at)  # where the word begins; words holds all of the line but its spaces
        if all("\u4e00" <= character <= "\u9fff" for character in word):  # a Chinese word
            inside.update(range(at + 1, at + len(word)))
        at += len(word)
    offsets = tokenizer.encode(line, add_special_tokens=False).offsets  # (first character, end) of each token
    return [place for place, (first, _) in enumerate(offsets, 1) if first in inside]


# ---- 3 · Packing: from lines to blocks of one length (notebook 02) ---------------------------------------------------
def pack(lines, references, length=LENGTH):
    """Blocks of running text: [CLS], length - 2 tokens, [SEP]. A block is (ids, continues), a flag for each token."""
    ids, continues = [], []  # of all lines, one after another; a [SEP] ends each line
    for line, places in zip(lines, references, strict=True):
        encoded = tokenizer.encode(line, add_special_tokens=False)
        if encoded.ids:  # "##": the tokenizer's own mark of tokens that continue a Latin word or a number
            flags = [place in places or token.startswith("##") for place, token in enumerate(encoded.tokens, 1)]
            ids += [*encoded.ids, SEP]
            continues += [*flags, False]
    cuts = [slice(at, at + length - 2) for at in range(0, len(ids), length - 2)]
    return [([CLS, *ids[cut], SEP], [False, *continues[cut], False]) for cut in cuts]


def read_lines(folder):
    return [line for file in sorted(folder.glob("*.txt")) for line in file.read_text(encoding="utf-8").splitlines()]


def read_blocks(split):
    """The course's text in blocks. data_samples/words has the same lines, with spaces where LTP cuts them."""
    lines, cut_lines = read_lines(DATA / "corpus" / split), read_lines(DATA / "words" / split)
    return pack(lines, [reference(line, cut.split()) for line, cut in zip(lines, cut_lines, strict=True)])


# ---- 4 · Whole-word masking (notebook 01) ----------------------------------------------------------------------------
def choose(ids, continues, tickets, luck):
    """The places of a block to mask, on average 15% of its tokens. tickets has a random number for each token: words
    are taken in the order of their first tokens' tickets. Notebook 01 passes over a word that does not fit any more;
    here luck, a random number from 0 to 1, decides about it, so that long words are not masked less often."""
    words, chosen = [], []  # the places of each word; the places to mask
    for place, token in enumerate(ids):
        if continues[place] and ids[place - 1] not in SPECIAL:
            words[-1].append(place)
        elif token not in SPECIAL:  # a word begins, or its second half does, where a block begins inside it
            words.append([place])
    budget = 0.15 * sum(len(word) for word in words)  # in tokens
    for word in sorted(words, key=lambda word: tickets[word[0]]):
        left = budget - len(chosen)
        if len(word) > left:  # does not fit: it is taken with probability left / len(word), and is the last
            return chosen + word if luck < left / len(word) else chosen
        chosen += word
    return chosen


def pad(rows):
    """Rows of ids as one tensor, [rows, longest]; [PAD] fills them up."""
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def mask(blocks, generator):
    """What a model sees of some blocks, and the labels (true ids of masked tokens), [batch, length] each."""
    ids = pad([block for block, _ in blocks])  # [batch, length]
    masked = torch.zeros_like(ids, dtype=torch.bool)
    for row, (block, continues) in enumerate(blocks):
        *tickets, luck = torch.rand(len(block) + 1, generator=generator).tolist()  # luck is the last number
        masked[row, choose(block, continues, tickets, luck)] = True
    dice = torch.rand(ids.shape, generator=generator)
    other = torch.randint(tokenizer.get_vocab_size(), ids.shape, generator=generator)  # random tokens
    seen = torch.where(masked & (dice < 0.8), MASK, ids)  # 80% of the masked tokens become [MASK]
    seen = torch.where(masked & (dice >= 0.9), other, seen)  # 10% become a random token, and 10% stay as they are
    return seen, torch.where(masked, ids, IGNORED)


def batches(blocks, steps, seed=0):
    """A list with a masked batch for every step. Each round through the blocks has another order and other masks."""
    generator, order = torch.Generator().manual_seed(seed), []
    while len(order) < steps * BATCH:
        order += torch.randperm(len(blocks), generator=generator).tolist()
    return [mask([blocks[n] for n in order[at : at + BATCH]], generator) for at in range(0, steps * BATCH, BATCH)]


# ---- 5 · Where assistant and student start (notebook 03) -------------------------------------------------------------
def cut_layers(teacher, layers):
    """A model of these layers of the teacher, numbered anew from 0, with all that is not in a layer."""
    model = {name: tensor.clone() for name, tensor in teacher.items() if ".layer." not in name}
    for new, old in enumerate(layers):
        before, after = f"bert.encoder.layer.{old}.", f"bert.encoder.layer.{new}."
        model |= {name.replace(before, after): w.clone() for name, w in teacher.items() if name.startswith(before)}
    return model


def newborn(teacher, seed=0):
    """A model as deep as its teacher and a third as wide: random, but for the embeddings and the first attention."""
    generator, model = torch.Generator().manual_seed(seed), {}
    narrow = {192: 64, 768: 256}  # the width, and the inner width of the FFN; vocabulary and places stay as many
    for name, tensor in teacher.items():
        shape = [narrow.get(size, size) for size in tensor.shape]
        model[name] = torch.zeros(shape) if name.endswith("bias") else 0.02 * torch.randn(shape, generator=generator)
        if name.endswith("LayerNorm.weight"):
            model[name] = torch.ones(shape)
    words = teacher[WORDS] - teacher[WORDS].mean(0)  # [vocabulary, 192]
    directions = torch.linalg.svd(words, full_matrices=False).Vh[:56]  # [56, 192]: those in which words differ most
    model[WORDS] = F.pad(0.5 * F.normalize(words @ directions.T), (0, 8))  # rows of length 0.5, and 8 zeros each
    model["cls.predictions.bias"] = teacher["cls.predictions.bias"].clone()  # says which tokens are frequent
    look_at_neighbours(model)
    return model


def look_at_neighbours(model):
    """Make four heads of the first layer look one token back, and four one token ahead (notebook 09)."""
    speeds = torch.logspace(0.4, -1.3, 4)  # of four waves, fast to slow: 2.5 to 0.05 radians per token
    angles = torch.arange(len(model[POSITIONS]))[:, None] * speeds  # [places, 4]
    waves = torch.cat([angles.sin(), angles.cos()], 1)  # [places, 8]
    model[POSITIONS] = F.pad(0.25 * waves, (56, 0))  # the last 8 of 64 numbers, where words have zeros
    parts = ("self.query", "self.key", "self.value", "output.dense")  # weights all 0, but for what is set below
    query, key, value, output = (model[f"bert.encoder.layer.0.attention.{part}.weight"].zero_() for part in parts)
    for head in range(8):  # rows of query, key and value are numbers of a head, columns are numbers of a state
        own = slice(8 * head, 8 * head + 8)  # the rows of this head
        turn = -speeds if head < 4 else speeds  # back or ahead by one token
        cosine, sine = turn.cos().diag(), turn.sin().diag()  # [4, 4] each; sin(a + b) = sin(a) cos(b) + cos(a) sin(b)
        rotation = torch.cat([torch.cat([cosine, sine], 1), torch.cat([-sine, cosine], 1)])  # [8, 8]
        query[own, 56:] = 2 * rotation  # a token asks for the neighbour's waves; 2: sharper softmax
        key[own, 56:] = 2 * torch.eye(8)  # a token answers with its own waves
        copied = slice(8 * (head % 4), 8 * (head % 4) + 8)  # heads 0 to 3 copy numbers 0 to 31, 4 to 7 the same
        value[own, copied] = output[copied, own] = torch.eye(8)  # out of the neighbour's state, into the token's own


# ---- 6 · The losses of distillation (notebook 04) --------------------------------------------------------------------
def kd_loss(student_scores, teacher_scores, temperature=TEMPERATURE):
    """Cross-entropy of two softened predictions, [tokens, vocabulary] each; least, but not 0, for a perfect copy."""
    p = (teacher_scores / temperature).softmax(-1)
    log_q = (student_scores / temperature).log_softmax(-1)
    return -(p * log_q).sum(-1).mean()


def hidden_loss(student, teacher, projections):
    """How far apart hidden states are, in evenly spread pairs; for 12 and 6 layers (0, 0), (2, 1) ... (12, 6)."""
    if projections:  # they make the student's states as wide as the teacher's; {} if they are already
        student = [linear(projections, f"projections.{number}", state) for number, state in enumerate(student)]
    stride = (len(teacher) - 1) // (len(student) - 1)  # 2 in stage 1, 1 in stage 2
    return sum(F.mse_loss(ours, theirs) for ours, theirs in zip(student, teacher[::stride], strict=True))


def distillation(teacher, student, projections, ids, labels):
    """The three parts of the loss of a batch. KD and MLM look at the masked tokens, hidden at all of them."""
    masked = labels != IGNORED  # [batch, length]
    theirs, ours = hidden_states(teacher, ids), hidden_states(student, ids)  # only the student has gradients, see train
    teacher_scores, student_scores = predict(teacher, theirs[-1][masked]), predict(student, ours[-1][masked])
    kd = TEMPERATURE**2 * kd_loss(student_scores, teacher_scores)  # T² makes up for the smaller gradient
    mlm = F.cross_entropy(student_scores, labels[masked])
    return {"KD": kd, "hidden": hidden_loss(ours, theirs, projections), "MLM": mlm}


# ---- 7 · Training (notebook 04) --------------------------------------------------------------------------------------
def train(weights, losses, stream, peak, title):
    """A step of AdamW for each batch of a list changes the weights in place; losses(*batch) gives a dict to add up."""
    exempt = [name for name in weights if name.endswith("bias") or "LayerNorm" in name or "projections" in name]
    decayed = {"params": [weight for name, weight in weights.items() if name not in exempt], "weight_decay": 0.01}
    optimizer = torch.optim.AdamW([decayed, {"params": [weights[name] for name in exempt], "weight_decay": 0.0}])
    for weight in weights.values():
        weight.requires_grad_()
    steps, began = len(stream), time.perf_counter()
    rise = math.ceil(steps / 10)  # the learning rate rises to its peak in these steps, then falls to 0
    for step, batch in enumerate(stream):
        parts = losses(*batch)
        sum(parts.values()).backward()
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        rising, falling = (step + 1) / rise, (steps - step) / max(1, steps - rise)
        for group in optimizer.param_groups:
            group["lr"] = peak * min(rising, falling)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % max(1, steps // 5) == 0:  # about five times in all
            shown = ", ".join(f"{name} {part.item():.2f}" for name, part in parts.items())
            print(f"    {title}, step {step + 1} of {steps}, {time.perf_counter() - began:.0f} s: {shown}", flush=True)
    for weight in weights.values():
        weight.requires_grad_(False)  # only weights in training have gradients; so no_grad is never needed


def distill(teacher, student, stream, peak, title, seed=0):
    """A stage: train the student in place. Projections, if widths differ, are trained along and then thrown away."""
    generator, projections = torch.Generator().manual_seed(seed), {}
    wide, narrow = teacher[WORDS].shape[1], student[WORDS].shape[1]
    if wide != narrow:
        for number in range(7):  # the embeddings and six layers
            projections[f"projections.{number}.weight"] = 0.02 * torch.randn(wide, narrow, generator=generator)
            projections[f"projections.{number}.bias"] = torch.zeros(wide)
    losses = partial(distillation, teacher, student, projections)  # what is left to give: ids, labels
    train(student | projections, losses, stream, peak, title)  # a new dict, but the same tensors


# ---- 8 · Measuring: how often is the first guess right? (notebook 03) ------------------------------------------------
def accuracy(guess, questions):
    """The share of masked tokens that are guessed right; guess takes ids and gives ids, [batch, length] both."""
    right = total = 0
    for seen, labels in questions:
        masked = labels != IGNORED  # [batch, length]
        guesses = guess(torch.where(masked, MASK, seen))  # here, unlike in training, all of them become [MASK]
        right += (guesses[masked] == labels[masked]).sum().item()
        total += masked.sum().item()
    return right / total


def first_guess(model, ids):
    """The ids, with the likeliest token in place of every [MASK]."""
    masked, answer = ids == MASK, ids.clone()  # [batch, length]
    answer[masked] = predict(model, hidden_states(model, ids)[-1][masked]).argmax(-1)
    return answer


def bigrams(blocks):
    """A guess by counting pairs: what follows the left neighbour most often, or else what precedes the right one."""
    after, before, everywhere = defaultdict(Counter), defaultdict(Counter), Counter()
    for ids, _ in blocks:
        for left, right in pairwise(ids):
            if left not in SPECIAL and right not in SPECIAL:
                after[left][right] += 1
                before[right][left] += 1
                everywhere[right] += 1

    def guess(ids):
        answer = ids.clone()
        for row, place in (ids == MASK).nonzero().tolist():
            left, right = ids[row, place - 1].item(), ids[row, place + 1].item()
            counts = after[left] or before[right] or everywhere  # the first that has counts; a [MASK] has none
            answer[row, place] = counts.most_common(1)[0][0]
        return answer

    return guess


# ---- 9 · Fine-tuning: what is a headline about? (notebook 05) --------------------------------------------------------
def read_headlines(split):
    """Rows (ids, label) of the TNEWS sample: headlines of fifteen classes, labels 0 to 14."""
    text = (DATA / "tasks" / "tnews" / f"{split}.json").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    labels = sorted({row["label"] for row in rows})  # "100" to "116", the same in both splits
    return [(tokenizer.encode(row["sentence"]).ids, labels.index(row["label"])) for row in rows]


def collate(rows):
    return pad([ids for ids, _ in rows]), torch.tensor([label for _, label in rows])  # [rows, longest], [rows]


def classify(model, ids):
    """Scores of the classes, [batch, classes], from the last state of [CLS]."""
    first = hidden_states(model, ids)[-1][:, 0]  # [batch, width]
    return linear(model, "classifier", torch.tanh(linear(model, "bert.pooler.dense", first)))


def finetune(student, rows, epochs, peak, seed=0):
    """A new model: the student with a random pooler and classifier in place of the MLM head, trained on the rows."""
    generator, width = torch.Generator().manual_seed(seed), student[WORDS].shape[1]
    model = {name: tensor.clone() for name, tensor in student.items() if not name.startswith("cls.")}
    for name, size in (("bert.pooler.dense", width), ("classifier", 15)):
        model[f"{name}.weight"] = 0.02 * torch.randn(size, width, generator=generator)
        model[f"{name}.bias"] = torch.zeros(size)
    stream = []
    for _ in range(epochs):
        order = torch.randperm(len(rows), generator=generator).tolist()
        stream += [collate([rows[n] for n in order[at : at + 32]]) for at in range(0, len(rows), 32)]
    train(model, lambda ids, labels: {"loss": F.cross_entropy(classify(model, ids), labels)}, stream, peak, "headlines")
    return model


# ---- 10 · All of it --------------------------------------------------------------------------------------------------
def main(assistant_steps=40, student_steps=240, epochs=5, asked=None):
    """Run all of it and print a table; asked: how many blocks of held-out text to ask about (None: all)."""
    torch.set_num_threads(2)
    text, heldout = read_blocks("train"), read_blocks("heldout")[:asked]
    generator, table = torch.Generator().manual_seed(0), {}
    questions = [mask(heldout[at : at + 16], generator) for at in range(0, len(heldout), 16)]  # the same for everybody

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
    rows, (ids, labels) = read_headlines("train"), collate(read_headlines("dev"))  # to learn from, to be measured on
    common = Counter(label for _, label in rows).most_common(1)[0][0]
    note("headlines: always the commonest class", (labels == common).float().mean().item())
    answers = classify(finetune(student, rows, epochs, 1e-3), ids).argmax(-1)  # [rows]
    note("headlines: student, fine-tuned", (answers == labels).float().mean().item())
    print("\nRight at the first guess. Compare words with notebooks 03 and 04, headlines with notebook 05.")
    print("\n".join(f"{share:6.1%}  {name}" for name, share in table.items()))
    return table


if __name__ == "__main__":
    main()
