"""Pictures of what the models and the data do."""

from .figures import PALETTE, prepare_figures
from .model_views import accuracy_figure, candidates_view, family_figure, fill_mask, rows_view, two_stage_figure
from .text_views import block_view, masking_states, masking_view, token_words, words_view
from .training_views import (
    LiveCurves,
    Tower,
    accuracy_bars,
    accuracy_by_depth,
    colour_of,
    difference,
    draw_layer_pairs,
    loss_curves,
    match_figure,
    parameter_bars,
    standard_error,
    temperature_bars,
)
from .widgets import interactive

__all__ = [
    "PALETTE", "LiveCurves", "Tower", "accuracy_bars", "accuracy_by_depth", "accuracy_figure", "block_view",
    "candidates_view", "colour_of", "difference", "draw_layer_pairs", "family_figure", "fill_mask", "interactive",
    "loss_curves", "masking_states", "masking_view", "match_figure", "parameter_bars", "prepare_figures", "rows_view",
    "standard_error", "temperature_bars", "token_words", "two_stage_figure", "words_view",
]  # fmt: skip
