"""Which layer of the student learns from which layer of the teacher (notebook 04).

Source: matches.py of the original repository; the form is TextBrewer's ``intermediate_matches``.
"""

from transformers import BertConfig

from ..errors import CourseError
from ..recipe import Recipe


def layer_pairs(teacher_layers: int, student_layers: int) -> list[tuple[int, int]]:
    """Pairs (teacher, student) of hidden states, evenly spread; 0 is the embeddings' output.

    12 to 6 layers: (0,0) (2,1) (4,2) … (12,6); 12 to 4: (0,0) (3,1) … (12,4); 6 to 6: (0,0) … (6,6).

    Raises:
        CourseError: the teacher's depth is not a multiple of the student's.
    """
    stride, rest = divmod(teacher_layers, student_layers)
    if rest or not stride:
        raise CourseError(
            f"{student_layers} layers cannot be spread evenly over a teacher's {teacher_layers}",
            fix="a student whose number of layers divides the teacher's",
        )
    return [(stride * layer, layer) for layer in range(student_layers + 1)]


def hidden_matches(teacher: BertConfig, student: BertConfig, recipe: Recipe) -> list[dict]:
    """The hidden-state matches in TextBrewer's form, one per pair of layers.

    Each has its own linear projection from the student's width to the teacher's; where the two
    widths are equal, only if ``recipe.project_equal_widths`` (as the published code).

    Returns:
        ``[{"layer_T": 2, "layer_S": 1, "feature": "hidden", "loss": "hidden_mse", "weight": 1.0,
        "proj": ["linear", 64, 192]}, …]``; empty when ``recipe.hidden_weight`` is 0.
    """
    if not recipe.hidden_weight:
        return []
    project = student.hidden_size != teacher.hidden_size or recipe.project_equal_widths
    projection = {"proj": ["linear", student.hidden_size, teacher.hidden_size]} if project else {}
    return [
        {"layer_T": theirs, "layer_S": ours, "feature": "hidden", "loss": "hidden_mse", "weight": recipe.hidden_weight}
        | {name: list(value) for name, value in projection.items()}
        for theirs, ours in layer_pairs(teacher.num_hidden_layers, student.num_hidden_layers)
    ]
