"""Streamed: rows that do not stand where a training step computes. Each batch is brought there for its step."""

from __future__ import annotations

from typing import Any

import numpy as np


class Streamed:
    """The rows of `host`, an array or Rows (N, ...), for the steps of a training; `fetch` comes before each."""

    def __init__(self, ops: Any, host: Any):
        self.ops, self.host = ops, host
        self.shape, self.dtype, self.ndim = host.shape, host.dtype, host.ndim
        self.batch: Any = None

    def __len__(self) -> int:
        return len(self.host)

    def __getitem__(self, rows) -> Any:
        """A slice, copied to the device; or in a step, the rows that were fetched for it."""
        return (
            self.ops.to_device(self.host[rows])
            if isinstance(rows, slice)
            else self.batch[: len(rows)]
        )

    def fetch(self, rows: np.ndarray, most: int) -> None:
        """Bring these rows, at most `most`, to where the step finds them."""
        if self.batch is None or len(self.batch) < most:
            self.batch = self.ops.empty((most, *self.shape[1:]), self.dtype)
        self.batch[: len(rows)] = self.host[rows]
