"""Part: an estimator that is a part of another, which answers for the whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

PART: ContextVar[bool] = ContextVar("part of another estimator", default=False)


@contextmanager
def part_of_another() -> Iterator[None]:
    """In the block what is fitted is a part of another estimator: it tells nothing of its rows, nor of PCA's."""
    token = PART.set(True)
    try:
        yield
    finally:
        PART.reset(token)
