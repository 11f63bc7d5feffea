"""Axes: the axes, colours and label styles of all figures.

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

# Ten colours that can be distinguished with any colour vision (Petroff 2021, arXiv:2107.02270).
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

# (width, height in inches, full, **axes options) -> Axes on a new figure
Maker = Callable[..., Any]


def matplotlib() -> Any:
    """Import matplotlib, even if MPLBACKEND names a backend that does not exist."""
    loaded = "matplotlib" in sys.modules
    backend = os.environ.pop("MPLBACKEND", None)  # importing would fail on an unknown name
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
    ax: Axes | Maker | None, width: float, height: float, full: bool = False, **how: Any
) -> Any:
    """`ax`, or, if it is None, the axes of a new pyplot figure, which notebooks and `plt.show()` display.

    full   let the axes fill the figure, so that image pixels are pixels of the file
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
    """`ax` in a plain style, with title and axis labels."""
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
    """A user's text, escaped: matplotlib would typeset text between two $ as a formula."""
    return str(text).replace("$", r"\$")


def colour_bar(ax: Any, artist: Any, label: str) -> Any:
    """Add a labelled colour bar beside the axes `ax`, or beside a grid of axes."""
    bar = artist.figure.colorbar(artist, ax=ax, shrink=0.8, pad=0.02)
    bar.set_label(label, color=INK, fontsize=10)
    bar.solids.set_alpha(1)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=INK, labelsize=9, length=2)
    return bar
