"""Pictures of what the models and the data do; a look inside the models (notebook 06)."""

from .drawing import Drawing
from .figures import PALETTE, prepare_figures
from .model_views import accuracy_figure, candidates_view, family_figure, fill_mask, rows_view, two_stage_figure
from .plots import (
    binding_picture,
    cka_picture,
    guesses_picture,
    head_picture,
    heads_picture,
    layer_picture,
    match_losses_picture,
    matched_means,
    pair_picture,
    paths_picture,
)
from .reading import (
    Reading,
    Sentence,
    check_tokenizers,
    guesses_by_layer,
    parse,
    read,
    read_all,
    sentences,
    word_shares,
)
from .similarity import (
    Binding,
    LinearProjection,
    cka_matrix,
    fit_projection,
    gaze,
    head_distances,
    hidden_mse,
    linear_cka,
    match_heads,
    projected_cosine,
    states,
    word_binding,
)
from .text_views import (
    block_view,
    masking_picture,
    masking_states,
    masking_view,
    token_words,
    words_picture,
    words_view,
)
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
from .widgets import Explorer, interactive

__all__ = [
    "Binding", "Drawing", "Explorer", "LinearProjection", "LiveCurves", "PALETTE", "Reading", "Sentence", "Tower",
    "accuracy_bars", "accuracy_by_depth", "accuracy_figure", "binding_picture", "block_view", "candidates_view",
    "check_tokenizers", "cka_matrix", "cka_picture", "colour_of", "difference", "draw_layer_pairs", "family_figure",
    "fill_mask", "fit_projection", "gaze", "guesses_by_layer", "guesses_picture", "head_distances", "head_picture",
    "heads_picture", "hidden_mse", "interactive", "layer_picture", "linear_cka", "loss_curves", "masking_picture",
    "masking_states", "masking_view", "match_figure", "match_heads", "match_losses_picture", "matched_means",
    "pair_picture", "parameter_bars", "parse", "paths_picture", "prepare_figures", "projected_cosine", "read",
    "read_all", "rows_view", "sentences", "standard_error", "states", "temperature_bars", "token_words",
    "two_stage_figure", "word_binding", "word_shares", "words_picture", "words_view",
]  # fmt: skip
