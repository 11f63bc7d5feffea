"""The display of a fitted model in notebooks: a table of its layers and a small plot of its losses."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

from nanoae.plot.axes import PALETTE

WIDTH = 320
HEIGHT = 120
WORDS = {"loss": "training loss", "val_loss": "validation loss"}
COLOURS = dict(zip(WORDS, PALETTE, strict=False))


def table_and_curve(title: str, summary: str, history: Mapping[str, Sequence[float]]) -> str:
    """HTML of a model: `summary` in a fixed-width font, and the loss curves with their last values."""
    return (
        f'<div><b>{html.escape(title)}</b><div style="display:flex;gap:2em;flex-wrap:wrap">'
        f'<pre style="margin:0">{html.escape(summary)}</pre>{curve(history)}</div></div>'
    )


def curve(history: Mapping[str, Sequence[float]]) -> str:
    """The losses by epoch as SVG; "" without epochs."""
    lines = {
        name: [math.nan if value is None else value for value in history[name]]
        for name in COLOURS
        if history.get(name)
    }
    finite = [value for values in lines.values() for value in values if math.isfinite(value)]
    if not finite:
        return ""
    log = min(finite) > 0 and max(finite) > 20 * min(finite)
    scale = math.log if log else float
    low = scale(min(finite))
    high = scale(max(finite))
    span = (high - low) or 1
    drawn = ""
    values_shown = []
    for name, values in lines.items():
        across = (WIDTH - 10) / max(len(values) - 1, 1)
        places = []
        for i, value in enumerate(values):
            if math.isfinite(value):
                x = 5 + i * across
                y = 5 + (HEIGHT - 10) * (high - scale(value)) / span
                places.append(f"{x:.1f},{y:.1f}")
        points = " ".join(places)
        drawn += (
            f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>'
        )
        values_shown.append(
            f'<span style="color:{COLOURS[name]}">{WORDS[name]} {values[-1]:.4g}</span>'
        )
    epochs = len(next(iter(lines.values())))
    caption = f"{', '.join(values_shown)} after {epochs} epochs{', logarithmic' if log else ''}"
    drawing = f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="loss by epoch">{drawn}</svg>'
    return f"<div>{drawing}<br>{caption}</div>"
