"""AdamW with BERT's parameter groups, or Muon on the encoder's matrices beside it (notebook 04)."""

import torch
from torch import Tensor, nn

from ..recipe import Recipe
from .checkpoints import Modules

AT_ONCE = 2**24  # entries of the matrices that Muon makes orthogonal together, for the memory's sake
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
        """Update every matrix that has a gradient; those of one shape at once."""
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    shapes.setdefault(weight.shape, []).append(weight)
            for shape, alike in shapes.items():
                most = max(1, AT_ONCE // shape.numel())
                for start in range(0, len(alike), most):
                    self._update(alike[start : start + most], group)

    def _update(self, weights: list[nn.Parameter], group: dict) -> None:
        """Update some matrices of one shape."""
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["momentum"] = torch.zeros_like(weight)
        gradients, momenta = [weight.grad for weight in weights], [self.state[one]["momentum"] for one in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
        updates = orthogonal(torch.stack(ahead).to(self.dtype)).to(weights[0].dtype)
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(weights, list(updates), alpha=-group["lr"] * 0.2 * max(weights[0].shape) ** 0.5)


def orthogonal(matrices: Tensor, steps: int = 5) -> Tensor:
    """Matrices [..., rows, columns] with singular values brought near 1, by the quintic Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.reshape(-1, *matrices.shape[-2:])
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).reshape(matrices.shape)
