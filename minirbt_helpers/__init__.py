"""MiniRBT, made step by step: the package behind the notebooks.

One room per part of the course: :mod:`~minirbt_helpers.text` (notebooks 01, 02),
:mod:`~minirbt_helpers.models` (03), :mod:`~minirbt_helpers.training` (04),
:mod:`~minirbt_helpers.tasks` (05) and :mod:`~minirbt_helpers.insight` (06, 07, and all pictures); on top of them
:mod:`~minirbt_helpers.exercises` (of all notebooks).
Importing the package itself loads none of them.
"""

__version__ = "0.1.0"
