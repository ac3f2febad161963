"""Distilling once more, on the task: a fine-tuned teacher beside the labels (notebook 05).

Source: the FAQ of iflytek/MiniRBT, which advises it for better results than its table shows; Hinton et
al. (2015); Yang et al., "TextBrewer" (ACL 2020 demo).
"""

import warnings

from torch import Tensor
from transformers import PreTrainedModel

from ..recipe import Recipe
from .trainer import OrderedTrainer

with warnings.catch_warnings():  # TextBrewer compares strings with `is`
    warnings.simplefilter("ignore", SyntaxWarning)
    from textbrewer import DistillationConfig, GeneralDistiller, TrainingConfig

NOWHERE = -1e4  # the logit of a padded place


class DistillingTrainer(OrderedTrainer):
    """The Trainer with TextBrewer's loss: the teacher's logits at a temperature, and the labels.

    Args:
        arguments, settings: as for ``Trainer``.
        teacher: fine-tuned on the same task (eval mode).
        recipe: its ``temperature``, ``temperature_squared``, ``kd_weight`` and ``hard_label_weight`` count here, too.
    """

    def __init__(self, *arguments, teacher: PreTrainedModel, recipe: Recipe, **settings):
        super().__init__(*arguments, **settings)
        device = self.args.device
        hard = bool(recipe.hard_label_weight)
        self.distiller = GeneralDistiller(
            TrainingConfig(device=device, output_dir="."),
            DistillationConfig(
                temperature=recipe.temperature,
                kd_loss_weight=recipe.kd_weight * (recipe.temperature**2 if recipe.temperature_squared else 1),
                hard_label_weight=recipe.hard_label_weight,
            ),
            teacher.to(device).eval(),
            self.model,
            adaptor_T=_adaptor(hard=False),
            adaptor_S=_adaptor(hard=hard),
        )

    def compute_loss(self, model, inputs, return_outputs: bool = False, num_items_in_batch=None):
        """The distillation loss in training; the task's own in evaluation."""
        if return_outputs or not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        return self.distiller.train_on_batch(dict(inputs), {})[0]


def _adaptor(hard: bool):
    """TextBrewer's adaptor: a row of logits per text, or one for first and one for last tokens."""

    def adapt(batch: dict[str, Tensor], outputs) -> dict:
        if "logits" in outputs:
            logits = (outputs.logits,)  # [batch, labels]
        else:
            padded = batch["attention_mask"] == 0
            both = (outputs.start_logits, outputs.end_logits)  # [batch, tokens] each
            logits = tuple(side.masked_fill(padded, NOWHERE) for side in both)
        return {"logits": logits} | ({"losses": outputs.loss} if hard else {})

    return adapt
