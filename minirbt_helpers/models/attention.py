"""Attention and dropout while a BERT trains on a CPU: the same mathematics at less cost (notebooks 04 and 05).

On a CPU torch's fused attention has no dropout; with dropout it falls back to float32 and draws a
random number for every pair of positions, which takes most of a student's step at length 512. Here
one 64-bit number serves four pairs, and everything stays in the number format of the model. And in the last
layer nothing is computed for tokens that nobody asks about.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    BertForMaskedLM,
    BertForSequenceClassification,
    PreTrainedModel,
)
from transformers.masking_utils import eager_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.bert.modeling_bert import BertAttention, eager_attention_forward

NAME = "minirbt_cpu"
SIXTEEN_BITS = 2**16


class DroppedAttention(torch.autograd.Function):
    """``dropout(softmax(query @ key.T + bias)) @ value``, with only what the backward pass needs kept.

    All inputs are [batch, heads, length, width], ``query`` scaled already; the bias broadcasts over
    [batch, heads, length, length] and has no gradient.
    """

    @staticmethod
    def forward(ctx, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, dropout: float) -> Tensor:
        chances = attention_chances(query, key, bias)  # [batch, heads, length, length]
        kept, share = survivors(chances.shape, dropout)
        value = value / share
        ctx.save_for_backward(query, key, value, chances, kept)
        ctx.share = share
        return kept.to(chances.dtype).mul_(chances) @ value

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, chances, kept = ctx.saved_tensors
        kept = kept.to(chances.dtype)
        inner = (gradient @ value.transpose(-1, -2)).mul_(kept)  # gradient in the chances
        of_value = kept.mul_(chances).transpose(-1, -2) @ (gradient / ctx.share)
        inner = torch._softmax_backward_data(inner, chances, -1, chances.dtype)
        return inner @ key, inner.transpose(-1, -2) @ query, of_value, None, None


def attention_chances(query: Tensor, key: Tensor, bias: Tensor | None) -> Tensor:
    """Who looks at whom: softmax over the keys, [batch, heads, length, length]."""
    scores = query @ key.transpose(-1, -2)
    return (scores if bias is None else scores.add_(bias)).softmax(-1)


def survivors(shape: torch.Size, dropout: float) -> tuple[Tensor, float]:
    """Which entries survive dropout (1 or 0, int16, of this shape), and the exact share that is expected to.

    Every entry gets 16 random bits, so the share is ``1 - dropout`` to within 1/65536. They come from
    numpy's fastest generator, which torch's own seeds: the same state gives the same entries.
    """
    count = shape.numel()
    source = np.random.SFC64(int(torch.randint(2**62, ())))
    draws = torch.from_numpy(source.random_raw(-(-count // 4)).view(np.int16))[:count]
    dropped = round(dropout * SIXTEEN_BITS)
    return draws.ge_(dropped - SIXTEEN_BITS // 2).view(shape), 1 - dropped / SIXTEEN_BITS


@torch.compiler.disable
def dropout(module: nn.Dropout, states: Tensor) -> Tensor:
    """What ``nn.Dropout`` does, by :func:`survivors`."""
    if not module.training or not module.p:
        return states
    kept, share = survivors(states.shape, module.p)
    return states * kept.to(states.dtype).div_(share)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """transformers' interface: [batch, heads, length, width] in, [batch, length, heads, width] out."""
    if not dropout and query.dtype == torch.float32:  # what torch's own does best
        output = F.scaled_dot_product_attention(query, key, value, attention_mask, scale=scaling)
        return output.transpose(1, 2), None
    query = query * (scaling or query.shape[-1] ** -0.5)
    if dropout:
        return dropped_attention(query, key, value, attention_mask, dropout).transpose(1, 2), None
    with torch.autocast(query.device.type, enabled=False):  # which would turn softmax into float32
        return (attention_chances(query, key, attention_mask) @ value).transpose(1, 2), None


@torch.compiler.disable
def dropped_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, dropout: float) -> Tensor:
    """:class:`DroppedAttention`, which draws its random numbers outside of torch and so outside of a compiled graph."""
    with torch.autocast(query.device.type, enabled=False):
        return DroppedAttention.apply(query, key, value, bias, dropout)


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, eager_mask)


@contextmanager
def fast_on_cpu(*models: PreTrainedModel) -> Iterator[None]:
    """Let models on a CPU use this attention and this dropout until the block ends; others stay as they are."""
    with ExitStack() as undo:
        for model in models:
            if model.device.type != "cpu":
                continue
            if model.config._attn_implementation == "sdpa":
                model.set_attn_implementation(NAME)
                undo.callback(model.set_attn_implementation, "sdpa")
            for module in model.modules():
                if isinstance(module, nn.Dropout) and module.p:  # one that drops nothing may stay in a compiled graph
                    module.forward = partial(dropout, module)
                    undo.callback(delattr, module, "forward")
        yield


@contextmanager
def first_token_alone(*models: PreTrainedModel) -> Iterator[None]:
    """Let the last layers of classifiers compute what the classifier reads: [CLS], until the block ends.

    All tokens are keys and values there; only the first one asks, and goes through the rest of the layer. Saved is
    most of one layer: a sixth of a six-layer model. Models that are no classifiers stay as they are.
    """
    with ExitStack() as undo:
        for model in models:
            if isinstance(model, BertForSequenceClassification):
                last = model.bert.encoder.layer[-1].attention
                last.forward = partial(_of_first, last)
                undo.callback(delattr, last, "forward")
        yield


def _of_first(part: BertAttention, states: Tensor, attention_mask: Tensor | None = None, **_: object) -> tuple:
    """``BertAttention.forward`` for the first token: [batch, length, width] in, [batch, 1, width] out."""
    mask = attention_mask if attention_mask is None else attention_mask[:, :, :1]
    return part.output(_looked_up(part, states[:, :1], states, mask), states[:, :1]), None


@contextmanager
def asked_tokens_alone(model: BertForMaskedLM, positions: Tensor) -> Iterator[None]:
    """Let the last layer of a masked language model compute some tokens only, until the block ends.

    All tokens are keys and values there. Of 15% of the tokens asked, seven tenths of one layer are saved: a quarter of
    a three-layer model, a sixteenth of a twelve-layer one.

    Args:
        model: its last hidden state becomes [1, asked, width].
        positions: which tokens are asked about, counted through the flattened batch: int64, [asked], rising.
    """
    last = model.bert.encoder.layer[-1].attention
    last.forward = partial(_of_asked, last, positions)
    try:
        yield
    finally:
        del last.forward


def _of_asked(
    part: BertAttention, positions: Tensor, states: Tensor, attention_mask: Tensor | None = None, **_: object
) -> tuple:
    """``BertAttention.forward`` for some tokens: [batch, length, width] in, [1, asked, width] out.

    The tokens of a text stand in one row, so that they meet the keys of their text; shorter rows end in zeros.
    """
    texts = positions // states.shape[1]
    counts = texts.bincount(minlength=len(states))  # [batch]
    places = torch.arange(len(positions)) - (counts.cumsum(0) - counts)[texts]  # in the row of their text
    asking = states.flatten(0, 1)[positions]  # [asked, width]
    rows = asking.new_zeros(len(states), int(counts.max()), asking.shape[-1]).index_put((texts, places), asking)
    mask = attention_mask if attention_mask is None else attention_mask[:, :, :1]  # the same for every query
    found = _looked_up(part, rows, states, mask)[texts, places]  # [asked, width]
    return part.output(found[None], asking[None]), None


def _looked_up(part: BertAttention, asking: Tensor, states: Tensor, mask: Tensor | None) -> Tensor:
    """What the heads of a layer bring the asking tokens of each text: [batch, asking, width]."""
    own = part.self
    heads = [
        linear(given).unflatten(-1, (-1, own.attention_head_size)).transpose(1, 2)  # [batch, heads, tokens, width]
        for linear, given in ((own.query, asking), (own.key, states), (own.value, states))
    ]
    compute = ALL_ATTENTION_FUNCTIONS.get_interface(own.config._attn_implementation, eager_attention_forward)
    dropped = own.dropout.p if own.training else 0.0
    output, _ = compute(own, *heads, mask, dropout=dropped, scaling=own.scaling)
    return output.flatten(2)
