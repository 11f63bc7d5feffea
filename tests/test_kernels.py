"""Do the CUDA kernels compute what `Ops` computes? They run here on the CPU (`cuda_shim.py`), from the same source."""

import ctypes
import os
import re
from importlib import metadata
from pathlib import Path

import cuda_shim
import numpy as np
import pytest

from nanoae.backend import BackendError, NoKernels, Ops, get_ops, kernels
from nanoae.backend.codes import LOGVAR_MAX
from nanoae.backend.images import Window
from nanoae.backend.kernel_ops import KernelOps
from nanoae.backend.native_ops import NativeOps, RecordedOps

SOURCE = Path(kernels.__file__).with_suffix(".cu")
LEFT_TO_NUMPY = {
    name
    for name in dir(Ops)
    if getattr(NativeOps, name) in (getattr(Ops, name), getattr(RecordedOps, name))
}


class Recorder:
    """`launched` are the kernels that ran."""

    def __init__(self):
        super().__init__()
        self.launched = []

    def _launch(self, name, *arguments):
        self.launched.append(name)
        super()._launch(name, *arguments)


class ShimOps(Recorder, KernelOps):
    """KernelOps on NumPy arrays."""

    def _compile(self, source, options):
        return cuda_shim.RawModule(code=source, options=options)


@pytest.fixture(
    scope="module", params=["shim", "native", pytest.param("cupy", marks=pytest.mark.gpu)]
)
def kernel_ops(request):
    """The same instance for all tests: the memory it keeps for sums has to be clean after each."""
    if request.param == "shim":
        return pytest.skip(cuda_shim.NEEDS_COMPILER) if cuda_shim.COMPILER is None else ShimOps()
    if request.param == "native":
        try:
            request.getfixturevalue("small_arrays_too")
            return type("RecordedNativeOps", (Recorder, NativeOps), {})()
        except NoKernels as error:
            pytest.skip(str(error))
    try:
        return type("GpuOps", (Recorder, type(get_ops("cupy"))), {})()
    except BackendError as error:
        pytest.skip(str(error))


def by_numpy(ops, name):
    """Whether a primitive is NumPy's also where there are kernels, on the CPU."""
    return isinstance(ops, NativeOps) and re.split("[ ,]", name)[0] in LEFT_TO_NUMPY


class Numbers:
    """Random arrays for one case, the same ones on each device, amid NaN: what reads beyond them gets one, and
    `untouched` says whether something wrote there."""

    GUARD = 64

    def __init__(self, ops, dtype):
        self.rng, self.ops, self.dtype, self.memory = (
            np.random.default_rng(0),
            ops,
            np.dtype(dtype),
            [],
        )

    def empty(self, *shape):
        memory = self.ops.to_device(
            np.full(int(np.prod(shape)) + 2 * self.GUARD, np.nan, self.dtype)
        )
        self.memory.append(memory)
        return memory[self.GUARD : -self.GUARD].reshape(shape)

    def put(self, numbers):
        out = self.empty(*np.shape(numbers))
        return self.ops.copy(self.ops.to_device(numbers, self.dtype).reshape(out.shape), out=out)

    def __call__(self, *shape):
        return self.put(self.rng.standard_normal(shape))

    def positive(self, *shape):
        return self.put(np.abs(self.rng.standard_normal(shape)))

    def codes(self, n, k):
        """[mu, logvar] (N, 2 K); logvar has values around 0 and around LOGVAR_MAX."""
        return self.put(
            self.rng.standard_normal((n, 2 * k)) + LOGVAR_MAX * self.rng.integers(0, 2, (n, 2 * k))
        )

    def deviations(self, n, k):
        """e^(min(logvar, LOGVAR_MAX) / 2) of these."""
        return self.put(np.exp(np.minimum(self.rng.standard_normal((n, k)) + 19.5, LOGVAR_MAX) / 2))

    def integers(self, high, *shape):
        return self.ops.to_device(self.rng.integers(0, high, shape))

    def contents(self):
        """All the memory, with the guards; these have to be NaN still."""
        arrays = [self.ops.to_numpy(memory) for memory in self.memory]
        assert all(np.isnan([a[: self.GUARD], a[-self.GUARD :]]).all() for a in arrays), (
            "written beyond an array"
        )
        return arrays


def window(n):
    """Windows of images: kernel, stride, padding."""
    return Window(
        *[((2, 2), (2, 2), (0, 0)), ((3, 2), (2, 1), (1, 1)), ((3, 3), (1, 2), (0, 1))][n % 3]
    )


def image(x, n):
    """An image (C, H, W, N), what its windows' steps are, and the window."""
    w = window(n)
    return x(2, 7, 6, n), (2, *w.outputs((7, 6)), n), w


def written(*arrays):
    return arrays


FUSED = [
    ("relu", ()),
    ("leaky_relu", (0.2,)),
    ("elu", (0.7,)),
    ("sigmoid", ()),
    ("tanh", ()),
    ("softplus", ()),
]
OF_X = [("gelu", ()), ("silu", ())]  # whose derivative is a function of x
ALL = FUSED + OF_X
CASES = {  # name -> case(ops, x, n): what a primitive gave or wrote, for n rows or so; x = Numbers
    "relu": lambda ops, x, n: written(ops.relu(x(n, 11), out=x.empty(n, 11))),
    "relu in place": lambda ops, x, n: written(ops.relu(y := x(n, 11), out=y)),
    "relu, new": lambda ops, x, n: written(ops.relu(x(n, 11))),
    "leaky_relu": lambda ops, x, n: written(ops.leaky_relu(x(n, 11), 0.2, out=x.empty(n, 11))),
    "elu": lambda ops, x, n: written(ops.elu(x(n, 11), 0.7, out=x.empty(n, 11))),
    "multiply": lambda ops, x, n: written(ops.multiply(x(n, 11), x(n, 11), out=x.empty(n, 11))),
    "multiply by a number": lambda ops, x, n: written(
        ops.multiply(x(n, 11), 0.3, out=x.empty(n, 11))
    ),
    "multiply, new": lambda ops, x, n: written(ops.multiply(x(n, 11), x(n, 11))),
    "scale_inplace": lambda ops, x, n: written(ops.scale_inplace(x(n, 11), 0.3)),
    "add_inplace": lambda ops, x, n: written(ops.add_inplace(x(n, 11), x(n, 11))),
    "decay_inplace": lambda ops, x, n: written(ops.decay_inplace(x(n), 0.1, 0.3)),
    "sigmoid": lambda ops, x, n: written(ops.sigmoid(x(n, 11), out=x.empty(n, 11))),
    "sigmoid of columns": lambda ops, x, n: written(ops.sigmoid(x(n, 11).T, out=x.empty(n, 11).T)),
    "sigmoid, batch last": lambda ops, x, n: written(
        ops.sigmoid((y := x(2, 3, 2, n).transpose(3, 0, 1, 2)), out=y)
    ),
    "tanh": lambda ops, x, n: written(ops.tanh(x(n, 11), out=x.empty(n, 11))),
    "softplus": lambda ops, x, n: written(ops.softplus(50 * x(n, 11), out=x.empty(n, 11))),
    "affine_activation": lambda ops, x, n: written(
        *(ops.affine_activation(x(n, 5), x(5, 9), x(9), f, a, out=x.empty(n, 9)) for f, a in FUSED)
    ),
    "affine_activation of x": lambda ops, x, n: written(
        *(
            array
            for f, a in OF_X
            for z in [x.empty(n, 9)]
            for array in (
                ops.affine_activation(x(n, 5), x(5, 9), x(9), f, a, out=x.empty(n, 9), z=z),
                z,
            )
        )
    ),
    "gelu": lambda ops, x, n: written(ops.gelu(4 * x(n, 11), out=x.empty(n, 11))),
    "gelu of columns": lambda ops, x, n: written(ops.gelu(x(n, 11).T, out=x.empty(n, 11).T)),
    "gelu_backward": lambda ops, x, n: written(
        ops.gelu_backward(x(n, 11), 4 * x(n, 11), out=x.empty(n, 11))
    ),
    "silu": lambda ops, x, n: written(ops.silu(4 * x(n, 11), out=x.empty(n, 11))),
    "silu, new": lambda ops, x, n: written(ops.silu(x(n, 11))),
    "silu_backward": lambda ops, x, n: written(
        ops.silu_backward(dy := x(n, 11), 4 * x(n, 11), out=dy)
    ),
    "activation_backward_bias": lambda ops, x, n: written(
        *(
            ops.activation_backward_bias(x(n, 70), x(n, 70), f, a, x.empty(70), out=x.empty(n, 70))
            for f, a in FUSED + OF_X
        )
    ),
    "softmax": lambda ops, x, n: written(ops.softmax(50 * x(n, 300), out=x.empty(n, 300))),
    "clip": lambda ops, x, n: written(ops.clip(x(n, 11), -1, 0.5, out=x.empty(n, 11))),
    "relu_backward": lambda ops, x, n: written(
        ops.relu_backward(x(n, 11), x(n, 11), out=x.empty(n, 11))
    ),
    "leaky_relu_backward": lambda ops, x, n: written(
        ops.leaky_relu_backward(dy := x(n, 9), x(n, 9), 0.2, out=dy)
    ),
    "elu_backward": lambda ops, x, n: written(
        ops.elu_backward(x(n, 11), x(n, 11), 0.7, out=x.empty(n, 11))
    ),
    "sigmoid_backward": lambda ops, x, n: written(
        ops.sigmoid_backward(x(n, 11), x(n, 11), out=x.empty(n, 11))
    ),
    "tanh_backward": lambda ops, x, n: written(ops.tanh_backward(x(n, 11), x(n, 11))),
    "softplus_backward": lambda ops, x, n: written(
        ops.softplus_backward(x(n, 9), x.positive(n, 9), out=x.empty(n, 9))
    ),
    "clip_backward": lambda ops, x, n: written(
        ops.clip_backward(x(n, 9), x(n, 9), -0.5, 0.5, out=x.empty(n, 9))
    ),
    "top_k_mask": lambda ops, x, n: written(ops.top_k_mask(x(n, 11), 3, out=x.empty(n, 11))),
    "mse": lambda ops, x, n: written(
        ops.mse(x(n, 11), x(n, 11), 0.3, out=(dy := x.empty(n, 11))), dy
    ),
    "mse, batch last": lambda ops, x, n: written(
        ops.mse(x(2, 3, n).transpose(2, 0, 1), x(n, 2, 3), 0.3, out=(dy := x.empty(n, 2, 3))), dy
    ),
    "bce": lambda ops, x, n: written(
        ops.bce(20 * x(n, 11), x.positive(n, 11), 0.3, out=(dz := x.empty(n, 11))), dz
    ),
    "l1": lambda ops, x, n: written(
        ops.l1(x(n, 11), x(n, 11), 0.3, out=(dy := x.empty(n, 11))), dy
    ),
    "huber": lambda ops, x, n: written(
        ops.huber(x(n, 11), x(n, 11), 0.8, 0.3, out=(dy := x.empty(n, 11))), dy
    ),
    "l1_norm": lambda ops, x, n: written(
        ops.l1_norm(x(n, 11), 0.3, out=(dx := x.empty(n, 11))), dx
    ),
    "bernoulli_kl": lambda ops, x, n: written(
        ops.bernoulli_kl(x.positive(n), 0.1, 0.3, out=(dq := x.empty(n))), dq
    ),
    "softmax_cross_entropy": lambda ops, x, n: written(
        ops.softmax_cross_entropy(
            9 * x(n, 300), x.integers(300, n), 0.3, out=(dz := x.empty(n, 300))
        ),
        dz,
    ),
    "softmax_cross_entropy, weights": lambda ops, x, n: written(
        ops.softmax_cross_entropy(
            x(n, 5), x.integers(5, n), 0.3, out=(dz := x.empty(n, 5)), weights=x(n)
        ),
        dz,
    ),
    "sum": lambda ops, x, n: written(ops.sum(x(n, 300))),
    "sum, with gaps": lambda ops, x, n: written(ops.sum(x(n, 300)[:, ::2])),
    "sum_squares": lambda ops, x, n: written(ops.sum_squares(x(n, 11))),
    "sum_products": lambda ops, x, n: written(ops.sum_products(x(n, 11), x(11, n).T)),
    "sum_rows": lambda ops, x, n: written(ops.sum_rows(x(n, 70), out=x.empty(70))),
    "sum_rows, new": lambda ops, x, n: written(ops.sum_rows(x(n, 3))),
    "sum_rows of columns": lambda ops, x, n: written(ops.sum_rows(x(7, 5 * n).T, out=x.empty(7))),
    "add_bias": lambda ops, x, n: written(ops.add_bias_inplace(x(n, 11), x(11))),
    "add_bias to columns": lambda ops, x, n: written(ops.add_bias_inplace(x(11, n).T, x(11))),
    "axpby": lambda ops, x, n: written(ops.axpby_inplace(x(n, 11), 2, x(n, 11), 0.3)),
    "clip_norm": lambda ops, x, n: written(
        ops.clip_norm_inplace(x(n), 0.1), ops.clip_norm_inplace(x(n), 1e3)
    ),
    "take_rows": lambda ops, x, n: written(
        ops.take_rows(x(9, 11), x.integers(9, n), out=x.empty(n, 11))
    ),
    "take_rows of images": lambda ops, x, n: written(
        ops.take_rows(
            x.integers(256, 9, 4, 4).astype(np.uint8),
            x.integers(9, n),
            out=x.empty(n, 4, 4),
            scale=1 / 255,
        )
    ),
    "take_rows, clipped": lambda ops, x, n: written(
        ops.take_rows(x(9, 3), x.integers(40, n) - 15, out=x.empty(n, 3), scale=2.0)
    ),
    "add_rows": lambda ops, x, n: written(
        ops.add_rows(x(n, 300), x.integers(9, n), out=x.empty(9, 300))
    ),
    "sgd": lambda ops, x, n: written(ops.sgd_inplace(x(n), x(n), None, 1, 0.1, 0.0, False)),
    "sgd, momentum": lambda ops, x, n: written(
        ops.sgd_inplace(x(n), x(n), u := x(n), 1, 0.1, 0.9, False), u
    ),
    "sgd, nesterov": lambda ops, x, n: written(
        ops.sgd_inplace(x(n), x(n), u := x(n), 1, 0.1, 0.9, True), u
    ),
    "adam": lambda ops, x, n: written(
        ops.adam_inplace(x(n), x(n), m := x(n), v := x.positive(n), 3, 0.1, 0.9, 0.99, 1e-8), m, v
    ),
    "im2col": lambda ops, x, n: written(
        ops.im2col((i := image(x, n))[0], i[2], out=x.empty(2, *i[2].kernel, *i[1][1:]))
    ),
    "col2im": lambda ops, x, n: written(
        ops.col2im(x(2, *(i := image(x, n))[2].kernel, *i[1][1:]), i[2], out=x.empty(*i[0].shape))
    ),
    "max_pool": lambda ops, x, n: written(
        ops.max_pool((i := image(x, n))[0], i[2], out=x.empty(*i[1]))
    ),
    "max_pool_backward": lambda ops, x, n: written(
        # with ties
        y := ops.max_pool(ops.xp.rint((i := image(x, n))[0], out=i[0]), i[2], out=x.empty(*i[1])),
        ops.max_pool_backward(x(*i[1]), i[0], y, i[2], out=x.empty(*i[0].shape)),
    ),
    "sum_windows": lambda ops, x, n: written(
        ops.sum_windows((i := image(x, n))[0], i[2], 0.3, out=x.empty(*i[1]))
    ),
    "spread_windows": lambda ops, x, n: written(
        ops.spread_windows(x(*(i := image(x, n))[1]), i[2], 0.3, out=x.empty(*i[0].shape))
    ),
    "sum_products_rows": lambda ops, x, n: written(
        ops.sum_products_rows(x(n, 5), x(n, 5), out=x.empty(n))
    ),
    "sum_products_rows of columns": lambda ops, x, n: written(
        ops.sum_products_rows(x(50, n).T, x(50, n).T, out=x.empty(n))
    ),
    "center": lambda ops, x, n: written(
        ops.center(x(n, 70), mean := x(n), var := x(n), out=x.empty(n, 70)), mean, var
    ),
    "center of columns": lambda ops, x, n: written(
        ops.center(x(70, n).T, mean := x(n), var := x(n), out=x.empty(70, n).T), mean, var
    ),
    "rsqrt": lambda ops, x, n: written(ops.rsqrt(x.positive(n), 1e-5, out=x.empty(n))),
    "affine_rows": lambda ops, x, n: written(
        ops.affine_rows(x(n, 9), x(n), x(n), out=x.empty(n, 9))
    ),
    "affine_rows of columns": lambda ops, x, n: written(
        ops.affine_rows(x(9, n).T, x(n), x(n), out=x.empty(9, n).T)
    ),
    "center_backward": lambda ops, x, n: written(
        ops.center_backward(
            x(n, 70), xc := x(n, 70), x(n), x(n), s := x.empty(n), p := x.empty(n), out=xc
        ),
        s,
        p,
    ),
    "center_backward of columns": lambda ops, x, n: written(
        ops.center_backward(
            x(70, n).T,
            x(70, n).T,
            x(n),
            x(n),
            s := x.empty(n),
            p := x.empty(n),
            out=x.empty(70, n).T,
        ),
        s,
        p,
    ),
    "gru_step": lambda ops, x, n: written(
        ops.gru_step(a := x(n, 21), x(n, 21), x(n, 7), gates=a, out=x.empty(n, 7)), a
    ),
    "gru_step_backward": lambda ops, x, n: written(
        ops.gru_step_backward(
            x(n, 7), g := x(n, 21), u := x(n, 21), x(n, 7), da=g, du=u, out=x.empty(n, 7)
        ),
        g,
        u,
    ),
    "reparametrise": lambda ops, x, n: written(
        ops.reparametrise(x.codes(n, 3), x(n, 3), std := x.empty(n, 3), x(n, 3)), std
    ),
    "reparametrise_backward": lambda ops, x, n: written(
        ops.reparametrise_backward(x(n, 3), x(n, 3), x.deviations(n, 3), x.empty(n, 6))
    ),
    "gaussian_kl": lambda ops, x, n: written(
        ops.gaussian_kl(
            x.codes(n + 1, 3), x.deviations(n + 1, 3), x(), 0.0, out=(dx := x.empty(n + 1, 6))
        ),
        dx,
    ),
    "gaussian_kl, free": lambda ops, x, n: written(
        ops.gaussian_kl(
            x.codes(n + 1, 3), x.deviations(n + 1, 3), x(), 0.2, out=(dx := x.empty(n + 1, 6))
        ),
        dx,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_kernels_agree_with_numpy(kernel_ops, name, dtype):
    for n in (0, 1, 37, 700):
        check_agreement(kernel_ops, name, dtype, n)


def check_agreement(kernel_ops, name, dtype, n):
    tolerance = {"float32": 2e-6, "float64": 1e-14}[dtype.name]
    mine, theirs = Numbers(kernel_ops, dtype), Numbers(Ops(), dtype)
    kernel_ops.launched.clear()
    actual, expected = CASES[name](kernel_ops, mine, n), CASES[name](theirs.ops, theirs, n)
    assert kernel_ops.launched or n == 0 or by_numpy(kernel_ops, name), "no kernel ran"
    pairs = [*zip(map(kernel_ops.to_numpy, actual), expected, strict=True)]
    # the arguments, too
    for a, e in [*pairs, *zip(mine.contents(), theirs.contents(), strict=True)]:
        assert a.shape == np.shape(e) and a.dtype == dtype
        size = np.nanmax(np.abs(e), initial=1)
        np.testing.assert_allclose(a, e, rtol=100 * tolerance, atol=50 * tolerance * size)
    parts = [kept for key, kept in kernel_ops.buffers.items() if key[0] == "parts"]
    assert not any(kernel_ops.to_numpy(tickets).any() for _, tickets in parts)


def test_every_kernel_is_run_by_these_tests(kernel_ops):
    kernel_ops.launched.clear()
    for dtype in ("float32", "float64"):
        for case in CASES.values():
            case(kernel_ops, Numbers(kernel_ops, dtype), 3)
    ours = re.findall(
        r"^KERNEL\((\w+),|^TAKE_ROWS\(.*, (\w+)\)", SOURCE.read_text(encoding="utf-8"), re.MULTILINE
    )
    below = {"uniform", "keep_mask", "normal", "next_batch", "sfc64", "box_muller"}
    below |= {"matmul", "permute", "survey", "columns_outside", "standardize"}  # the CPU's own
    known = {kernel or take for kernel, take in ours} | below
    numpys = LEFT_TO_NUMPY if isinstance(kernel_ops, NativeOps) else set()
    assert set(kernel_ops.launched) | below == known - numpys | below


@pytest.fixture
def put(kernel_ops):
    """put(x): x on the device, in its own type or in `dtype`."""
    return lambda x, dtype=None: kernel_ops.to_device(np.array(x, dtype))


# ---------------------------------------------------------------- what the comparison above does not see


@pytest.mark.parametrize(
    "name", ["relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "clip"]
)
def test_a_nan_stays_one(kernel_ops, put, name):
    arguments = {"leaky_relu": [0.1], "elu": [1.0], "clip": [-1, 1]}.get(name, [])
    y = getattr(kernel_ops, name)(put([-1, np.nan, 2], "f"), *arguments)
    np.testing.assert_array_equal(np.isnan(kernel_ops.to_numpy(y)), [False, True, False])


def test_a_nan_among_others_is_seen(kernel_ops, put):
    x = put([[0, np.nan, 1, 2], [0, 1, 2, 3]], "f")
    nan = lambda y: np.isnan(kernel_ops.to_numpy(y)).tolist()  # noqa: E731
    assert nan(kernel_ops.softmax(x)) == [[True] * 4, [False] * 4]
    assert nan(kernel_ops.clip_norm_inplace(x, 1.0)) == [[True] * 4] * 2
    x = put([[0, np.nan, 1, 2], [0, 1, 2, 3]], "f")
    y = kernel_ops.max_pool(
        x.reshape(1, 2, 4, 1), Window((1, 2), (1, 2), (0, 0)), out=put(np.zeros((1, 2, 2, 1)), "f")
    )
    assert nan(y.reshape(2, 2)) == [[True, False], [False, False]]
    if by_numpy(kernel_ops, "max_pool_backward"):
        return
    dx = kernel_ops.max_pool_backward(
        y,
        x.reshape(1, 2, 4, 1),
        y,
        Window((1, 2), (1, 2), (0, 0)),
        out=put(np.zeros((1, 2, 4, 1)), "f"),
    )
    # the last of a window that has none
    assert nan(dx.reshape(2, 4)) == [[False, True, False, False], [False] * 4]


def test_numbers_out_of_range_touch_no_other_memory(kernel_ops, put, dtype):
    """The host, which would refuse them, is not asked in a step."""
    around = put(np.ones((5, 2)), dtype)
    if by_numpy(kernel_ops, "add_rows"):
        pytest.skip("NumPy is asked, and refuses them")
    kernel_ops.add_rows(put(np.ones((4, 2)), dtype), put([1, -1, 3, 0]), out=around[1:4])
    assert kernel_ops.to_numpy(around).tolist() == [[1, 1], [1, 1], [1, 1], [0, 0], [1, 1]]
    for t in ([0, -1], [3, 0]):
        loss = kernel_ops.softmax_cross_entropy(
            put(np.zeros((2, 3)), dtype), put(t), 1.0, out=put(np.zeros((2, 3)), dtype)
        )
        assert np.isnan(kernel_ops.to_numpy(loss))


def test_the_kinks(kernel_ops, put, dtype):
    zero, dy = put(np.zeros(3), dtype), put(np.ones(3), dtype)
    assert not kernel_ops.relu_backward(dy, zero).any()
    assert (kernel_ops.leaky_relu_backward(dy, zero, 0.25) == 0.25).all()
    assert kernel_ops.l1(zero, zero, 1.0, out=dy) == 0 and not dy.any()
    assert not kernel_ops.clip_backward(put(np.ones(3), dtype), zero, 0.0, 1.0).any()


def test_adam_and_sgd_read_the_step_and_the_rate_from_the_device(kernel_ops, put, dtype):
    """What a captured graph needs: the host's numbers are in it for ever, these arrays are read anew."""
    numbers, results = np.random.default_rng(0).random((4, 300)), []
    for t, lr in ((7, 0.01), (put(7), put(0.01))):
        theta, g, m, v = map(put, numbers.astype(dtype))
        kernel_ops.adam_inplace(theta, g, m, v, t, lr, 0.9, 0.999, 1e-8)
        kernel_ops.sgd_inplace(g, theta, m, t, lr, 0.9, True)
        results.append([kernel_ops.to_numpy(x) for x in (theta, g, m, v)])
    np.testing.assert_array_equal(*results)


def test_next_batch_starts_the_next_step(kernel_ops, put):
    order, rows, lrs = (
        np.random.default_rng(0).permutation(700),
        put(np.zeros(300, np.int64)),
        np.array([0.3, 0.2, 0.1]),
    )
    clock, lr = put([0, 41]), put(0.0)
    for i in range(3):
        kernel_ops.next_batch(clock, lr, put(lrs), put(order), rows)
        assert clock.tolist() == [i + 1, 42 + i] and lr == lrs[i]
        taken, expected = kernel_ops.to_numpy(rows), order[300 * i : 300 * (i + 1)]
        np.testing.assert_array_equal(taken[: len(expected)], expected)
        assert (taken[len(expected) :] == order[-1]).all()


@pytest.mark.parametrize("name", ["sum", "sum_rows", "sum_squares"])
def test_a_sum_has_the_same_bits_each_time_and_loses_few(kernel_ops, put, name):
    x = np.random.default_rng(0).random((3000, 100)).astype("f")
    first, second = (kernel_ops.to_numpy(getattr(kernel_ops, name)(put(x))) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, getattr(Ops(), name)(x.astype("d")), rtol=3e-7)


def test_other_arrays_go_the_way_of_ops(kernel_ops, put):
    x = np.random.default_rng(0).standard_normal((6, 8))
    equal = lambda a, e: np.testing.assert_allclose(kernel_ops.to_numpy(a), e, atol=1e-10)  # noqa: E731
    kernel_ops.launched.clear()
    equal(kernel_ops.relu(put(x)[:, ::2]), np.maximum(x[:, ::2], 0))  # gaps
    equal(kernel_ops.relu(put(x)[:, :6], out=put(np.zeros((6, 6))).T), np.maximum(x[:, :6], 0))
    equal(kernel_ops.relu(put([-1, 2])), [0, 2])  # integers
    equal(kernel_ops.relu(put(x, "e")), np.maximum(x.astype("e"), 0))
    equal(kernel_ops.sum(put([1, 2])), 3)
    equal(kernel_ops.sum_rows(put(x)[:, ::2]), x[:, ::2].sum(0))
    assert not kernel_ops.launched
    kernel_ops.mse(put(x, "f"), put(x), 1.0, out=put(x))
    assert "mse" not in kernel_ops.launched


# ---------------------------------------------------------------- randomness


def skip_where_numpy_draws(ops):
    if isinstance(ops, NativeOps):
        pytest.skip("the CPU's random numbers are NumPy's")


def numpys(generator, draw):
    """NumPy's generator of the same words: draw number `draw` of a generator."""
    return np.random.Generator(np.random.Philox(key=int(generator.key), counter=[0, draw, 0, 0]))


@pytest.mark.parametrize("n", [1, 7, 8, 4001])
def test_uniform_numbers_have_the_bits_of_numpys_philox(kernel_ops, dtype, n):
    skip_where_numpy_draws(kernel_ops)
    generator, out = kernel_ops.generator(5), kernel_ops.empty(n, dtype)
    for draw in range(3):  # the same launch, as often as a graph repeats it
        kernel_ops.uniform(generator, out)
        np.testing.assert_array_equal(
            kernel_ops.to_numpy(out), numpys(generator, draw).random(n, dtype)
        )
    assert generator.state.tolist() == [3, 0]


def test_masks_and_normal_numbers_are_made_of_these(kernel_ops, dtype):
    skip_where_numpy_draws(kernel_ops)
    ops, generator, n = kernel_ops, kernel_ops.generator(np.random.SeedSequence(7)), 5000
    mask = ops.to_numpy(ops.keep_mask(generator, 0.3, 2, out=ops.empty((n, 2), dtype)))
    np.testing.assert_array_equal(
        mask, 2.0 * (numpys(generator, 0).random((n, 2), dtype) < dtype.type(0.3))
    )
    noise = ops.to_numpy(ops.normal(generator, ops.empty((2, n), dtype).T).T)
    u, v = numpys(generator, 1).random(2 * n, dtype).reshape(n, 2).T
    r = np.sqrt(-2 * np.log1p(-u))
    pairs = np.stack([r * np.cos(2 * np.pi * v), r * np.sin(2 * np.pi * v)], axis=1)
    np.testing.assert_allclose(noise.reshape(n, 2), pairs, atol=2e-6)
    assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03
    half = ops.uniform(generator, ops.empty((n, 2), dtype)[:, 0])  # with gaps
    np.testing.assert_array_equal(ops.to_numpy(half), numpys(generator, 2).random(n, dtype))
    assert sorted(ops.permutation(generator, 50).tolist()) == list(range(50))
    assert generator.state.tolist() == [4, 0]


# ---------------------------------------------------------------- the compilers


def nvrtc():
    """NVIDIA's run-time compiler, which CuPy uses, too; it needs no GPU."""
    try:
        files = metadata.files("nvidia-cuda-nvrtc") or []
    except metadata.PackageNotFoundError:
        if os.environ.get("CI"):
            raise
        pytest.skip('pip install "nanoae[test]" brings NVRTC along where NVIDIA offers it')
    paths = {re.sub(r"[-.\d]*(so|dll)[.\d]*$", "", file.name): str(file.locate()) for file in files}
    # it looks for this
    ctypes.CDLL(paths.get("libnvrtc-builtins") or paths["nvrtc-builtins64_"], ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(paths.get("libnvrtc") or paths["nvrtc64_"])


@pytest.mark.parametrize("architecture, dtype", [("sm_80", "float32"), ("sm_90", "float64")])
def test_nvrtc_compiles_the_kernels(architecture, dtype):
    library, program = nvrtc(), ctypes.c_void_p()
    source, size = kernels.source("cuda.h").encode("ascii", "replace"), ctypes.c_size_t()
    assert (
        library.nvrtcCreateProgram(ctypes.byref(program), source, b"kernels.cu", 0, None, None) == 0
    )
    from_cupy = (f"-arch={architecture}", "-ftz=true", "--device-as-default-execution-space")
    options = [option.encode() for option in (*KernelOps()._options(np.dtype(dtype)), *from_cupy)]
    failed = library.nvrtcCompileProgram(
        program, len(options), (ctypes.c_char_p * len(options))(*options)
    )
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    assert not failed and not log.value, log.value.decode()
    library.nvrtcGetCUBINSize(program, ctypes.byref(size))
    assert size.value > 10_000
    library.nvrtcDestroyProgram(ctypes.byref(program))


def test_the_package_brings_the_source_along():
    assert SOURCE.is_file()
    project = (SOURCE.parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f'"backend/*.{kind}"' in project for kind in ("cu", "h", "cpp"))


SHIM_CASES = """
extern "C" __global__ void add(float* x, double a, long long n) { if (threadIdx.x < n) x[threadIdx.x] += a; }
extern "C" __global__ void reverse(float* x) {
    __shared__ float all[256];
    all[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = all[255 - threadIdx.x];
}
extern "C" __global__ void first_stays_away() { if (threadIdx.x) __syncthreads(); }
extern "C" __global__ void one_stays_away() { if (threadIdx.x != 7) __syncthreads(); }
"""


@pytest.mark.skipif(cuda_shim.COMPILER is None, reason=cuda_shim.NEEDS_COMPILER)
def test_the_shim_runs_barriers_and_refuses_what_cuda_would_take_in_silence():
    module, x = cuda_shim.RawModule(code=SHIM_CASES), np.arange(256, dtype="f")
    module.get_function("reverse")((1,), (256,), (x,))
    np.testing.assert_array_equal(x, np.arange(256)[::-1])
    for name in ("first_stays_away", "one_stays_away"):
        with pytest.raises(RuntimeError, match=f"{name}: some threads .* barrier"):
            module.get_function(name)((1,), (256,), ())
    module.get_function("reverse")((1,), (256,), (x,))  # and still works afterwards
    np.testing.assert_array_equal(x, np.arange(256))
    add = module.get_function("add")
    for wrong in [(x,), (x, 1.0, np.int64(3)), (x, np.float64(1), 3), (x.astype("d"), np.float64(1), np.int64(3)),
                  (x, np.int64(1), np.int64(3)), (np.uint64(8), np.float64(1), np.int64(3))]:  # fmt: skip
        with pytest.raises(TypeError, match=r"add: .*expected"):
            add((1,), (256,), wrong)
