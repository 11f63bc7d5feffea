"""HostDataset: rows outside the device's memory. Each batch is copied to the device for its step."""

from __future__ import annotations

from typing import Any

import numpy as np


class HostDataset:
    """The rows of `host`, an array or Rows (N, ...), for training steps; call `fetch` before each."""

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
        """Return a slice, copied to the device; or within a step, the rows fetched for it."""
        if isinstance(rows, slice):
            return self.ops.to_device(self.host[rows])
        return self.batch[: len(rows)]

    def whole(self) -> Any:
        """Return all rows of a file on the device; they are read once."""
        if self.resident is None:
            self.resident = self.ops.dataset(np.asarray(self.host))
        return self.resident

    def fetch(self, rows: np.ndarray, most: int) -> None:
        """Copy these rows, at most `most`, to the buffer that the step reads."""
        if self.batch is None or len(self.batch) < most:
            shape = (most, *self.shape[1:])
            self.batch = self.ops.empty(shape, self.dtype)
        found = self.ops.to_device(self.host[rows])
        self.ops.copy(found, out=self.batch[: len(rows)])
