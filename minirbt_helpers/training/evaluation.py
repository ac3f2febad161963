"""How well a model fills in masked words of held-out text (notebooks 03 and 04)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from ..errors import CourseError
from ..text import WholeWordCollator
from ..text.masking import IGNORED

if TYPE_CHECKING:
    from datasets import Dataset

HELD_OUT_BLOCKS = 128  # blocks looked at while training; all of them with `minirbt evaluate`


class MaskedPositions(nn.Module):
    """A masked language model that runs its MLM head at the masked positions only.

    The head over the whole vocabulary is the dearest part of a small model, and six positions in
    seven are not masked. The losses are the same.

    Args:
        model: the model; it is not copied.
        logits: whether the head runs at all.
        attentions: whether the attention matrices are handed on (needs ``eager`` attention).
    """

    def __init__(self, model: BertForMaskedLM, logits: bool = True, attentions: bool = False):
        super().__init__()
        self.model, self.logits, self.attentions = model, logits, attentions

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
            ``hidden_states`` (one [batch, length, hidden] per layer and one for the embeddings),
            ``attentions`` (one [batch, heads, length, length] per layer, if asked for), and unless
            logits are off ``logits`` [masked, vocabulary] in reading order and ``labels`` [masked].
        """
        asked = {"output_hidden_states": True, "output_attentions": self.attentions}
        outputs = self.model.bert(input_ids, attention_mask=attention_mask, **asked)
        result = {"hidden_states": outputs.hidden_states, "attentions": outputs.attentions}
        if not self.logits:
            return result
        if positions is None:
            positions = masked_positions(labels)
        picked = outputs.last_hidden_state.flatten(0, 1).index_select(0, positions)  # [masked, hidden]
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
        unit: mask whole ``"word"``s or single ``"token"``s, 15% of the tokens.
        limit: the first blocks only; None for all.
        batch_size: blocks of a batch.
        seed: of the choice of masked tokens; one seed means the same questions for every model.

    Yields:
        What :class:`WholeWordCollator` makes: ``input_ids``, ``labels`` (-100 where nothing is asked) and their
        like, [batch, length].

    Raises:
        CourseError: no blocks.
    """
    collator = WholeWordCollator(tokenizer, unit, seed=seed)
    rows = blocks[: min(limit or len(blocks), len(blocks))]
    if not rows["input_ids"]:
        raise CourseError("no held-out blocks", fix="give a held-out text with at least one non-blank line")
    for start in range(0, len(rows["input_ids"]), batch_size):
        batch = collator({name: column[start : start + batch_size] for name, column in rows.items()})
        hidden = batch["input_ids"].masked_fill(batch["labels"] != IGNORED, collator.mask_id)
        yield batch | {"input_ids": hidden}


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
        unit: mask whole ``"word"``s or single ``"token"``s, 15% of the tokens.
        teacher: if given, the KD loss against it is measured, too.
        temperature: of the KD loss.
        limit: look at the first blocks only; None for all.
        seed: of the choice of masked tokens; one seed means the same questions for every model.

    Returns:
        ``top1`` and ``top5`` (shares of masked tokens from 0 to 1), ``mlm_loss`` in nats per token,
        ``masked`` (how many were asked), and ``kd_loss`` if there is a teacher.

    Raises:
        CourseError: no blocks.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    sums = torch.zeros(5, dtype=torch.float64)  # top1, top5, mlm, kd, masked
    asked = {"unit": unit, "limit": limit, "batch_size": batch_size, "seed": seed}
    for batch in held_out_questions(blocks, tokenizer, **asked):
        batch = {name: tensor.to(device) for name, tensor in batch.items()}
        sums += _score(model, batch, teacher, temperature)
    model.train(training)
    top1, top5, mlm, kd, masked = sums.tolist()
    if not masked:
        raise CourseError("no token could be masked in the held-out blocks", fix="give a longer held-out text")
    result = {"top1": top1 / masked, "top5": top5 / masked, "mlm_loss": mlm / masked, "masked": int(masked)}
    return result | ({"kd_loss": kd / masked} if teacher is not None else {})


def _score(model: BertForMaskedLM, batch: dict, teacher: BertForMaskedLM | None, temperature: float) -> Tensor:
    answers = MaskedPositions(model)(**batch)
    logits, labels = answers["logits"].float(), answers["labels"]  # [masked, vocabulary], [masked]
    best = logits.topk(5).indices == labels[:, None]  # [masked, 5]
    kd = logits.new_zeros(())
    if teacher is not None:
        soft = (MaskedPositions(teacher)(**batch)["logits"].float() / temperature).softmax(-1)
        kd = -(soft * (logits / temperature).log_softmax(-1)).sum()
    mlm = F.cross_entropy(logits, labels, reduction="sum")
    masked = logits.new_tensor(len(labels))
    return torch.stack([best[:, 0].sum(), best.sum(), mlm, kd, masked]).double().cpu()
