"""Progress of long work: a tqdm bar, in a notebook one of its own, or a line for each round where tqdm is missing."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any


class Lines:
    """`items`, and after each a line on stderr: "training 3 of 10, loss 0.0123"."""

    def __init__(self, items: Iterable[Any], total: int | None, label: str):
        self.items = items
        self.label = label
        self.total = len(items) if total is None and isinstance(items, Sized) else total
        self.at = 0
        self.told = False

    def __iter__(self) -> Iterator[Any]:
        for item in self.items:
            self.at = self.at + 1
            self.told = False
            yield item
            if not self.told:
                self.set_postfix({})

    def set_postfix(self, values: Mapping[str, str]) -> None:
        self.told = True
        of = "" if self.total is None else f" of {self.total}"
        line = f"{self.label} {self.at}{of}" + "".join(
            f", {name} {value}" for name, value in values.items()
        )
        print(line.strip(), file=sys.stderr, flush=True)


def progress(
    items: Iterable[Any], total: int | None = None, label: str = "", show: bool = True
) -> Iterable[Any]:
    """`items`, with a bar on stderr while they are walked through."""
    if show:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            return Lines(items, total, label)
        bar: Iterable[Any] = tqdm(items, total=total, desc=label, leave=False, dynamic_ncols=True)
        return bar
    return items
