"""Profiles: rows of a table and their reconstructions, drawn as curves, one panel per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoae.plot.axes import INK, LEGEND, PALETTE, axes_for, named, verbatim

ACROSS = 5  # panels side by side
NAMED = 20  # maximum number of columns whose names are shown


def profiles(
    batches: Mapping[str, NDArray[Any]],
    n: int,
    columns: Sequence[str] | None,
    limits: tuple[float | None, float | None],
    title: str,
    ax: Any,
) -> Any:
    """Draw a panel for each of the first n samples, with a line over the features for each batch (N, D). -> Axes

    Up to NAMED columns, or named ones, are standardised by the first batch, since their units differ; more unnamed
    columns are treated as a curve and drawn as they are.
    """
    across = min(n, ACROSS)
    first = next(iter(batches.values()))
    d = first.shape[1]
    table = columns is not None or d <= NAMED
    down = ceil(n / across)
    ax = axes_for(ax, 0.8 + 2.1 * across, 1.6 + 1.5 * down)
    named(ax, title).set_axis_off()
    ends: tuple[float | None, float | None] = (None, None)
    shown = {name: values[:n] for name, values in batches.items()}
    if table:
        mean, deviation = scale(first)
        shown = {name: (values - mean) / deviation for name, values in shown.items()}
    else:
        ends = limits
    panels: list[Any] = []
    for i in range(n):
        row, column = divmod(i, across)
        place = (column / across, 1 - (row + 1) / down, 0.86 / across, 0.76 / down)
        panel = ax.inset_axes(place, sharey=panels[0] if panels else None)
        panels.append(named(panel))
        for k, (name, values) in enumerate(shown.items()):
            panel.plot(
                np.arange(1, d + 1),
                values[i],
                label=verbatim(name),
                marker="o" if d <= NAMED else None,
                markersize=3,
                color=PALETTE[(k - 1) % 10] if k else "#bbbbbb",
                linewidth=1.5 if k else 3,
            )
        panel.tick_params(labelleft=column == 0)
        ticks(panel, d, columns, last=i + across >= n)
    panels[0].set_ylim(*ends)
    panels[0].set_ylabel("standard\ndeviations" if table else "value", color=INK, fontsize=9)
    panels[0].legend(
        loc="lower left", bbox_to_anchor=(0, 1.02), ncols=len(shown), borderaxespad=0, **LEGEND
    )
    return ax


def ticks(panel: Any, d: int, columns: Sequence[str] | None, last: bool) -> None:
    """Label the x axes with column names in the last row of panels, if there is room; else with numbers."""
    if columns is not None and d <= NAMED:
        tick_labels = [""] * d
        if last:
            names = [str(name) for name in columns]
            short = [name if len(name) <= 14 else name[:13] + "…" for name in names]
            tick_labels = [*map(verbatim, short)]
        panel.set_xticks(range(1, d + 1), tick_labels, rotation=90, fontsize=7)
        return
    panel.locator_params(axis="x", integer=True, nbins=4)
    if last:
        panel.set_xlabel("feature", color=INK, fontsize=9)


def scale(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean and standard deviation (D,) of the columns; the latter is 1 for a constant column."""
    with np.errstate(invalid="ignore"):
        mean = np.nanmean(values, axis=0)
        deviation = np.nanstd(values, axis=0)
    return mean, np.where(deviation > 0, deviation, 1)
