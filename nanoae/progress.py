"""Progress of long-running work: a tqdm bar (a notebook bar in notebooks), or one line per round without tqdm."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any


class Lines:
    """Iterate over `items` and print a line to stderr after each: "training 3 of 10, loss 0.0123"."""

    def __init__(self, items: Collection[Any], label: str):
        self.items = items
        self.label = label
        self.printed = False

    def __iter__(self) -> Iterator[Any]:
        for at, item in enumerate(self.items, 1):
            self.line = f"{self.label} {at} of {len(self.items)}".strip()
            self.printed = False
            yield item
            if not self.printed:
                self.set_postfix({})

    def set_postfix(self, values: Mapping[str, str]) -> None:
        self.printed = True
        printed = [self.line, *(f"{name} {value}" for name, value in values.items())]
        print(", ".join(printed), file=sys.stderr, flush=True)


def progress(items: Collection[Any], label: str, show: bool) -> Iterable[Any]:
    """Return an iterable over `items` that shows a progress bar on stderr if `show` is True."""
    if not show:
        return items
    shown: Iterable[Any] | None = bar(items, desc=label, leave=False, dynamic_ncols=True)
    return Lines(items, label) if shown is None else shown


def bar(items: Collection[Any] | None = None, **settings: Any) -> Any:
    """Return a tqdm bar with tqdm's own settings, or None if tqdm is not installed."""
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(items, **settings)
