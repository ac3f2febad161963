"""The published scores of the family, from the README of iflytek/MiniRBT, 2022, and what to hold them against.

Notebook 07 reads them.
"""

from ...language import N_

TEACHER = "RoBERTa-wwm-ext"  # what the published numbers are relative to
TASKS = ("cmrc2018", "drcd", "ocnli", "lcqmc", "bq", "tnews", "chnsenticorp")

# Dev rows, per cent: accuracy, or F1 and EM for questions; the best of 2, 3, 5 and 10 epochs, mean of three seeds.
PUBLISHED_SCORES: dict[str, dict[str, tuple[float, ...]]] = {
    name: dict(zip(TASKS, scores, strict=True))
    for name, scores in {
        "RoBERTa-wwm-ext": ((87.3, 68.0), (94.4, 89.4), (76.58,), (89.07,), (85.76,), (57.66,), (94.89,)),
        "RBT6": ((84.4, 64.3), (91.27, 84.93), (72.83,), (88.52,), (84.54,), (55.52,), (93.42,)),
        "RBT3": ((80.3, 57.73), (85.87, 77.63), (69.80,), (87.3,), (84.47,), (55.39,), (93.86,)),
        "RBT4-H312": ((77.9, 54.93), (84.13, 75.07), (68.50,), (85.49,), (83.42,), (54.15,), (93.31,)),
        "MiniRBT-H256": ((78.47, 56.27), (86.83, 78.57), (68.73,), (86.81,), (83.68,), (54.45,), (92.97,)),
        "MiniRBT-H288": ((80.53, 58.83), (87.1, 78.73), (68.32,), (86.38,), (83.77,), (54.62,), (92.83,)),
    }.items()
}

# MiniRBT-H256 after 30,000 steps, taught in two stages and in one; not to be compared with the table above.
PUBLISHED_STAGES: dict[str, dict[str, tuple[float, ...]]] = {
    name: dict(zip(("cmrc2018", "ocnli", "lcqmc", "bq", "tnews"), scores, strict=True))
    for name, scores in {
        "two-stage": ((77.97, 54.6), (69.11,), (86.58,), (83.74,), (54.12,)),
        "one-stage": ((77.57, 54.27), (68.32,), (86.39,), (83.55,), (53.94,)),
    }.items()
}

# What rules without a network score on the dev rows of the same public files, per cent: the rule, and its score.
# Measured for this course in 2026, with nothing tuned on the dev rows. The letters are single characters and pairs of
# them, counted in the train rows (of OCNLI in 10,000 of 50,000). For questions the rule answers with a whole sentence,
# and the score is its F1 (:mod:`minirbt_helpers.tasks.floors`); that sentence holds the answer far more often.
MEASURED_FLOORS: dict[str, tuple[str, float]] = {
    "cmrc2018": (N_("the sentence with most shared characters (it holds the answer in 70.2%)"), 25.2),
    "drcd": (N_("the sentence with most shared characters (it holds the answer in 82.2%)"), 16.3),
    "ocnli": (N_("letters of the second text alone"), 53.3),
    "lcqmc": (N_("shared characters"), 65.5),
    "bq": (N_("shared characters"), 69.9),
    "tnews": (N_("letters"), 56.9),
    "chnsenticorp": (N_("letters"), 90.9),
}


def published_scores() -> dict[str, dict[str, list[float]]]:
    """The published scores (accuracy, or F1), from 0 to 1, by task and model."""
    tasks = next(iter(PUBLISHED_SCORES.values()))
    return {task: {name: [scores[task][0] / 100] for name, scores in PUBLISHED_SCORES.items()} for task in tasks}


def published_table(relative: bool = False) -> list[dict[str, str]]:
    """The published scores as the README prints them; ``relative``: in per cent of RoBERTa's."""

    def cell(name: str, task: str) -> str:
        pairs = zip(PUBLISHED_SCORES[name][task], PUBLISHED_SCORES[TEACHER][task], strict=True)
        return "/".join(f"{100 * score / whole:.1f}%" if relative else f"{score:g}" for score, whole in pairs)

    return [{"model": name, **{task: cell(name, task) for task in PUBLISHED_SCORES[name]}} for name in PUBLISHED_SCORES]
