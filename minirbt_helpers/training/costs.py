"""What a token costs: the arithmetic of a BERT (notebook 07), behind every estimate of hours (notebook 08)."""

from transformers import BertConfig

BACKWARD = 3  # forward and backward together, in forwards: every matrix product has two gradients


def operations(config: BertConfig, length: int) -> dict[str, float]:
    """Multiplications and additions that a token needs, by part of the model.

    Matrix products alone count, as is the custom. Attention compares every token with ``length`` others.

    Args:
        config: of the model.
        length: tokens per text.
    """
    width, layers = config.hidden_size, config.num_hidden_layers
    return {
        "embeddings": 0.0,  # looked up, not computed
        "attention": layers * float(2 * 4 * width**2 + 2 * 2 * length * width),  # four projections; scores and mixing
        "FFN": layers * float(2 * 2 * width * config.intermediate_size),
        "MLM head": 2.0 * (width**2 + width * config.vocab_size),
    }


def forward_operations(config: BertConfig, length: int, masked: float = 0.15) -> float:
    """The same for all parts together, with the MLM head at a share of the positions only.

    Args:
        config: of the model.
        length: tokens in a block.
        masked: the share of positions at which the MLM head is asked.
    """
    parts = operations(config, length)
    return parts["attention"] + parts["FFN"] + masked * parts["MLM head"]


def distillation_operations(teacher: BertConfig, student: BertConfig, length: int, masked: float = 0.15) -> float:
    """The same for a step of distillation: teacher forward; student and projections forward and backward.

    Every state of the student has a projection to the teacher's width, as published.
    """
    projections = (student.num_hidden_layers + 1) * 2 * student.hidden_size * teacher.hidden_size
    learned = forward_operations(student, length, masked) + projections
    return forward_operations(teacher, length, masked) + BACKWARD * learned
