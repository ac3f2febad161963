"""How large models are, and how much they compute, counted from their configurations (notebooks 03 and 07)."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertForMaskedLM

from ...language import N_
from ...models import ARCHITECTURES, Architecture, find_architecture
from ...models.architectures import Scale
from ...training.costs import operations
from .published import TEACHER

# --- parameters -----------------------------------------------------------------------------------------------------


def parameter_table() -> list[dict[str, str]]:
    """The published table of sizes, counted from the configurations, to the digits that the README prints.

    The README's percentages are those of its rounded numbers, and so are these; ``"exactly"`` has those of the counts.
    """
    base = ARCHITECTURES[TEACHER]
    rows = []
    for one in ARCHITECTURES.values():
        shape = one.full
        row = {
            N_("model"): one.name,
            N_("layers"): shape.layers,
            N_("hidden"): shape.hidden,
            "FFN": shape.ffn,
            N_("heads"): shape.heads,
        }
        for embeddings, title in ((True, N_("parameters")), (False, N_("without embeddings"))):
            millions, all_of_it = (_printed_millions(which, embeddings) for which in (one, base))
            row[title] = f"{millions}M ({100 * float(millions) / float(all_of_it):.1f}%)"
        exact = (100 * one.count(embeddings) / base.count(embeddings) for embeddings in (True, False))
        row[N_("exactly")] = " · ".join(f"{share:.2f}%" for share in exact)
        rows.append({name: str(value) for name, value in row.items()})
    return [{name: value.replace("(100.0%)", "(100%)") for name, value in row.items()} for row in rows]


def _printed_millions(one: Architecture, embeddings: bool) -> str:
    """The counted millions of parameters, with as many digits as the README prints."""
    digits = len(str(one.published[0 if embeddings else 1]).partition(".")[2])
    return f"{one.count(embeddings) / 1e6:.{digits}f}"


def family_member(config: BertConfig, scale: Scale) -> Architecture | None:
    """The member of the family that a configuration belongs to; None: somebody else's."""
    theirs = (config.num_hidden_layers, config.hidden_size, config.intermediate_size, config.num_attention_heads)
    shapes = ((one, one.shape(scale)) for one in ARCHITECTURES.values())
    return next((one for one, has in shapes if (has.layers, has.hidden, has.ffn, has.heads) == theirs), None)


def parameter_counts(
    names: Iterable[str], folders: Mapping[str, Path], student: str, scale: Scale, vocabulary: int
) -> dict[str, int]:
    """Parameters of the models of a results file; models that nothing is known of are left out.

    Args:
        names: as the file has them: one of the folders, an architecture, ``"no pre-training"`` (in the student's shape)
            or ``"no pre-training, 12 layers"`` (in the teacher's).
        folders: by name.
        student: the architecture of ``"no pre-training"``.
        scale: of the architectures.
        vocabulary: how many entries theirs has.
    """
    shapes = {name: name for name in ARCHITECTURES}
    shapes |= {"no pre-training": student, "no pre-training, 12 layers": TEACHER}
    sizes = {}
    for name in names:
        if name in folders:
            sizes[name] = count_parameters(BertConfig.from_pretrained(folders[name]))
        elif name in shapes:
            sizes[name] = find_architecture(shapes[name]).count(scale=scale, vocabulary=vocabulary)
    return sizes


def count_parameters(config: BertConfig) -> int:
    """Parameters of a masked language model of this configuration."""
    with torch.device("meta"):
        return BertForMaskedLM(config).num_parameters()


def without_embeddings(model: BertForMaskedLM) -> int:
    """Parameters of layers and MLM head."""
    return model.num_parameters() - sum(weight.numel() for weight in model.bert.embeddings.parameters())


# --- arithmetic -----------------------------------------------------------------------------------------------------


def counted_operations(config: BertConfig, length: int) -> float:
    """:func:`~minirbt_helpers.training.operations` of all parts together, as torch counts them in a forward pass."""
    with torch.device("meta"):  # shapes alone: nothing is computed
        model = BertForMaskedLM(config).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.zeros(1, length, dtype=torch.long))
    return counter.get_total_flops() / length


def encoder_operations(config: BertConfig, length: int) -> float:
    """The arithmetic of a token in all parts but the MLM head."""
    return sum(count for part, count in operations(config, length).items() if part != "MLM head")
