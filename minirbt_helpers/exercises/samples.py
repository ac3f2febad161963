"""Numbers for the cases of exercises: random, but always the same."""

import torch
from torch import Tensor


def normal(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    """Normal numbers of a shape, with ``scale`` as their standard deviation."""
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def whole(seed: int, below: int, *shape: int) -> Tensor:
    """Whole numbers from 0 on and below a limit."""
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(seed))


def shares(seed: int, *shape: int) -> Tensor:
    """Positive numbers that add up to 1 along the last axis, as attention does."""
    return normal(seed, *shape, scale=1.5).softmax(-1)
