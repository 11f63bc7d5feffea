"""Part: marks estimators that are fitted as a part of another one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

PART: ContextVar[bool] = ContextVar("part of another estimator", default=False)


@contextmanager
def part_of_another() -> Iterator[None]:
    """Suppress warnings about rows and about PCA for estimators fitted within the block."""
    token = PART.set(True)
    try:
        yield
    finally:
        PART.reset(token)
