"""How well a model fills in masked words of held-out text (notebooks 03 and 04)."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from ..errors import CourseError
from ..language import N_
from ..models import check_length
from ..models.attention import asked_tokens_alone
from ..text import WholeWordCollator
from ..text.masking import IGNORED
from ..text.tokens import encoder

if TYPE_CHECKING:
    from datasets import Dataset

# What a masked token belongs to. A guesser that always says a comma or 的 is right in the first two alone.
CLASSES = (N_("punctuation"), N_("common"), N_("single"), N_("words"))
COMMONEST = 20  # ideographs that count as common
HELD_OUT_BLOCKS = 128  # blocks looked at while training; all of them with `minirbt evaluate`


class MaskedPositions(nn.Module):
    """A masked language model that runs its MLM head at the masked positions only.

    The head over the whole vocabulary is the dearest part of a small model, and six positions in
    seven are not masked. The losses are the same.

    Args:
        model: the model; it is not copied.
        logits: whether the head runs at all.
        attentions: whether the attention matrices are handed on (needs ``eager`` attention).
        hidden: whether the hidden states are handed on; where they are not, on a CPU the last layer, too, runs at the
            masked positions only.
    """

    def __init__(self, model: BertForMaskedLM, logits: bool = True, attentions: bool = False, hidden: bool = True):
        super().__init__()
        self.model, self.logits, self.attentions, self.hidden = model, logits, attentions, hidden

    def forward(
        self,
        input_ids: Tensor,
        labels: Tensor,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> dict:
        """
        Args:
            input_ids, labels: [batch, length]; labels are -100 where nothing is masked.
            attention_mask: [batch, length]; None: no padding.
            positions: [masked], where labels are not -100 in the flattened batch; None: looked up,
                for which a GPU has to wait.

        Returns:
            ``hidden_states`` (one [batch, length, hidden] per layer and one for the embeddings, if asked for),
            ``attentions`` (one [batch, heads, length, length] per layer, if asked for), and unless
            logits are off ``logits`` [masked, vocabulary] in reading order and ``labels`` [masked].
        """
        if self.logits and positions is None:
            positions = masked_positions(labels)
        compiled = self.model.bert._compiled_call_impl is not None  # whose graph the short cut would break for good
        alone = not self.hidden and not compiled and self.model.device.type == "cpu" and len(positions) > 0
        with asked_tokens_alone(self.model, positions) if alone else nullcontext():
            outputs = self.model.bert(
                input_ids,
                attention_mask=attention_mask,
                output_hidden_states=self.hidden,
                output_attentions=self.attentions,
            )
        result = {"hidden_states": outputs.hidden_states, "attentions": outputs.attentions}
        if not self.logits:
            return result
        last = outputs.last_hidden_state.flatten(0, 1)
        picked = last if alone else last.index_select(0, positions)  # [masked, hidden]
        return result | {"logits": self.model.cls(picked), "labels": labels.flatten().index_select(0, positions)}


def masked_positions(labels: Tensor) -> Tensor:
    """Where something is to be predicted, counted through the flattened batch: int64, [masked]."""
    return (labels.flatten() != IGNORED).nonzero().flatten()


def held_out_questions(
    blocks: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    unit: str = "word",
    limit: int | None = HELD_OUT_BLOCKS,
    batch_size: int = 32,
    seed: int = 0,
) -> Iterator[dict[str, Tensor]]:
    """The batches that :func:`held_out` asks a model: every chosen token replaced by [MASK].

    Args:
        blocks: held-out blocks.
        tokenizer: the model's.
        unit: what is masked as one, ``"word"`` or ``"token"``; 15% of the tokens are.
        limit: the first blocks only; None for all.
        batch_size: blocks of a batch.
        seed: of the choice of masked tokens; one seed means the same questions for every model.

    Yields:
        What :class:`WholeWordCollator` makes with a fair budget, for :class:`MaskedPositions` to take as it is:
        ``input_ids``, ``labels`` (-100 where nothing is asked) and ``attention_mask``, [batch, length] each.

    Raises:
        CourseError: no blocks.
    """
    asked = {"unit": unit, "limit": limit, "batch_size": batch_size, "seed": seed}
    return (batch for batch, _ in classed_questions(blocks, tokenizer, **asked))


def classed_questions(
    blocks: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    unit: str = "word",
    limit: int | None = HELD_OUT_BLOCKS,
    batch_size: int = 32,
    seed: int = 0,
) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
    """The batches of :func:`held_out_questions`, arguments and errors as there, each with the classes of its tokens.

    Yields:
        A batch and, [batch, length], for every token the place of its class in :data:`CLASSES`: a mark, one of the
        twenty commonest ideographs of these blocks, another word of one token, a word of two tokens or more.
    """
    collator = WholeWordCollator(tokenizer, unit, seed=seed, budget="fair")
    rows = blocks.with_format("numpy")[: min(limit or len(blocks), len(blocks))]
    if not len(rows["input_ids"]):
        raise CourseError("no held-out blocks", fix="give a held-out text with at least one non-blank line")
    kind_of = kinds_of_entries(np.concatenate(list(rows["input_ids"])), tokenizer)  # [vocabulary]
    for start in range(0, len(rows["input_ids"]), batch_size):
        columns = {name: column[start : start + batch_size] for name, column in rows.items()}
        batch = collator(columns)
        hidden = batch["input_ids"].masked_fill(batch["labels"] != IGNORED, collator.mask_id)
        yield batch | {"input_ids": hidden}, kinds_of_tokens(columns, kind_of, hidden.shape)


def kinds_of_entries(tokens: NDArray, tokenizer: PreTrainedTokenizerBase) -> NDArray[np.int64]:
    """For every entry of the vocabulary its class as a word of one token, by its place in :data:`CLASSES`.

    Args:
        tokens: the ids of a text, [tokens]; its commonest ideographs are the common ones.
        tokenizer: whose vocabulary it is.
    """
    entries = encoder(tokenizer).names
    ideograph = np.array([len(entry) == 1 and unicodedata.category(entry) == "Lo" for entry in entries])
    mark = np.array([len(entry) == 1 and unicodedata.category(entry)[0] in "PS" for entry in entries])
    counts = np.bincount(tokens, minlength=len(entries)) * ideograph
    kinds = np.full(len(entries), CLASSES.index("single"))
    kinds[np.argsort(-counts, kind="stable")[:COMMONEST]] = CLASSES.index("common")
    kinds[mark] = CLASSES.index("punctuation")
    return kinds


def kinds_of_tokens(columns: Mapping[str, Sequence], kind_of: NDArray, shape: tuple[int, int]) -> Tensor:
    """The class of every token of some blocks, [batch, length]; 0 on padding."""
    kinds = np.zeros(shape, np.int64)
    for row, ids, continues in zip(kinds, columns["input_ids"], columns["continues"], strict=True):
        continues = np.asarray(continues, bool)
        several = continues.copy()
        several[:-1] |= continues[1:]  # a token that is continued, or continues one
        row[: len(ids)] = np.where(several, CLASSES.index("words"), kind_of[ids])
    return torch.from_numpy(kinds)


@torch.no_grad()
def held_out(
    model: BertForMaskedLM,
    blocks: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    unit: str = "word",
    teacher: BertForMaskedLM | None = None,
    temperature: float = 8.0,
    limit: int | None = HELD_OUT_BLOCKS,
    batch_size: int = 32,
    seed: int = 0,
) -> dict[str, float]:
    """Masked accuracy of a model on held-out blocks, every chosen token replaced by [MASK].

    Args:
        model: the model to measure.
        blocks: held-out blocks.
        tokenizer: its tokenizer.
        unit: what is masked as one, ``"word"`` or ``"token"``; 15% of the tokens are.
        teacher: if given, the KD loss against it is measured, too.
        temperature: of the KD loss.
        limit: look at the first blocks only; None for all.
        seed: of the choice of masked tokens; one seed means the same questions for every model.

    Returns:
        ``top1`` and ``top5`` (shares of masked tokens from 0 to 1), ``mlm_loss`` in nats per token,
        ``masked`` (how many were asked), and ``kd_loss`` if there is a teacher; and for each of :data:`CLASSES`
        that was asked for ``words_top1``, ``words_top5``, ``words_masked`` and their like. ``words`` (of two
        tokens and more) tell most.

    Raises:
        CourseError: no blocks, or longer ones than the model has positions for.
    """
    check_length(model.config, max(map(len, blocks[:1]["input_ids"]), default=0))
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    sums = torch.zeros(len(CLASSES), 5, dtype=torch.float64)  # top1, top5, mlm, kd, masked
    asked = {"unit": unit, "limit": limit, "batch_size": batch_size, "seed": seed}
    for batch, kinds in classed_questions(blocks, tokenizer, **asked):
        kinds = kinds[batch["labels"] != IGNORED]  # [masked]
        batch = {name: tensor.to(device) for name, tensor in batch.items()}
        sums.index_add_(0, kinds, _scores(model, batch, teacher, temperature))
    model.train(training)
    top1, top5, mlm, kd, masked = sums.sum(0).tolist()
    if not masked:
        raise CourseError("no token could be masked in the held-out blocks", fix="give a longer held-out text")
    result = {"top1": top1 / masked, "top5": top5 / masked, "mlm_loss": mlm / masked, "masked": int(masked)}
    for kind, (first, fifth, _, _, number) in zip(CLASSES, sums.tolist(), strict=True):
        if number:
            result |= {f"{kind}_top1": first / number, f"{kind}_top5": fifth / number, f"{kind}_masked": int(number)}
    return result | ({"kd_loss": kd / masked} if teacher is not None else {})


@torch.no_grad()
def kd_landmarks(
    teacher: BertForMaskedLM,
    blocks: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    unit: str = "word",
    temperature: float = 8.0,
    limit: int | None = HELD_OUT_BLOCKS,
    batch_size: int = 32,
    seed: int = 0,
) -> dict[str, float]:
    """What a KD loss on held-out blocks is to be read against, in nats per token.

    At a high temperature the teacher's predictions are nearly flat, and a loss that looks half learned may be
    that of a student that says always the same.

    Args:
        teacher: the model that is imitated.
        blocks, tokenizer, unit, temperature, limit, batch_size, seed: as for :func:`held_out`.

    Returns:
        ``floor``, the loss of a perfect copy (the teacher's own entropy); ``constant``, that of a student which
        answers every gap with the teacher's mean logits; ``uniform``, that of one which knows nothing, log(vocabulary).
    """
    device, asked, entropy = next(teacher.parameters()).device, 0, 0.0
    logits_sum = soft_sum = torch.zeros(teacher.config.vocab_size, dtype=torch.float64)
    for batch in held_out_questions(blocks, tokenizer, unit=unit, limit=limit, batch_size=batch_size, seed=seed):
        answers = MaskedPositions(teacher, hidden=False)(**{name: tensor.to(device) for name, tensor in batch.items()})
        logits = answers["logits"].double().cpu()  # [masked, vocabulary]
        log_soft = (logits / temperature).log_softmax(-1)
        entropy -= float((log_soft.exp() * log_soft).sum())
        logits_sum, soft_sum = logits_sum + logits.sum(0), soft_sum + log_soft.exp().sum(0)
        asked += len(logits)
    constant = (logits_sum / asked / temperature).log_softmax(-1)
    return {
        "floor": entropy / asked,
        "constant": -float(soft_sum @ constant) / asked,
        "uniform": math.log(teacher.config.vocab_size),
    }


def _scores(model: BertForMaskedLM, batch: dict, teacher: BertForMaskedLM | None, temperature: float) -> Tensor:
    """For every masked token: right at the first guess, among five, MLM loss, KD loss, and 1: [masked, 5]."""
    answers = MaskedPositions(model, hidden=False)(**batch)
    logits, labels = answers["logits"].float(), answers["labels"]  # [masked, vocabulary], [masked]
    best = logits.topk(5).indices == labels[:, None]  # [masked, 5]
    kd = logits.new_zeros(len(labels))
    if teacher is not None:
        soft = (MaskedPositions(teacher, hidden=False)(**batch)["logits"].float() / temperature).softmax(-1)
        kd = -(soft * (logits / temperature).log_softmax(-1)).sum(-1)
    mlm = F.cross_entropy(logits, labels, reduction="none")
    return torch.stack([best[:, 0], best.any(1), mlm, kd, torch.ones_like(mlm)], 1).double().cpu()
