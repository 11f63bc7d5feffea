"""Do the CUDA kernels compute what `Ops` computes? They run here on the CPU (`cuda_shim.py`), from the same source."""

import cuda_shim
import numpy as np
import pytest

from nanoae.backend import Ops
from nanoae.backend.kernels import KernelOps

pytestmark = pytest.mark.skipif(cuda_shim.COMPILER is None, reason=cuda_shim.NEEDS_COMPILER)


class ShimOps(KernelOps):
    """The launches of KernelOps on NumPy arrays; `launched` are the kernels that ran."""

    def __init__(self):
        super().__init__()
        self.launched = []

    def _compile(self, source, options):
        return cuda_shim.RawModule(code=source, options=options)

    def _launch(self, name, *arguments):
        self.launched.append(name)
        super()._launch(name, *arguments)


@pytest.fixture(scope="module")
def kernels():
    return ShimOps()


def test_first(kernels):
    x = np.random.default_rng(0).standard_normal((37, 11)).astype("f")
    for name in ("relu", "sigmoid", "tanh", "softplus"):
        np.testing.assert_allclose(getattr(kernels, name)(x), getattr(Ops(), name)(x), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(kernels.sum(x), x.sum(), rtol=1e-5)
    np.testing.assert_allclose(kernels.sum_rows(x), x.sum(0), rtol=1e-5)
