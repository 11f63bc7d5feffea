"""Progress of long work: a tqdm bar, in a notebook one of its own, where tqdm is installed; nothing where it is not."""

from __future__ import annotations

from collections.abc import Iterable


def progress(items: Iterable, total: int | None = None, label: str = "", show: bool = True):
    """`items`, with a bar on stderr while they are walked through."""
    if show:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            return items
        return tqdm(items, total=total, desc=label, leave=False, dynamic_ncols=True)
    return items
