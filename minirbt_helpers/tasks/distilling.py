"""Distilling once more, on the task: a fine-tuned teacher beside the labels (notebook 05).

Source: the FAQ of iflytek/MiniRBT, which advises it for better results than its table shows; Hinton et
al. (2015); Yang et al., "TextBrewer" (ACL 2020 demo).
"""

import warnings

import torch
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

    Attributes:
        kd_steps: of every step the epoch it is in, the KD loss (unweighted), and its floor.
    """

    def __init__(self, *arguments, teacher: PreTrainedModel, recipe: Recipe, **settings):
        super().__init__(*arguments, **settings)
        device = self.args.device
        hard = bool(recipe.hard_label_weight)
        self.temperature, self.floor = recipe.temperature, torch.zeros(())
        self.kd_steps: list[tuple[int, Tensor, Tensor]] = []
        self.distiller = GeneralDistiller(
            TrainingConfig(device=device, output_dir="."),
            DistillationConfig(
                temperature=recipe.temperature,
                kd_loss_weight=recipe.kd_weight * (recipe.temperature**2 if recipe.temperature_squared else 1),
                hard_label_weight=recipe.hard_label_weight,
            ),
            teacher.to(device).eval(),
            self.model,
            adaptor_T=self._teachers_logits,
            adaptor_S=_adaptor(hard=hard),
        )

    def compute_loss(self, model, inputs, return_outputs: bool = False, num_items_in_batch=None):
        """The distillation loss in training; the task's own in evaluation."""
        if return_outputs or not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        loss, parts = self.distiller.train_on_batch(dict(inputs), {})
        self.kd_steps.append((int(self.state.epoch or 0), parts["unweighted_kd_loss"].detach(), self.floor))
        return loss

    def kd_by_epoch(self) -> tuple[dict[str, float], ...]:
        """Mean ``kd_loss`` of every epoch, its ``floor``, and the ``gap``: the KL divergence from the teacher.

        The loss is a cross-entropy: nobody gets below the teacher's own entropy, and most of the figure may be that.
        """
        found = []
        for epoch in dict.fromkeys(step[0] for step in self.kd_steps):
            pairs = torch.tensor([[loss, floor] for at, loss, floor in self.kd_steps if at == epoch])
            loss, floor = pairs.mean(0).tolist()
            found.append({"kd_loss": loss, "floor": floor, "gap": loss - floor})
        return tuple(found)

    def _teachers_logits(self, batch: dict[str, Tensor], outputs) -> dict:
        """TextBrewer's adaptor of the teacher; on the way the floor of this batch is noted."""
        adapted = _adaptor(hard=False)(batch, outputs)
        self.floor = sum(entropy(logits, self.temperature) for logits in adapted["logits"])
        return adapted


def entropy(logits: Tensor, temperature: float) -> Tensor:
    """Mean entropy of the softened rows in nats: the lowest cross-entropy that anybody can have with them."""
    chances = (logits.detach() / temperature).softmax(-1)  # [rows, entries]
    return torch.special.entr(chances).sum(-1).mean()


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
