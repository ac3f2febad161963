"""Looking at models and data, in two halves: ``measured`` computes, ``drawn`` draws and imports from ``measured``.

The first word of a name says what comes back:

- ``draw_…`` a picture, from :mod:`~minirbt_helpers.insight.drawn`: a drawing (SVG, PNG), HTML or a matplotlib figure;
- ``explore``, ``…Explorer``, ``Live…`` a control, from :mod:`~minirbt_helpers.insight.controls`;
- anything else is named for the numbers it gives (``head_distances``, ``median_milliseconds``), from
  :mod:`~minirbt_helpers.insight.measured`. The picture of ``measured/x.py`` lies in ``drawn/x.py``.
"""

from .controls import AttentionExplorer, LiveLosses, explore
from .drawn.attention import draw_all_heads, draw_head, draw_head_pair, draw_layer, draw_word_binding
from .drawn.axes import Plot
from .drawn.family import Tower, draw_family, draw_layer_pairs, draw_two_stages
from .drawn.guesses import draw_cloze, draw_layer_guesses, draw_mask_guesses
from .drawn.hidden_states import draw_cka, draw_hidden_match, draw_paths
from .drawn.losses import draw_losses, draw_match_losses, draw_temperatures
from .drawn.scores import (
    draw_accuracies,
    draw_accuracy_by_depth,
    draw_epochs,
    draw_kept_shares,
    draw_learning_rates,
    draw_quality,
    draw_task_scores,
)
from .drawn.sizes import draw_parameters
from .drawn.speed import draw_product_rates, draw_speed_reasons, draw_speed_ups, draw_time_parts
from .drawn.tables import draw_table
from .drawn.theme import PALETTE
from .drawn.words import draw_blocks, draw_masking, draw_words
from .measured.attention import gaze, head_distances, head_matches, word_binding, word_shares
from .measured.comparison import comparison_table, model_folders
from .measured.glosses import Gloss, gloss_in_place, glossed, glosses
from .measured.guesses import layer_guesses, mask_guesses, question_kind
from .measured.hidden_states import (
    best_projection,
    cka_matrix,
    hidden_mse,
    linear_cka,
    matched_means,
    projected_cosine,
    token_paths,
    token_states,
)
from .measured.published import MEASURED_FLOORS, PUBLISHED_STAGES, published_scores, published_table
from .measured.reading import Reading, Sentence, readings, sentences
from .measured.scores import accuracy_difference, kept_shares, standard_error
from .measured.sizes import (
    counted_operations,
    encoder_operations,
    family_member,
    parameter_counts,
    parameter_table,
)
from .measured.speed import (
    SpeedCase,
    Spread,
    benchmark_rows,
    call_timings,
    hardware,
    hollow_model,
    kind_seconds,
    median_milliseconds,
    model_timings,
    product_rate,
    speed_cases,
    speed_table,
    speed_ups,
    threads,
)
from .measured.words import masking_states, token_words

__all__ = [
    "MEASURED_FLOORS", "PALETTE", "PUBLISHED_STAGES", "AttentionExplorer", "Gloss", "LiveLosses", "Plot", "Reading",
    "Sentence", "SpeedCase", "Spread", "Tower", "accuracy_difference", "benchmark_rows", "best_projection",
    "call_timings", "cka_matrix", "comparison_table", "counted_operations", "draw_accuracies", "draw_accuracy_by_depth",
    "draw_all_heads", "draw_blocks", "draw_cka", "draw_cloze", "draw_epochs", "draw_family", "draw_head",
    "draw_head_pair", "draw_hidden_match", "draw_kept_shares", "draw_layer", "draw_layer_guesses", "draw_layer_pairs",
    "draw_learning_rates", "draw_losses", "draw_mask_guesses", "draw_masking", "draw_match_losses", "draw_parameters",
    "draw_paths", "draw_product_rates", "draw_quality", "draw_speed_reasons", "draw_speed_ups", "draw_table",
    "draw_task_scores", "draw_temperatures", "draw_time_parts", "draw_two_stages", "draw_word_binding", "draw_words",
    "encoder_operations", "explore", "family_member", "gaze", "gloss_in_place", "glossed", "glosses", "hardware",
    "head_distances", "head_matches", "hidden_mse", "hollow_model", "kept_shares", "kind_seconds", "layer_guesses",
    "linear_cka", "mask_guesses", "masking_states", "matched_means", "median_milliseconds", "model_folders",
    "model_timings", "parameter_counts", "parameter_table", "product_rate", "projected_cosine", "published_scores",
    "published_table", "question_kind", "readings", "sentences", "speed_cases", "speed_table", "speed_ups",
    "standard_error", "threads", "token_paths", "token_states", "token_words", "word_binding", "word_shares",
]  # fmt: skip
