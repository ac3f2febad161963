"""What a token costs: the arithmetic behind every estimate of hours (notebook 08)."""

from transformers import BertConfig

BACKWARD = 3  # forward and backward together, in forwards: every matrix product has two gradients


def forward_operations(config: BertConfig, length: int, masked: float = 0.15) -> float:
    """Multiplications and additions of one token's way through a BERT, in matrix products.

    Args:
        config: of the model.
        length: tokens in a block: every token looks at so many.
        masked: the share of positions at which the MLM head is asked.
    """
    width = config.hidden_size
    layer = 2 * (4 * width**2 + 2 * width * config.intermediate_size) + 4 * length * width
    return config.num_hidden_layers * layer + masked * 2 * (width**2 + width * config.vocab_size)


def distillation_operations(teacher: BertConfig, student: BertConfig, length: int, masked: float = 0.15) -> float:
    """The same for a step of distillation: teacher forward; student and projections forward and backward.

    Every state of the student has a projection to the teacher's width, as published.
    """
    projections = (student.num_hidden_layers + 1) * 2 * student.hidden_size * teacher.hidden_size
    learned = forward_operations(student, length, masked) + projections
    return forward_operations(teacher, length, masked) + BACKWARD * learned
