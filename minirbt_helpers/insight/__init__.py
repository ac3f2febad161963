"""Pictures of what the models and the data do."""

from .figures import PALETTE, prepare_figures

__all__ = ["PALETTE", "prepare_figures"]
