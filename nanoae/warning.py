"""Warnings that point at the user's line: the one that called nanoae, however deep inside the cause was found."""

from __future__ import annotations

import sys
import warnings


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the nearest line outside the package."""
    frame = sys._getframe(1)
    level = 2
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("nanoae."):
        frame = frame.f_back
        level += 1
    warnings.warn(message, category, stacklevel=level)
