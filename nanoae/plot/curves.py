"""Curves: the loss by epoch, and ROC curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nanoae.plot.axes import AXIS, GRID, INK, LEGEND, PALETTE, axes_for, matplotlib, named, verbatim

WORDS = {"loss": "train", "train_loss": "train", "val_loss": "validation"}


def loss(
    history: Mapping[str, Sequence[float]],
    *,
    ylabel: str = "loss",
    xlabel: str = "epoch",
    ticks: Sequence[object] | None = None,
    kept: int | None = None,
    title: str = "Loss",
    ax: Any = None,
) -> Any:
    """Plot each list of `history` by epoch, except the seconds. "loss" is labelled train, "val_loss" validation.
    -> Axes

    The legend shows the values at the epoch `kept` (counted from 1), whose weights the model has and which is marked;
    by default at the last epoch. The scale is logarithmic if the losses are positive and span more than a factor of 20.
    A loss that is not finite leaves a gap. `ticks`: labels on the x axis in place of 1, 2, 3, ...
    """
    curves = {
        name: np.asarray(values, dtype=float)
        for name, values in history.items()
        if np.size(values) and name != "seconds"
    }
    if not curves or any(curve.ndim != 1 for curve in curves.values()):
        raise ValueError(
            f"loss: expected lists of one loss per epoch, got {dict(history)}. Train first."
        )
    ax = named(axes_for(ax, 6.4, 3.8), title, xlabel, ylabel)
    longest = max(map(len, curves.values()))
    by_epoch = ticks is None and xlabel == "epoch"
    for i, (name, curve) in enumerate(curves.items()):
        at = len(curve) if kept is None else min(kept, len(curve))
        legend = verbatim(WORDS.get(name, name))
        if by_epoch:
            legend += f"  {curve[at - 1]:.4g}"
        ax.plot(
            np.arange(1, len(curve) + 1),
            curve,
            color=PALETTE[i % 10],
            linewidth=2,
            marker="o",
            markersize=5 if len(curve) <= 30 else 0,
            label=legend,
        )
        if kept is not None:
            ax.plot(
                [at],
                [curve[at - 1]],
                "o",
                color=PALETTE[i % 10],
                markersize=8,
                markeredgecolor="white",
            )
    if kept is not None:
        ax.axvline(
            kept, color=AXIS, linewidth=1, linestyle="--", label=f"weights kept: epoch {kept}"
        )
    readable_scale(ax, np.concatenate(list(curves.values())))
    ax.set_xlim(0.5, longest + 0.5)
    if ticks is None:
        ax.locator_params(axis="x", integer=True, min_n_ticks=1)
    else:
        ax.set_xticks(range(1, len(ticks) + 1), map(str, ticks))
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.legend(**LEGEND)
    return ax


def readable_scale(ax: Any, losses: Any) -> None:
    """Use a logarithmic y axis with plain tick labels if the numbers span more than a factor of 20."""
    losses = losses[np.isfinite(losses)]
    if not losses.size:
        return
    low = losses.min()
    high = losses.max()
    if low > 0 and high > 20 * low:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        few = high < 1000 * low  # then also label 2 and 5 times powers of ten
        ax.yaxis.set_minor_locator(matplotlib().ticker.LogLocator(subs=(2, 5)))
        ax.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if few else "")


def roc(
    scores: Mapping[str, ArrayLike],
    abnormal: ArrayLike,
    *,
    title: str = "Abnormal rows found",
    ax: Any = None,
) -> Any:
    """Plot the ROC curve of each score (N,), higher for more abnormal rows: the share of `abnormal` rows (N,) above a
    threshold over the share of the others above it. The legend shows the area under the curve. -> Axes"""
    bad = np.asarray(abnormal, dtype=bool)
    curves = {name: np.asarray(values, dtype=float) for name, values in scores.items()}
    if (
        not curves
        or bad.ndim != 1
        or bad.all()
        or not bad.any()
        or any(c.shape != bad.shape for c in curves.values())
    ):
        raise ValueError(
            "roc: expected scores (N,) and a mask of abnormal rows (N,), some but not all True, got "
            f"{[c.shape for c in curves.values()]} and {bad.shape}."
        )
    ax = named(
        axes_for(ax, 4.6, 4.8),
        title,
        "false positive rate: share of normal rows",
        "true positive rate: share of abnormal rows",
    )
    ax.plot([0, 1], [0, 1], color=AXIS, linewidth=1)
    for i, (name, values) in enumerate(curves.items()):
        order = np.argsort(-values, kind="stable")
        # The last row of each distinct score: equal scores share a threshold
        last = np.append(np.diff(values[order]) != 0, True)
        share_found = np.cumsum(bad[order]) / bad.sum()
        share_alarmed = np.cumsum(~bad[order]) / (~bad).sum()
        found = np.append(0, share_found[last])
        alarms = np.append(0, share_alarmed[last])
        heights = found[1:] + found[:-1]
        area = np.sum(np.diff(alarms) * heights / 2)
        ax.plot(
            alarms, found, color=PALETTE[i % 10], linewidth=2, label=f"{verbatim(name)}  {area:.3f}"
        )
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), box_aspect=1)
    legend = ax.legend(title="area under the curve", loc="lower right", title_fontsize=9, **LEGEND)
    legend.get_title().set_color(INK)
    return ax
