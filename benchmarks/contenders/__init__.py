"""The contenders, by name. Each runs in its own process, and only that process imports its library."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass

from benchmarks.contenders.contender import Contender


@dataclass(frozen=True)
class Entry:
    """title: the head of its column; package: what must be installed; numpy_blas: whether NumPy's BLAS multiplies."""

    title: str
    module: str
    class_name: str
    package: str
    numpy_blas: bool = False

    @property
    def installed(self) -> bool:
        return importlib.util.find_spec(self.package) is not None

    def load(self) -> Contender:
        return getattr(
            importlib.import_module(f"benchmarks.contenders.{self.module}"), self.class_name
        )()


CONTENDERS = {
    "nanoae": Entry("nanoae", "nanoae", "Nanoae", "nanoae", numpy_blas=True),
    "torch": Entry("PyTorch", "torch", "Torch", "torch"),
    "compile": Entry("torch.compile", "torch", "TorchCompile", "torch"),
    "jax": Entry("JAX", "jax", "Jax", "optax"),
    "sklearn": Entry("scikit-learn", "sklearn", "Sklearn", "sklearn", numpy_blas=True),
    "gemm": Entry("bare GEMMs", "gemm", "Gemm", "numpy", numpy_blas=True),
}
ON_GPU = {
    "captured": Entry("nanoae", "gpu", "NanoaeCaptured", "nanoae"),
    "uncaptured": Entry("nanoae, uncaptured", "gpu", "NanoaeUncaptured", "nanoae"),
    "eager": Entry("PyTorch", "gpu", "TorchEager", "torch"),
    "torch-compile": Entry("torch.compile", "gpu", "TorchReduced", "torch"),
    "torch-graph": Entry("PyTorch, graph", "gpu", "TorchGraph", "torch"),
    "xla": Entry("JAX", "gpu", "JaxGpu", "optax"),
}
