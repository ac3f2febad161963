"""AdamW with BERT's parameter groups, or Muon on the encoder's matrices beside it (notebook 04)."""

import torch
from torch import Tensor, nn

from ..recipe import Recipe
from .checkpoints import Modules

FREE = ("LayerNorm", "projections.")  # no weight decay; TextBrewer leaves projections the optimiser's default, 0


def make_optimizers(recipe: Recipe, modules: Modules) -> list[torch.optim.Optimizer]:
    """The optimisers of a run, over the model and the projections.

    AdamW with the original's groups: weight decay on all but biases, LayerNorm and projections. With
    ``recipe.optimizer == "muon"`` the matrices of the encoder's layers go to Muon
    (Jordan et al., 2024), scaled so that the same learning rate serves both.
    """
    named = [
        (f"{part}.{name}", weight)
        for part, module in modules.items()
        for name, weight in module.named_parameters()
        if weight.requires_grad
    ]
    muon = [weight for name, weight in named if is_for_muon(recipe, name, weight)]
    taken = set(map(id, muon))
    rest = [(name, weight) for name, weight in named if id(weight) not in taken]
    plain = {id(weight) for name, weight in rest if name.endswith("bias") or any(part in name for part in FREE)}
    groups = [
        {"params": [weight for _, weight in rest if id(weight) not in plain], "weight_decay": recipe.weight_decay},
        {"params": [weight for _, weight in rest if id(weight) in plain], "weight_decay": 0.0},
    ]
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)]
    if muon:
        short = torch.bfloat16 if recipe.precision == "bf16" else torch.float32
        optimizers.append(Muon(muon, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, dtype=short))
    return optimizers


def is_for_muon(recipe: Recipe, name: str, weight: Tensor) -> bool:
    """Whether Muon trains this weight: a matrix of the encoder's layers, if the recipe says Muon."""
    return recipe.optimizer == "muon" and ".layer." in name and weight.ndim == 2


class Muon(torch.optim.Optimizer):
    """Muon: momentum, made orthogonal by Newton-Schulz steps, at the size of an AdamW update.

    torch.optim.Muon computes the same in bfloat16 always, which a CPU without bfloat16 instructions
    does far more slowly than float32; this one is told in which format.

    Source: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024);
    the scale 0.2 * sqrt(max(shape)) is that of Liu et al., "Muon is scalable for LLM training" (2025).
    """

    def __init__(
        self,
        params: list[nn.Parameter],
        lr: float,
        weight_decay: float = 0.01,
        momentum: float = 0.95,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self.dtype = dtype

    @torch.no_grad()
    def step(self) -> None:
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
                update = orthogonal(weight.grad.lerp(state["momentum"], group["momentum"]).to(self.dtype))
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update, alpha=-group["lr"] * 0.2 * max(weight.shape) ** 0.5)


def orthogonal(matrix: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """The matrix with its singular values brought near 1, by the quintic Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
