"""Which layer of the student learns from which layer of the teacher (notebook 04).

Source: matches.py of the original repository; the form is TextBrewer's ``intermediate_matches``.
"""

from collections import Counter
from collections.abc import Sequence

import torch
from textbrewer.presets import FEATURES, MATCH_LOSS_MAP, PROJ_MAP
from torch import Tensor, nn
from transformers import BertConfig

from ..errors import CourseError, some
from ..language import N_, _
from ..recipe import Recipe

KEYS = ("layer_T", "layer_S", "feature", "loss", "weight", "proj")  # of a match; the last may be missing
ALL_HEADS = ("attention_mse_sum", "attention_ce_mean")  # the losses that take all heads of a map together
TWO_LAYERS = ("fsp", "gram", "nst", "mmd")  # those that compare pairs of layers
ANY_WIDTH = ("nst", "mmd")  # of these, the ones that compare positions
OF_MAPS = ("attention_ce", "attention_ce_mean")  # the cross-entropies of attention, head by head and of the heads' mean


def layer_pairs(teacher_layers: int, student_layers: int) -> list[tuple[int, int]]:
    """Pairs (teacher, student) of hidden states, evenly spread; 0 is the embeddings' output.

    12 to 6 layers: (0,0) (2,1) (4,2) … (12,6); 12 to 4: (0,0) (3,1) … (12,4); 6 to 6: (0,0) … (6,6).

    Raises:
        CourseError: the teacher's depth is not a multiple of the student's.
    """
    stride, rest = divmod(teacher_layers, student_layers)
    if rest or not stride:
        raise CourseError(
            "{student_layers} layers cannot be spread evenly over a teacher's {teacher_layers}",
            fix="a student whose number of layers divides the teacher's",
            student_layers=student_layers,
            teacher_layers=teacher_layers,
        )
    return [(stride * layer, layer) for layer in range(student_layers + 1)]


def hidden_matches(teacher: BertConfig, student: BertConfig, recipe: Recipe) -> list[dict]:
    """The hidden-state matches in TextBrewer's form, one per pair of layers.

    Each has its own linear projection from the student's width to the teacher's; where the two
    widths are equal, only if ``recipe.project_equal_widths`` (as the published code).

    Returns:
        A list of matches such as ``{"layer_T": 2, "layer_S": 1, "feature": "hidden", "loss": "hidden_mse"}``, with
        ``"weight"`` and, where the widths differ, ``"proj": ["linear", 64, 192]``. It is empty when
        ``recipe.hidden_weight`` is 0.
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


def match_names(matches: Sequence[dict]) -> list[str]:
    """What the loss of each match is called in metrics.jsonl: ``hidden 2-1``, ``attention mse sum 11-5``.

    The first number is the teacher's layer, the second the student's, as in the published tables. A second
    match of one name is ``hidden 2-1 #2``.
    """
    names, seen = [], Counter()
    for match in matches:
        kind = f"{match['feature']} {match['loss']}".replace("_", " ")
        kind = kind.replace("hidden hidden mse", "hidden").replace("attention attention", "attention")
        layers = [layer for side in ("T", "S") for layer in _listed(match[f"layer_{side}"])]
        name = f"{kind} {'-'.join(map(str, layers))}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return names


def match_loss(match: dict, ours: Sequence[Tensor], theirs: Sequence[Tensor], projection: nn.Module | None) -> Tensor:
    """The loss of a match, without its weight.

    Args:
        match: in TextBrewer's form; see :func:`check_matches`.
        ours, theirs: the student's and the teacher's states or attention maps, one per layer.
        projection: applied to the student's.
    """

    def pick(layers: Sequence[Tensor], which: int | list[int], turn: nn.Module | None) -> Tensor | list[Tensor]:
        chosen = [turn(layers[layer]) if turn else layers[layer] for layer in _listed(which)]
        return chosen if isinstance(which, list) else chosen[0]

    student, teacher = pick(ours, match["layer_S"], projection), pick(theirs, match["layer_T"], None)
    if match["loss"] in OF_MAPS:
        return maps_loss(student, teacher, mean=match["loss"] == "attention_ce_mean")
    return MATCH_LOSS_MAP[match["loss"]](student, teacher, mask=None)


def maps_loss(student: Tensor, teacher: Tensor, mean: bool) -> Tensor:
    """The cross-entropy of attention maps, [batch, heads, length, length] each: the mean over all rows of the maps.

    TextBrewer's own takes the softmax of the maps once more, as if these probabilities were logits. Over 128
    tokens that leaves a perfect copy and an unrelated map 0.1% apart, and next to no gradient.

    Args:
        student, teacher: who looks at whom; the rows of a map add up to 1, dropout aside.
        mean: average the heads first, so that their numbers may differ.
    """
    student, teacher = student.float(), teacher.float()
    if mean:
        student, teacher = student.mean(1), teacher.mean(1)
    logs = torch.where(student > 0, student, 1).log()  # what padding or dropout took away does not count
    return -(teacher * logs).sum(-1).mean()


def _listed(layers: int | list[int]) -> list[int]:
    return layers if isinstance(layers, list) else [layers]


def check_matches(matches: list[dict], teacher: BertConfig, student: BertConfig) -> None:
    """Refuse matches that cannot be computed.

    Args:
        matches: in TextBrewer's form, as :func:`hidden_matches` gives them.
        teacher, student: the two models.

    Raises:
        CourseError: an unknown key, feature, loss or projection, a layer that does not exist, widths
            or heads that do not fit. It names the match and what would do.
    """
    for number, match in enumerate(matches):
        where = _("match {number} ({match})").format(number=number, match=match)
        keys = ", ".join(KEYS)
        if missing := ", ".join(sorted({*KEYS[:-1]} - match.keys())):
            raise CourseError("no {names}", where=where, fix="a match has {keys}", names=missing, keys=keys)
        if strange := ", ".join(sorted(match.keys() - {*KEYS})):
            raise CourseError("unknown: {names}", where=where, fix="a match has {keys}", names=strange, keys=keys)
        _check_weight(match["weight"], where)
        _known(match["feature"], FEATURES, N_("feature"), where)
        _known(match["loss"], list(MATCH_LOSS_MAP), N_("loss"), where)
        for side, config in (("T", teacher), ("S", student)):
            _check_layers(match, side, config, where)
        if match["feature"] == "hidden":
            _check_widths(match, teacher.hidden_size, student.hidden_size, where)
        elif match.get("proj"):
            raise CourseError("maps of attention have no width to project", where=where, fix='leave "proj" out')
        elif match["loss"] not in ALL_HEADS and teacher.num_attention_heads != student.num_attention_heads:
            raise CourseError(
                "{theirs} heads of the teacher cannot be compared with {ours} of the student one by one",
                where=where,
                fix="use attention_mse_sum or attention_ce_mean, which take all heads together",
                theirs=teacher.num_attention_heads,
                ours=student.num_attention_heads,
            )


def _known(name: object, known: list[str], what: str, where: str) -> None:
    if name not in known:
        raise CourseError(
            "unknown {what} {name!r}",
            where=where,
            fix="one of {names}",
            what=_(what),
            name=name,
            names=", ".join(known),
        )


def _check_weight(weight: object, where: str) -> None:
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not (number and 0 <= weight < float("inf")):
        raise CourseError("the weight is {weight!r}", where=where, fix="a number from 0 up", weight=weight)


def _check_layers(match: dict, side: str, config: BertConfig, where: str) -> None:
    """A model of n layers has hidden states 0 to n (0: its embeddings) and attentions 0 to n - 1."""
    layers = match[f"layer_{side}"]
    several = isinstance(layers, list)
    if several != (match["loss"] in TWO_LAYERS) or (several and len(layers) != 2):
        raise CourseError(
            "layer_{side} is {layers!r}",
            where=where,
            fix="two layers in a list for {losses}, a number otherwise",
            side=side,
            layers=layers,
            losses=", ".join(TWO_LAYERS),
        )
    last = config.num_hidden_layers - (match["feature"] == "attention")
    for layer in _listed(layers):
        if not (isinstance(layer, int) and 0 <= layer <= last):
            model = {"T": _("teacher"), "S": _("student")}[side]
            raise CourseError(
                "the {model} has no {feature} {layer!r}",
                where=where,
                fix="layer_{side} is one of 0 to {last}",
                model=model,
                feature=match["feature"],
                layer=layer,
                side=side,
                last=last,
            )


def _check_widths(match: dict, teacher: int, student: int, where: str) -> None:
    projection = match.get("proj")
    if projection:
        _known(projection[0], list(PROJ_MAP), "projection", where)
        if len(projection) > 3:
            raise CourseError(
                "a projection with settings of its own: {settings}",
                where=where,
                fix="leave them out: all weights have the recipe's learning rate",
                settings=projection[3:],
            )
        if list(projection[1:]) != [student, teacher]:
            raise CourseError(
                "the projection leads from {begin} to {end}, the models from {student} to {teacher}",
                where=where,
                fix='"proj": ["{kind}", {student}, {teacher}]',
                begin=some(projection[1:2]),
                end=some(projection[2:3]),
                student=student,
                teacher=teacher,
                kind=projection[0],
            )
    elif student != teacher and match["loss"] not in ANY_WIDTH:
        raise CourseError(
            "a state {student} wide cannot be compared with one {teacher} wide",
            where=where,
            fix='add "proj": ["linear", {student}, {teacher}]',
            student=student,
            teacher=teacher,
        )
