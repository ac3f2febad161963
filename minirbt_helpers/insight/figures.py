"""Fonts and colours of every picture in the course."""

from pathlib import Path

import matplotlib
from matplotlib import font_manager

# Okabe and Ito's colours: told apart by colour-blind readers, and by their lightness in grey.
PALETTE = {
    "teacher": "#0072B2",
    "assistant": "#E69F00",
    "student": "#D55E00",
    "one-stage": "#009E73",
    "other": "#7F7F7F",
    "accent": "#CC79A7",
}


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


def chinese_font() -> str:
    """The name of a font with Chinese glyphs, from the wheel ``noto-cjk-sans-otc``, so that a bare machine has one."""
    import noto_cjk_sans_otc

    file = next(Path(noto_cjk_sans_otc.__file__).parent.rglob("NotoSansCJK-Regular.ttc"))
    font_manager.fontManager.addfont(file)
    return font_manager.FontProperties(fname=file).get_name()
