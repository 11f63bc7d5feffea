"""Axes: what every figure starts from, its colours and its words.

matplotlib is imported by the first figure, never by `import nanoae`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Ten colours told apart with any colour vision (Petroff 2021, arXiv:2107.02270).
PALETTE = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
INK, AXIS, GRID = "#444444", "#999999", "#e6e6e6"
DPI = 150
LEGEND: Any = {"frameon": False, "fontsize": 10, "labelcolor": INK}

Maker = Callable[..., Any]  # (width, height in inches, full, **of the axes) -> Axes on a new figure


def matplotlib() -> Any:
    """matplotlib, also where MPLBACKEND names a backend that there is not."""
    loaded = "matplotlib" in sys.modules
    backend = os.environ.pop("MPLBACKEND", None)  # which it would end at
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError('figures need matplotlib: pip install "nanoae[cli]"') from error
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend and not loaded:
        with contextlib.suppress(ValueError):
            matplotlib.rcParams["backend"] = backend
    return matplotlib


def axes_for(
    ax: Axes | Maker | None,
    width: float,
    height: float,
    full: bool = False,
    **how: Any,
) -> Any:
    """`ax`, or where it is None a new figure's of pyplot, which notebooks and `plt.show()` show.

    full   the axes are to fill the figure, so that a pixel of an image is one of the file
    """
    if ax is None:
        return shown_axes(width, height, full, **how)
    return ax(width, height, full, **how) if callable(ax) else ax


def shown_axes(width: float, height: float, full: bool, **how: Any) -> Any:
    matplotlib()
    from matplotlib import pyplot

    margin = 0.8 if full else 0.0  # for titles and labels
    figure = pyplot.figure(
        figsize=(width + margin, height + margin), layout="constrained", facecolor="white"
    )
    return figure.add_subplot(**how)


def named(ax: Any, title: str = "", xlabel: str = "", ylabel: str = "") -> Any:
    """`ax`, plain and with its names."""
    if "top" in ax.spines:
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(AXIS)
    ax.tick_params(which="both", colors=INK, labelsize=9, length=3)
    ax.set_xlabel(xlabel, color=INK, fontsize=11)
    ax.set_ylabel(ylabel, color=INK, fontsize=11)
    if title:
        ax.set_title(title, color=INK, fontsize=12)
    return ax


def verbatim(text: Any) -> str:
    """A user's text as it stands: two $ would make a formula of what is between them."""
    return str(text).replace("$", r"\$")


def colour_bar(ax: Any, artist: Any, label: str) -> Any:
    """A colour bar beside the axes `ax`, or a grid of them, that says what its numbers are."""
    bar = artist.figure.colorbar(artist, ax=ax, shrink=0.8, pad=0.02)
    bar.set_label(label, color=INK, fontsize=10)
    bar.solids.set_alpha(1)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=INK, labelsize=9, length=2)
    return bar
