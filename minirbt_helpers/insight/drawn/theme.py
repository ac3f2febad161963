"""Fonts and colours of every picture in the course, and which model has which colour."""

from functools import cache
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from ...language import _
from ...names import SHAPES

# Okabe and Ito's colours: told apart by colour-blind readers, and by their lightness in grey.
PALETTE = {
    "teacher": "#0072B2",
    "assistant": "#E69F00",
    "student": "#D55E00",
    "one-stage": "#009E73",
    "other": "#7F7F7F",
    "accent": "#CC79A7",
}
# What a drawing's colours are called. "ink" and its like shade cells: the more, the farther from the paper, in one
# hue and evenly in lightness, so that the scale can be read in grey too.
THEMES = {
    "light": PALETTE
    | {
        "paper": "#FFFFFF",
        "text": "#1F2328",
        "faint": "#767C85",
        "line": "#C4C9D0",
        "ink": "#08306B",
        "outline": "#D55E00",
    }
    | {"teacher ink": "#004A80", "assistant ink": "#7D4F00", "student ink": "#9E3308", "one-stage ink": "#005C42"},
    "dark": {"teacher": "#4FB0E8", "assistant": "#F0B94D", "student": "#FF8F4A", "one-stage": "#3CCBA0"}
    | {"other": "#A0A6AE", "accent": "#E39CC6"}
    | {
        "paper": "#14171C",
        "text": "#E8EAED",
        "faint": "#9299A3",
        "line": "#474D57",
        "ink": "#B5D6FF",
        "outline": "#FF6A13",
    }
    | {"teacher ink": "#BCE4FF", "assistant ink": "#FFE3A8", "student ink": "#FFD0AD", "one-stage ink": "#B0F5DE"},
}

# The family's members, left to right as in its picture, and what they are in the course.
FAMILY = {
    "RBT4-H312": "one-stage",
    "RBT3": "other",
    "RoBERTa-wwm-ext": "teacher",
    "RBT6": "assistant",
    "MiniRBT-H288": "student",
    "MiniRBT-H256": "student",
}


def role_of(name: str) -> str:
    """The palette's key for a model: of the family, or by how its name begins (``"student, live"``); else other.

    A member of the family may go by its folder's name, and a name may begin in the language that is set.
    """
    return FAMILY.get(SHAPES.get(name, name)) or next(
        (role for role in PALETTE if name.startswith((role, _(role)))), "other"
    )


def colour_of(name: str) -> str:
    """The palette's colour for a model, see :func:`role_of`."""
    return PALETTE[role_of(name)]


def own_colour_of(name: str) -> str:
    """As :func:`colour_of`, with the two students told apart: for pictures where both stand in one panel."""
    return PALETTE["accent"] if SHAPES.get(name, name) == "MiniRBT-H288" else colour_of(name)


def ink_of(name: str) -> str:
    """What a drawing calls the colour that shades a model's attention."""
    ink = f"{role_of(name)} ink"
    return ink if ink in THEMES["light"] else "ink"


def prepare_figures() -> None:
    """Set matplotlib up for the course: a font with Chinese glyphs, the palette, quiet axes."""
    font = chinese_font()
    matplotlib.rcParams.update(
        {
            "font.family": [font, "DejaVu Sans"],
            "axes.unicode_minus": False,
            "axes.prop_cycle": matplotlib.cycler(color=list(PALETTE.values())),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
            "figure.dpi": 100,
            "figure.constrained_layout.use": True,
            "legend.frameon": False,
        }
    )


@cache
def chinese_font() -> str:
    """The name of a font with the glyphs of simplified Chinese, from a wheel, so that a bare machine has one."""
    font_manager.fontManager.addfont(font_file())
    return chinese_face().family_name


@cache
def chinese_face() -> FT2Font:
    """The simplified Chinese face of the collection (the first one draws 直 and 骨 the Japanese way)."""
    faces = (FT2Font(str(font_file()), face_index=index) for index in range(FT2Font(str(font_file())).num_faces))
    return next(face for face in faces if face.family_name.endswith("CJK SC"))


def font_file() -> Path:
    """The font collection of the wheel ``noto-cjk-sans-otc``."""
    import noto_cjk_sans_otc

    return next(Path(noto_cjk_sans_otc.__file__).parent.rglob("NotoSansCJK-Regular.ttc"))
