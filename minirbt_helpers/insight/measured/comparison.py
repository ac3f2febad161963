"""Size, arithmetic and time of models in one table (notebook 07; ``minirbt compare``)."""

import json
from collections.abc import Mapping
from pathlib import Path

from transformers import BertForMaskedLM

from ...language import N_
from .sizes import encoder_operations, without_embeddings
from .speed import Rounds, Spread, model_timings, round_seconds, speed_ups


def model_folders(folder: str | Path) -> dict[str, Path]:
    """The masked language models that lie in a folder, by name, the largest first."""
    found = {}
    for file in Path(folder).glob("*/config.json"):
        config = json.loads(file.read_text(encoding="utf-8"))
        if "BertForMaskedLM" in (config.get("architectures") or ()):
            found[file.parent.name] = file.parent
    return dict(sorted(found.items(), key=lambda item: -(item[1] / "model.safetensors").stat().st_size))


def comparison_table(
    models: Mapping[str, BertForMaskedLM], batch: int = 1, length: int = 128, rounds: int = 5
) -> list[dict[str, str]]:
    """Models side by side on this machine: size, arithmetic and time; the first is what the others are held against.

    Args:
        models: by name, on their device, in their number format.
        batch, length, rounds: as for :func:`~minirbt_helpers.insight.model_timings`.
    """
    timings = model_timings(models, batch, length, rounds)
    first = next(iter(models))
    encoders, whole = (speed_ups(timings, first, head) for head in (False, True))
    return [
        {
            N_("model"): name,
            N_("parameters"): f"{model.num_parameters() / 1e6:.2f}M",
            N_("without embeddings"): f"{without_embeddings(model) / 1e6:.2f}M",
            N_("size of weights"): _megabytes(model),
            N_("operations per token"): f"{encoder_operations(model.config, length) / 1e6:.2f}M",
            N_("milliseconds, encoder"): str(_milliseconds(timings[name])),
            N_("speed-up"): str(encoders[name]),
            N_("with the MLM head"): str(whole[name]),
        }
        for name, model in models.items()
    ]


def _megabytes(model: BertForMaskedLM) -> str:
    return f"{sum(one.numel() * one.element_size() for one in model.parameters()) / 1e6:.1f} MB"


def _milliseconds(rounds: Rounds) -> Spread:
    return Spread.of([1000 * seconds for seconds in round_seconds(rounds)])
