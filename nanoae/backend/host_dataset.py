"""HostDataset: rows that do not stand where a training step computes. Each batch is brought there for its step."""

from __future__ import annotations

from typing import Any

import numpy as np


class HostDataset:
    """The rows of `host`, an array or Rows (N, ...), for the steps of a training; `fetch` comes before each."""

    def __init__(self, ops: Any, host: Any):
        self.ops = ops
        self.host = host
        self.shape = host.shape
        self.dtype = host.dtype
        self.ndim = host.ndim
        self.batch: Any = None
        self.resident: Any = None

    def __len__(self) -> int:
        return len(self.host)

    def __getitem__(self, rows) -> Any:
        """A slice, copied to the device; or in a step, the rows that were fetched for it."""
        if isinstance(rows, slice):
            return self.ops.to_device(self.host[rows])
        return self.batch[: len(rows)]

    def whole(self) -> Any:
        """All rows of a file, on the device, which are read once."""
        if self.resident is None:
            self.resident = self.ops.dataset(np.asarray(self.host))
        return self.resident

    def fetch(self, rows: np.ndarray, most: int) -> None:
        """Bring these rows, at most `most`, to where the step finds them."""
        if self.batch is None or len(self.batch) < most:
            shape = (most, *self.shape[1:])
            self.batch = self.ops.empty(shape, self.dtype)
        found = self.ops.to_device(self.host[rows])
        self.ops.copy(found, out=self.batch[: len(rows)])
