"""Ops: every primitive of the engine, in plain NumPy.

This is the readable reference, and what the CPU runs without a compiler. Another device subclasses it and overrides
only what is worth it, with the same names and signatures. Every primitive either takes `out=` (a buffer it fills and
returns; None allocates one) or is called `..._inplace` (it writes to its first argument and returns it). Nothing else
is written, except the state of optimisers.

Shapes: N rows (the batch), D features, I/O inputs/outputs. Backward functions take `dy` = dLoss/dy and, if the
derivative is a function of the output, `y` itself.
"""

from __future__ import annotations

from nanoae.backend.array_ops import Array, Shape
from nanoae.backend.blas import openblas
from nanoae.backend.clusters import ClusterOps
from nanoae.backend.codes import CodeOps
from nanoae.backend.images import ImageOps
from nanoae.backend.losses import LossOps
from nanoae.backend.optimizers import OptimizerOps
from nanoae.backend.sequences import SequenceOps
from nanoae.backend.tables import TableOps

__all__ = ["Array", "Ops", "Shape"]


class Ops(LossOps, OptimizerOps, ImageOps, SequenceOps, CodeOps, TableOps, ClusterOps):
    """NumPy primitives, one file per subject. One instance per network."""

    def __reduce__(self):
        return type(self), ()

    def describe(self) -> str:
        """Describe the libraries and the device in use."""
        blas = openblas()
        return "numpy on the CPU" + (
            f", {blas.threads} threads of OpenBLAS ({blas.kernel} kernels)" if blas else ""
        )
