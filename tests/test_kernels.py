"""Do the CUDA kernels compute what `Ops` computes? They run here on the CPU (`cuda_shim.py`), from the same source."""

import ctypes
import os
import re
from importlib import metadata
from pathlib import Path

import cuda_shim
import numpy as np
import pytest

from nanoae.backend import Ops, kernels
from nanoae.backend.kernels import KernelOps
from nanoae.backend.layer_ops import Window

SOURCE = Path(kernels.__file__).with_suffix(".cu")
on_the_cpu = pytest.mark.skipif(cuda_shim.COMPILER is None, reason=cuda_shim.NEEDS_COMPILER)


class ShimOps(KernelOps):
    """KernelOps on NumPy arrays; `launched` are the kernels that ran."""

    def __init__(self):
        super().__init__()
        self.launched = []

    def _compile(self, source, options):
        return cuda_shim.RawModule(code=source, options=options)

    def _launch(self, name, *arguments):
        self.launched.append(name)
        super()._launch(name, *arguments)


shim = ShimOps()  # one for all tests: the memory it keeps for sums has to be clean after each


class Numbers:
    """Random arrays for one case, the same ones each time, amid NaN: what reads beyond them gets one, and `untouched`
    says whether something wrote there."""

    GUARD = 64

    def __init__(self, dtype):
        self.rng, self.dtype, self.memory = np.random.default_rng(0), np.dtype(dtype), []

    def empty(self, *shape):
        memory = np.full(int(np.prod(shape)) + 2 * self.GUARD, np.nan, self.dtype)
        self.memory.append(memory)
        return memory[self.GUARD : -self.GUARD].reshape(shape)

    def __call__(self, *shape):
        out = self.empty(*shape)
        out[...] = self.rng.standard_normal(shape)
        return out

    def positive(self, *shape):
        out = self(*shape)
        return np.abs(out, out=out)

    def integers(self, high, *shape):
        return self.rng.integers(0, high, shape)

    def untouched(self):
        return all(np.isnan([memory[: self.GUARD], memory[-self.GUARD :]]).all() for memory in self.memory)


def window(n):
    """Windows of images: kernel, stride, padding."""
    return Window(*[((2, 2), (2, 2), (0, 0)), ((3, 2), (2, 1), (1, 1)), ((3, 3), (1, 2), (0, 1))][n % 3])


def image(x, n):
    """An image (C, H, W, N), what its windows' steps are, and the window."""
    w = window(n)
    return x(2, 7, 6, n), (2, *w.outputs((7, 6)), n), w


def written(*arrays):
    return arrays


FUSED = [("relu", ()), ("leaky_relu", (0.2,)), ("elu", (0.7,)), ("sigmoid", ()), ("tanh", ()), ("softplus", ())]
CASES = {  # name -> case(ops, x, n): what a primitive gave or wrote, for n rows or so; x = Numbers
    "relu": lambda ops, x, n: written(ops.relu(x(n, 11), out=x.empty(n, 11))),
    "relu in place": lambda ops, x, n: written(ops.relu(y := x(n, 11), out=y)),
    "relu, new": lambda ops, x, n: written(ops.relu(x(n, 11))),
    "leaky_relu": lambda ops, x, n: written(ops.leaky_relu(x(n, 11), 0.2, out=x.empty(n, 11))),
    "elu": lambda ops, x, n: written(ops.elu(x(n, 11), 0.7, out=x.empty(n, 11))),
    "sigmoid": lambda ops, x, n: written(ops.sigmoid(x(n, 11), out=x.empty(n, 11))),
    "sigmoid of columns": lambda ops, x, n: written(ops.sigmoid(x(n, 11).T, out=x.empty(n, 11).T)),
    "sigmoid, batch last": lambda ops, x, n: written(ops.sigmoid((y := x(2, 3, 2, n).transpose(3, 0, 1, 2)), out=y)),
    "tanh": lambda ops, x, n: written(ops.tanh(x(n, 11), out=x.empty(n, 11))),
    "softplus": lambda ops, x, n: written(ops.softplus(50 * x(n, 11), out=x.empty(n, 11))),
    "affine_activation": lambda ops, x, n: written(
        *(ops.affine_activation(x(n, 5), x(5, 9), x(9), f, a, out=x.empty(n, 9)) for f, a in FUSED)
    ),
    "activation_backward_bias": lambda ops, x, n: written(
        *(ops.activation_backward_bias(x(n, 70), x(n, 70), f, a, x.empty(70), out=x.empty(n, 70)) for f, a in FUSED)
    ),
    "softmax": lambda ops, x, n: written(ops.softmax(50 * x(n, 300), out=x.empty(n, 300))),
    "clip": lambda ops, x, n: written(ops.clip(x(n, 11), -1, 0.5, out=x.empty(n, 11))),
    "relu_backward": lambda ops, x, n: written(ops.relu_backward(x(n, 11), x(n, 11), out=x.empty(n, 11))),
    "leaky_relu_backward": lambda ops, x, n: written(ops.leaky_relu_backward(dy := x(n, 9), x(n, 9), 0.2, out=dy)),
    "elu_backward": lambda ops, x, n: written(ops.elu_backward(x(n, 11), x(n, 11), 0.7, out=x.empty(n, 11))),
    "sigmoid_backward": lambda ops, x, n: written(ops.sigmoid_backward(x(n, 11), x(n, 11), out=x.empty(n, 11))),
    "tanh_backward": lambda ops, x, n: written(ops.tanh_backward(x(n, 11), x(n, 11))),
    "softplus_backward": lambda ops, x, n: written(ops.softplus_backward(x(n, 9), x.positive(n, 9), out=x.empty(n, 9))),
    "clip_backward": lambda ops, x, n: written(ops.clip_backward(x(n, 9), x(n, 9), -0.5, 0.5, out=x.empty(n, 9))),
    "top_k_mask": lambda ops, x, n: written(ops.top_k_mask(x(n, 11), 3, out=x.empty(n, 11))),
    "mse": lambda ops, x, n: written(ops.mse(x(n, 11), x(n, 11), 0.3, out=(dy := x.empty(n, 11))), dy),
    "mse, batch last": lambda ops, x, n: written(
        ops.mse(x(2, 3, n).transpose(2, 0, 1), x(n, 2, 3), 0.3, out=(dy := x.empty(n, 2, 3))), dy
    ),
    "bce": lambda ops, x, n: written(ops.bce(20 * x(n, 11), x.positive(n, 11), 0.3, out=(dz := x.empty(n, 11))), dz),
    "l1": lambda ops, x, n: written(ops.l1(x(n, 11), x(n, 11), 0.3, out=(dy := x.empty(n, 11))), dy),
    "huber": lambda ops, x, n: written(ops.huber(x(n, 11), x(n, 11), 0.8, 0.3, out=(dy := x.empty(n, 11))), dy),
    "l1_norm": lambda ops, x, n: written(ops.l1_norm(x(n, 11), 0.3, out=(dx := x.empty(n, 11))), dx),
    "bernoulli_kl": lambda ops, x, n: written(ops.bernoulli_kl(x.positive(n), 0.1, 0.3, out=(dq := x.empty(n))), dq),
    "softmax_cross_entropy": lambda ops, x, n: written(
        ops.softmax_cross_entropy(9 * x(n, 300), x.integers(300, n), 0.3, out=(dz := x.empty(n, 300))), dz
    ),
    "softmax_cross_entropy, weights": lambda ops, x, n: written(
        ops.softmax_cross_entropy(x(n, 5), x.integers(5, n), 0.3, out=(dz := x.empty(n, 5)), weights=x(n)), dz
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
    "clip_norm": lambda ops, x, n: written(ops.clip_norm_inplace(x(n), 0.1), ops.clip_norm_inplace(x(n), 1e3)),
    "take_rows": lambda ops, x, n: written(ops.take_rows(x(9, 11), x.integers(9, n), out=x.empty(n, 11))),
    "take_rows of images": lambda ops, x, n: written(
        ops.take_rows(x.integers(256, 9, 4, 4).astype(np.uint8), x.integers(9, n), out=x.empty(n, 4, 4), scale=1 / 255)
    ),
    "take_rows, clipped": lambda ops, x, n: written(
        ops.take_rows(x(9, 3), x.integers(40, n) - 15, out=x.empty(n, 3), scale=2.0)
    ),
    "add_rows": lambda ops, x, n: written(ops.add_rows(x(n, 300), x.integers(9, n), out=x.empty(9, 300))),
    "sgd": lambda ops, x, n: written(ops.sgd_inplace(x(n), x(n), None, 0.1, 0.0, False)),
    "sgd, momentum": lambda ops, x, n: written(ops.sgd_inplace(x(n), x(n), u := x(n), 0.1, 0.9, False), u),
    "sgd, nesterov": lambda ops, x, n: written(ops.sgd_inplace(x(n), x(n), u := x(n), 0.1, 0.9, True), u),
    "adam": lambda ops, x, n: written(
        ops.adam_inplace(x(n), x(n), m := x(n), v := x.positive(n), 3, 0.1, 0.9, 0.99, 1e-8), m, v
    ),
    "im2col": lambda ops, x, n: written(
        ops.im2col((i := image(x, n))[0], i[2], out=x.empty(2, *i[2].kernel, *i[1][1:]))
    ),
    "col2im": lambda ops, x, n: written(
        ops.col2im(x(2, *(i := image(x, n))[2].kernel, *i[1][1:]), i[2], out=x.empty(*i[0].shape))
    ),
    "max_pool": lambda ops, x, n: written(ops.max_pool((i := image(x, n))[0], i[2], out=x.empty(*i[1]))),
    "max_pool_backward": lambda ops, x, n: written(
        y := Ops().max_pool(np.rint((i := image(x, n))[0], out=i[0]), i[2], out=x.empty(*i[1])),  # with ties
        ops.max_pool_backward(x(*i[1]), i[0], y, i[2], out=x.empty(*i[0].shape)),
    ),
    "sum_windows": lambda ops, x, n: written(ops.sum_windows((i := image(x, n))[0], i[2], 0.3, out=x.empty(*i[1]))),
    "spread_windows": lambda ops, x, n: written(
        ops.spread_windows(x(*(i := image(x, n))[1]), i[2], 0.3, out=x.empty(*i[0].shape))
    ),
    "sum_products_rows": lambda ops, x, n: written(ops.sum_products_rows(x(n, 5), x(n, 5), out=x.empty(n))),
    "sum_products_rows of columns": lambda ops, x, n: written(
        ops.sum_products_rows(x(50, n).T, x(50, n).T, out=x.empty(n))
    ),
    "center": lambda ops, x, n: written(ops.center(x(n, 70), mean := x(n), var := x(n), out=x.empty(n, 70)), mean, var),
    "center of columns": lambda ops, x, n: written(
        ops.center(x(70, n).T, mean := x(n), var := x(n), out=x.empty(70, n).T), mean, var
    ),
    "rsqrt": lambda ops, x, n: written(ops.rsqrt(x.positive(n), 1e-5, out=x.empty(n))),
    "affine_rows": lambda ops, x, n: written(ops.affine_rows(x(n, 9), x(n), x(n), out=x.empty(n, 9))),
    "affine_rows of columns": lambda ops, x, n: written(ops.affine_rows(x(9, n).T, x(n), x(n), out=x.empty(9, n).T)),
    "center_backward": lambda ops, x, n: written(
        ops.center_backward(x(n, 70), xc := x(n, 70), x(n), x(n), s := x.empty(n), p := x.empty(n), out=xc), s, p
    ),
    "center_backward of columns": lambda ops, x, n: written(
        ops.center_backward(x(70, n).T, x(70, n).T, x(n), x(n), s := x.empty(n), p := x.empty(n), out=x.empty(70, n).T),
        s,
        p,
    ),
    "gru_step": lambda ops, x, n: written(
        ops.gru_step(a := x(n, 21), x(n, 21), x(n, 7), gates=a, out=x.empty(n, 7)), a
    ),
    "gru_step_backward": lambda ops, x, n: written(
        ops.gru_step_backward(x(n, 7), g := x(n, 21), u := x(n, 21), x(n, 7), da=g, du=u, out=x.empty(n, 7)), g, u
    ),
    "reparametrise": lambda ops, x, n: written(ops.reparametrise(x(n, 6), x(n, 3), std := x.empty(n, 3), x(n, 3)), std),
    "reparametrise_backward": lambda ops, x, n: written(
        ops.reparametrise_backward(x(n, 3), x(n, 3), x(n, 3), x.empty(n, 6))
    ),
    "gaussian_kl": lambda ops, x, n: written(
        ops.gaussian_kl(x(n + 1, 6), x.positive(n + 1, 3), x(), 0.0, out=(dx := x.empty(n + 1, 6))), dx
    ),
    "gaussian_kl, free": lambda ops, x, n: written(
        ops.gaussian_kl(x(n + 1, 6), x.positive(n + 1, 3), x(), 0.2, out=(dx := x.empty(n + 1, 6))), dx
    ),
}


@on_the_cpu
@pytest.mark.parametrize("n", [0, 1, 37, 700])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_the_kernels_agree_with_numpy(name, dtype, n):
    tolerance = {"float32": 2e-6, "float64": 1e-14}[dtype]
    mine, theirs = Numbers(dtype), Numbers(dtype)
    shim.launched.clear()
    actual, expected = CASES[name](shim, mine, n), CASES[name](Ops(), theirs, n)
    assert shim.launched or n == 0, "no kernel ran"
    for a, e in zip(actual, expected, strict=True):
        assert a.shape == np.shape(e) and a.dtype == dtype
        np.testing.assert_allclose(a, e, rtol=100 * tolerance, atol=50 * tolerance * np.max(np.abs(e), initial=1))
    for a, e in zip(mine.memory, theirs.memory, strict=True):  # the arguments, too
        np.testing.assert_allclose(a, e, rtol=100 * tolerance, atol=50 * tolerance * np.nanmax(np.abs(e), initial=1))
    assert mine.untouched(), "a kernel wrote beyond its arrays"
    assert not any(tickets.any() for _, tickets in shim._parts.values())


@on_the_cpu
def test_every_kernel_is_run_by_these_tests():
    ops = ShimOps()
    for dtype in ("float32", "float64"):
        for case in CASES.values():
            case(ops, Numbers(dtype), 3)
    ours = re.findall(r"^KERNEL (\w+)\(|^TAKE_ROWS\(.*, (\w+)\)", SOURCE.read_text(encoding="utf-8"), re.MULTILINE)
    below = {"uniform", "keep_mask", "normal", "tick"}
    assert set(ops.launched) | below == {kernel or take for kernel, take in ours}


# ---------------------------------------------------------------- what the comparison above does not see


@on_the_cpu
@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "clip"])
def test_a_nan_stays_one(name):
    x = np.array([-1, np.nan, 2], "f")
    y = getattr(shim, name)(x, *{"leaky_relu": [0.1], "elu": [1.0], "clip": [-1, 1]}.get(name, []))
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))


@on_the_cpu
def test_a_nan_among_others_is_seen():
    x = np.array([[0, np.nan, 1, 2], [0, 1, 2, 3]], "f")
    np.testing.assert_array_equal(np.isnan(shim.softmax(x)), [[True] * 4, [False] * 4])
    y = shim.max_pool(x.reshape(1, 2, 4, 1), Window((1, 2), (1, 2), (0, 0)), out=np.empty((1, 2, 2, 1), "f"))
    np.testing.assert_array_equal(np.isnan(y.reshape(2, 2)), [[True, False], [False, False]])
    assert np.isnan(shim.clip_norm_inplace(x.copy(), 1.0)).all()


@on_the_cpu
def test_the_kinks(dtype):
    zero, dy = np.zeros(3, dtype), np.ones(3, dtype)
    assert not shim.relu_backward(dy, zero).any()
    assert (shim.leaky_relu_backward(dy, zero, 0.25) == 0.25).all()
    assert shim.l1(zero, zero, 1.0, out=(out := zero.copy())) == 0 and not out.any()
    assert not shim.clip_backward(dy, zero, 0.0, 1.0).any()


@on_the_cpu
def test_adam_and_sgd_read_the_step_and_the_rate_from_the_device(dtype):
    """What a captured graph needs: the host's numbers are in it for ever, these arrays are read anew."""
    theta, g, m, v = np.random.default_rng(0).random((4, 300)).astype(dtype)
    there = np.array(7, np.int64), np.array(0.01)
    for t, lr in ((7, 0.01), there):
        state = theta.copy(), m.copy(), v.copy()
        shim.adam_inplace(state[0], g, *state[1:], t, lr, 0.9, 0.999, 1e-8)
        momentum = shim.sgd_inplace(theta.copy(), g, m.copy(), lr, 0.9, True)
        if t == 7 and not isinstance(t, np.ndarray):
            first = *state, momentum
    for a, b in zip(first, (*state, momentum), strict=True):
        np.testing.assert_array_equal(a, b)


@on_the_cpu
def test_tick_starts_the_next_step():
    order, rows = np.random.default_rng(0).permutation(700), np.empty(300, np.int64)
    clock, lr, lrs = np.array([0, 41]), np.array(0.0), np.array([0.3, 0.2, 0.1])
    for i in range(3):
        shim._tick(clock, lr, lrs, order, rows)
        assert clock.tolist() == [i + 1, 42 + i] and lr == lrs[i]
        expected = order[300 * i : 300 * (i + 1)]
        np.testing.assert_array_equal(rows[: len(expected)], expected)
        assert (rows[len(expected) :] == order[-1]).all()


@on_the_cpu
def test_a_sum_has_the_same_bits_each_time_and_loses_few():
    x = np.random.default_rng(0).random((3000, 100)).astype("f")
    for sums in (shim.sum, shim.sum_rows, shim.sum_squares):
        first = sums(x)
        np.testing.assert_array_equal(sums(x), first)
        exact = getattr(Ops(), sums.__name__)(x.astype("d"))
        np.testing.assert_allclose(first, exact, rtol=3e-7)


@on_the_cpu
def test_other_arrays_go_the_way_of_ops():
    x = np.random.default_rng(0).standard_normal((6, 8))
    shim.launched.clear()
    np.testing.assert_array_equal(shim.relu(x[:, ::2]), np.maximum(x[:, ::2], 0))  # gaps
    np.testing.assert_array_equal(shim.relu(x[:, :6], out=np.empty((6, 6)).T), np.maximum(x[:, :6], 0))
    np.testing.assert_array_equal(shim.relu(np.array([-1, 2])), [0, 2])  # integers
    np.testing.assert_allclose(shim.relu(x.astype("e")), np.maximum(x.astype("e"), 0))
    assert shim.sum(np.array([1, 2])) == 3
    np.testing.assert_allclose(shim.sum_rows(x[:, ::2]), x[:, ::2].sum(0))
    assert not shim.launched
    np.testing.assert_allclose(shim.mse(x.astype("f"), x, 1.0, out=np.empty_like(x)), 0, atol=1e-10)
    assert "mse" not in shim.launched


# ---------------------------------------------------------------- randomness


def numpys(generator, draw):
    """NumPy's generator of the same words: draw number `draw` of a generator."""
    return np.random.Generator(np.random.Philox(key=int(generator.key), counter=[0, draw, 0, 0]))


@on_the_cpu
@pytest.mark.parametrize("n", [1, 7, 8, 4001])
def test_uniform_numbers_have_the_bits_of_numpys_philox(dtype, n):
    generator = shim.generator(5)
    for draw in range(3):  # the same launch, as often as a graph repeats it
        out = shim.uniform(generator, np.empty(n, dtype))
        np.testing.assert_array_equal(out, numpys(generator, draw).random(n, dtype))
    assert generator.state.tolist() == [3, 0]


@on_the_cpu
def test_masks_and_normal_numbers_are_made_of_these(dtype):
    generator, n = shim.generator(np.random.SeedSequence(7)), 5000
    mask = shim.keep_mask(generator, 0.3, 2, out=np.empty((n, 2), dtype))
    np.testing.assert_array_equal(mask, 2.0 * (numpys(generator, 0).random((n, 2), dtype) < dtype.type(0.3)))
    noise = shim.normal(generator, np.empty((2, n), dtype).T)
    u, v = numpys(generator, 1).random(2 * n, dtype).reshape(n, 2).T
    r = np.sqrt(-2 * np.log1p(-u))
    pairs = np.stack([r * np.cos(2 * np.pi * v), r * np.sin(2 * np.pi * v)], axis=1)
    np.testing.assert_allclose(noise.T.reshape(n, 2), pairs, atol=2e-6)
    assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03
    half = shim.uniform(generator, np.empty((n, 2), dtype)[:, 0])  # with gaps
    np.testing.assert_array_equal(half, numpys(generator, 2).random(n, dtype))
    assert sorted(shim.permutation(generator, 50)) == list(range(50))
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
    ctypes.CDLL(paths.get("libnvrtc-builtins") or paths["nvrtc-builtins64_"], ctypes.RTLD_GLOBAL)  # it looks for this
    return ctypes.CDLL(paths.get("libnvrtc") or paths["nvrtc64_"])


@pytest.mark.parametrize("real", kernels.FLOATS.values())
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_nvrtc_compiles_the_kernels(architecture, real):
    library, program = nvrtc(), ctypes.c_void_p()
    source, size = SOURCE.read_bytes(), ctypes.c_size_t()
    assert library.nvrtcCreateProgram(ctypes.byref(program), source, b"kernels.cu", 0, None, None) == 0
    options = [option.encode() for option in (f"-arch={architecture}", "-std=c++17", f"-Dreal={real}")]
    failed = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    assert not failed and not log.value, log.value.decode()
    library.nvrtcGetCUBINSize(program, ctypes.byref(size))
    assert size.value > 10_000
    library.nvrtcDestroyProgram(ctypes.byref(program))


def test_the_package_brings_the_source_along():
    assert SOURCE.is_file()
    assert "backend/*.cu" in (SOURCE.parents[2] / "pyproject.toml").read_text(encoding="utf-8")


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


@on_the_cpu
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
