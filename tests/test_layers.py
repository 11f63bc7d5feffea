"""Are the layers of images, normalisation and sequences what their names say? Against the loops of reference.py."""

import inspect
import math
import tracemalloc

import numpy as np
import pytest
import reference
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import nanoae
from nanoae import (
    GRU,
    MSE,
    Adam,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Embedding,
    Flatten,
    LayerNorm,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Reshape,
    Sequential,
    Tanh,
    TiedConvTranspose2d,
    Trainer,
    Upsample,
    check_gradients,
)
from nanoae.backend import Ops
from nanoae.backend.images import Window
from nanoae.engine.image import ImageLayer

rng = np.random.default_rng(0)
IMAGES = (3, 2, 5, 7)  # N, C, H, W: odd, and not square


def pair(value):
    return value if isinstance(value, tuple) else (value, value)


def tied(*arguments):
    source = Conv2d(*arguments)
    return [source, Tanh(), TiedConvTranspose2d(source)]


def build(parts, shape, ops="numpy", dtype="float64"):
    """A network whose every parameter is random: a bias or a beta of 0 would hide a mistake."""
    net = Sequential(parts).build(shape[1:], ops, dtype, random_state=0)
    net.theta[...] = net.ops.to_device(rng.standard_normal(len(net.theta)), net.dtype)
    return net


def values(layer, ops):
    return {name: ops.to_numpy(array).astype(np.float64) for name, array in layer.params.items()}


# ---------------------------------------------------------------- forward is the mathematics

WINDOWS = {  # kernel, stride, padding
    "plain": (3, 1, 0),
    "stride": (2, 2, 0),
    "stride > kernel": (2, 3, 0),
    "stride > kernel, padding": (1, 2, 1),
    "overlapping": (3, 2, 1),
    "padding = kernel": (2, 1, 2),
    "one pixel": (1, 1, 0),
    "the whole image": ((5, 7), 1, 0),
    "rows and columns apart": ((2, 4), (3, 2), (1, 2)),
}


@pytest.mark.parametrize("window", WINDOWS)
def test_convolutions(ops, dtype, device, close, window):
    kernel, stride, padding = WINDOWS[window]
    for n in (3, 1):
        x = rng.standard_normal((n, *IMAGES[1:]))
        conv = build([Conv2d(4, kernel, stride, padding)], x.shape, ops, dtype)
        y = conv.forward(device(x))
        close(
            y,
            reference.conv2d(x, *values(conv.layers[0], ops).values(), pair(stride), pair(padding)),
            scale=20,
        )
        assert y.shape[1:] == conv.output_shape

        z = rng.standard_normal((n, 3, 4, 3))
        transpose = (
            build([ConvTranspose2d(2, kernel, stride, padding)], z.shape, ops, dtype)
            if fits(z, window)
            else None
        )
        if transpose:
            W, b = values(transpose.layers[0], ops).values()
            y = transpose.forward(device(z))
            close(y, reference.conv_transpose2d(z, W, b, pair(stride), pair(padding)), scale=20)
            assert y.shape[1:] == transpose.output_shape


def fits(z, window):
    """Whether a transposed convolution leaves anything of its output."""
    return all(
        (m - 1) * s + k - 2 * p > 0
        for m, k, s, p in zip(z.shape[2:], *map(pair, WINDOWS[window]), strict=True)
    )


@pytest.mark.parametrize("extra", [1, (0, 2), (2, 1)])
def test_output_padding(ops, dtype, device, close, extra):
    z = rng.standard_normal((2, 3, 3, 2))
    net = build([ConvTranspose2d(2, 3, 3, 1, extra)], z.shape, ops, dtype)
    W, b = values(net.layers[0], ops).values()
    close(
        net.forward(device(z)),
        reference.conv_transpose2d(z, W, b, (3, 3), (1, 1), pair(extra)),
        scale=20,
    )


@pytest.mark.parametrize(
    "window",
    [name for name in WINDOWS if name not in ("padding = kernel", "stride > kernel, padding")],
)
@pytest.mark.parametrize("layer", [MaxPool2d, AvgPool2d])
def test_pooling(ops, dtype, device, close, layer, window):
    kernel, stride, padding = WINDOWS[window]
    definition = {MaxPool2d: reference.max_pool2d, AvgPool2d: reference.avg_pool2d}[layer]
    x = rng.standard_normal(IMAGES) - 2  # mostly negative: the padding must not win
    net = build([layer(kernel, stride, padding)], IMAGES, ops, dtype)
    close(net.forward(device(x)), definition(x, pair(kernel), pair(stride), pair(padding)), scale=2)


def test_a_pool_without_a_stride_does_not_overlap():
    assert build([MaxPool2d((2, 3))], IMAGES).output_shape == (2, 2, 2)


@pytest.mark.parametrize("factor", [1, 2, (3, 1), (2, 3)])
def test_upsample(ops, dtype, device, close, factor):
    x = rng.standard_normal(IMAGES)
    close(
        build([Upsample(factor)], IMAGES, ops, dtype).forward(device(x)),
        reference.upsample(x, pair(factor)),
    )


@pytest.mark.parametrize("shape", [(6, 5), IMAGES, (2, 3, 1, 1)], ids=str)
def test_batch_norm(ops, dtype, device, close, shape):
    x = 3 * rng.standard_normal(shape) + 5
    net = build([BatchNorm(momentum=0.3, eps=1e-3)], shape, ops, dtype)
    gamma, beta = values(net.layers[0], ops).values()
    running, m = {"mean": np.zeros(shape[1]), "var": np.ones(shape[1])}, x[:, 0].size
    for batch in (x, -2 * x):
        y, (mean, var) = reference.batch_norm(batch, gamma, beta, 1e-3)
        close(net.forward(device(batch), train=True), y, scale=10)
        running = {
            "mean": 0.7 * running["mean"] + 0.3 * mean,
            "var": 0.7 * running["var"] + 0.3 * var * m / (m - 1),
        }
        for name, array in net.layers[0].state.items():
            close(array, running[name], scale=50)
    expected, _ = reference.batch_norm(x, gamma, beta, 1e-3, **running)
    for _ in range(2):  # nothing is learned where nobody trains
        close(net.forward(device(x)), expected, scale=10)
    one = net.forward(device(x[:1]))  # a single example is enough
    close(one, expected[:1], scale=10)


def test_running_statistics_belong_to_the_network(ops):
    net = build([Conv2d(2, 3), BatchNorm()], IMAGES, ops, "float32")
    x = ops.to_device(rng.standard_normal(IMAGES), net.dtype)
    net.forward(x, train=True)
    y = ops.to_numpy(net.forward(x)).copy()
    assert len(net.state()) == 3
    np.testing.assert_allclose(ops.to_numpy(net.to(ops, "float32").forward(x)), y, rtol=1e-6)
    net.set_state([ops.to_numpy(array).copy() for array in net.state()])
    np.testing.assert_array_equal(ops.to_numpy(net.forward(x)), y)


@pytest.mark.parametrize(
    "x", [1e4 + rng.random((2000, 3)), 1e4 + rng.random((20, 3, 10, 10))], ids=["table", "images"]
)
def test_a_large_mean_does_not_cancel_the_variance(ops, x):
    """In float32 the mean of x² less the square of the mean would be noise here."""
    net = Sequential([BatchNorm()]).build(x.shape[1:], ops, "float32")
    x = x.astype(np.float32)
    y = ops.to_numpy(net.forward(ops.to_device(x), train=True))
    expected, _ = reference.batch_norm(x.astype(np.float64), np.ones(3), np.zeros(3), 1e-5)
    # 10,000 of 1e4 add up to a mean that is off by 0.01
    np.testing.assert_allclose(y, expected, atol=0.1)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_layer_norm(ops, dtype, device, close, axes):
    x = 3 * rng.standard_normal(IMAGES) + 5
    net = build([LayerNorm(axes, eps=1e-3)], IMAGES, ops, dtype)
    close(
        net.forward(device(x)),
        reference.layer_norm(x, *values(net.layers[0], ops).values(), 1e-3),
        scale=10,
    )


def test_shapes_keep_the_order(ops, device):
    x = rng.standard_normal(IMAGES)
    assert (
        ops.to_numpy(build([Flatten()], IMAGES, ops).forward(ops.to_device(x))) == x.reshape(3, -1)
    ).all()
    for shape in ((7, 2, 5), (-1, 7), [10, -1], (-1,)):
        y = ops.to_numpy(build([Reshape(shape)], IMAGES, ops).forward(ops.to_device(x)))
        assert (y == x.reshape(3, *shape)).all()
    # from batch-last memory and back
    net = build([Upsample(1), Flatten(), Reshape((2, 5, 7)), Upsample(1)], IMAGES, ops)
    assert (ops.to_numpy(net.forward(ops.to_device(x))) == x).all()


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.float64])
def test_embedding(ops, dtype, device, close, kind):
    words = rng.integers(0, 6, (3, 5)).astype(kind)
    net = build([Embedding(6, 4)], words.shape, ops, dtype)
    close(
        net.forward(ops.to_device(words), train=True),
        values(net.layers[0], ops)["W"][words.astype(int)],
    )
    dy = rng.standard_normal((3, 5, 4))
    net.backward(device(dy))
    close(
        net.layers[0].grads["W"],
        reference.add_rows(dy.reshape(-1, 4), words.astype(int).ravel(), 6),
        scale=5,
    )


@pytest.mark.parametrize("start", ["zero", "given"])
def test_gru(ops, dtype, device, close, start):
    x, h = rng.standard_normal((3, 4, 2)), rng.standard_normal((3, 5)) * (start == "given")
    for last in (False, True):
        net = build([GRU(5, last)], x.shape, ops, dtype)
        states = reference.gru(x, *values(net.layers[0], ops).values(), h)
        y = net.layers[0].forward(device(x), h=device(h) if start == "given" else None)
        close(y, states[:, -1] if last else states, scale=5)
        assert y.shape[1:] == net.output_shape


def test_a_sequence_can_be_continued(ops, dtype, device, close):
    """In two parts, the second from the state that the first left: this is how text is generated."""
    x, net = rng.standard_normal((3, 6, 2)), build([GRU(5)], (3, 6, 2), ops, dtype)
    whole = ops.to_numpy(net.forward(device(x))).copy()
    first = ops.to_numpy(net.forward(device(x[:, :4]))).copy()
    close(first, whole[:, :4])
    close(net.layers[0].forward(device(x[:, 4:]), h=device(first[:, -1])), whole[:, 4:])


# ---------------------------------------------------------------- adjoints: <A x, y> = <x, A' y>

sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
kernels = st.tuples(st.integers(1, 4), st.integers(1, 4))
paddings = st.tuples(st.integers(0, 3), st.integers(0, 3))


@settings(max_examples=75, deadline=None)
@given(
    sizes,
    kernels,
    kernels,
    paddings,
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.booleans(),
)
def test_a_transposed_convolution_is_the_adjoint(size, kernel, stride, padding, n, c, k, share):
    """<conv(x), y> = <x, convT(y)> with the same weights, for every geometry that PyTorch knows."""
    window = Window(kernel, stride, padding)
    assume(min(window.outputs(size)) >= 1)
    conv = Conv2d(k, kernel, stride, padding)
    net = Sequential([conv]).build((c, *size), "numpy", "float64", random_state=0)
    # columns that no step reached
    lost = tuple((m + 2 * p - w) % s for m, w, s, p in zip(size, *window, strict=True))
    transpose = (
        TiedConvTranspose2d(conv) if share else ConvTranspose2d(c, kernel, stride, padding, lost)
    )
    back = Sequential([transpose]).build(net.output_shape, "numpy", "float64", random_state=0)
    assert back.output_shape == (c, *size)
    if not share:
        transpose.params["W"][...] = conv.params["W"]
    x, y = rng.standard_normal((n, c, *size)), rng.standard_normal((n, *net.output_shape))
    left, right = (net.forward(x) * y).sum(), (x * back.forward(y)).sum()
    assert left == pytest.approx(right, rel=1e-10, abs=1e-10)


@settings(max_examples=50, deadline=None)
@given(sizes, kernels, kernels, paddings, st.integers(1, 2), st.integers(1, 3))
def test_convolution_of_any_geometry(size, kernel, stride, padding, n, c):
    assume(min(Window(kernel, stride, padding).outputs(size)) >= 1)
    net, x = (
        build([Conv2d(2, kernel, stride, padding)], (n, c, *size)),
        rng.standard_normal((n, c, *size)),
    )
    expected = reference.conv2d(x, *values(net.layers[0], net.ops).values(), stride, padding)
    np.testing.assert_allclose(net.forward(x), expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(sizes, kernels, kernels, paddings)
def test_primitives_on_windows_are_adjoints(size, kernel, stride, padding):
    window, ops = Window(kernel, stride, padding), nanoae.get_ops("numpy")
    outputs = window.outputs(size)
    assume(min(outputs) >= 1)
    x = rng.standard_normal((2, *size, 3))
    cols, y = rng.standard_normal((2, *kernel, *outputs, 3)), rng.standard_normal((2, *outputs, 3))
    unset = (
        np.full_like(cols, np.nan),
        np.full_like(x, np.nan),
        np.full_like(y, np.nan),
        np.full_like(x, np.nan),
    )
    ops.im2col(x, window, out=unset[0])
    ops.col2im(cols, window, out=unset[1])
    ops.sum_windows(x, window, 0.7, out=unset[2])
    ops.spread_windows(y, window, 0.7, out=unset[3])
    assert (unset[0] * cols).sum() == pytest.approx((x * unset[1]).sum(), rel=1e-10, abs=1e-10)
    assert (unset[2] * y).sum() == pytest.approx((x * unset[3]).sum(), rel=1e-10, abs=1e-10)


def test_scattering_is_the_adjoint_of_gathering(ops, dtype, device):
    x, rows, y = rng.standard_normal((5, 3)), np.array([4, 0, 4, 2]), rng.standard_normal((4, 3))
    gathered = (
        ops.to_numpy(ops.take_rows(device(x), device(rows), out=device(np.zeros((4, 3))))) * y
    )
    scattered = (
        ops.to_numpy(ops.add_rows(device(y), device(rows), out=device(np.full((5, 3), np.nan)))) * x
    )
    assert gathered.sum() == pytest.approx(scattered.sum(), rel=1e-5)


# ---------------------------------------------------------------- backward is the derivative

VARIANTS = {
    **{f"Conv2d, {name}": ([Conv2d, *window], IMAGES) for name, window in WINDOWS.items()},
    "Conv2d, one example": ([Conv2d, 3, 2, 1], (1, 2, 5, 7)),
    **{f"ConvTranspose2d, {name}": ([ConvTranspose2d, *window], (2, 3, 4, 3))
       for name, window in WINDOWS.items() if fits(np.empty((2, 3, 4, 3)), name)},
    "ConvTranspose2d, output padding": ([ConvTranspose2d, 3, 3, 1, (2, 1)], (2, 3, 3, 2)),
    "ConvTranspose2d, one example": ([ConvTranspose2d, 3, 2], (1, 3, 1, 1)),
    **{f"MaxPool2d, {name}": ([MaxPool2d, *window], IMAGES)
       for name, window in WINDOWS.items() if "padding" not in name},
    "MaxPool2d, padding": ([MaxPool2d, 3, 2, 1], IMAGES),
    "AvgPool2d, padding": ([AvgPool2d, 3, 2, 1], IMAGES),
    "AvgPool2d, stride > kernel": ([AvgPool2d, 2, 3], IMAGES),
    "Upsample": ([Upsample, (2, 3)], IMAGES),
    "BatchNorm, images": ([BatchNorm], IMAGES),
    "BatchNorm, one image": ([BatchNorm], (1, 2, 5, 7)),
    "BatchNorm, table": ([BatchNorm], (4, 5)),
    "LayerNorm, images": ([LayerNorm, 3], IMAGES),
    "LayerNorm, sequences": ([LayerNorm, 2], (3, 4, 2)),
    "GRU": ([GRU, 3], (3, 4, 2)),
    "GRU, last state": ([GRU, 3, True], (3, 4, 2)),
    "GRU, one example, one step": ([GRU, 3], (1, 1, 2)),
}  # fmt: skip
NETWORKS = {
    "tied": (tied(3, 3, 2, 1), IMAGES),
    "tied, stride > kernel": (tied(3, 2, 3), IMAGES),
    "one source, two tied": ([source := Conv2d(3, 3, 2), TiedConvTranspose2d(source), Tanh(), Conv2d(3, 3, 2), Tanh(),
                              TiedConvTranspose2d(source)], IMAGES),
    "deep": ([Conv2d(3, 3, 1, 1), Tanh(), BatchNorm(), MaxPool2d(2, 1), Conv2d(4, 2, 2), LayerNorm(3), Flatten(),
              Linear(6), Reshape((6, 1, 1)), ConvTranspose2d(2, (5, 7)), Tanh(), BatchNorm()], IMAGES),
    "GRU on GRU": ([GRU(3), LayerNorm(), GRU(2, last=True), BatchNorm(), Linear(2)], (4, 5, 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_gradients_of_every_element(ops, name):
    (layer, *arguments), shape = VARIANTS[name]
    parts = [layer(*([4] if layer in (Conv2d, ConvTranspose2d) else []), *arguments)]
    report = check_gradients(
        build(parts, shape, ops), rng.standard_normal(shape), elementwise=True, tolerance=1e-7
    )
    assert report.ok, f"\n{report}"


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_networks(ops, name):
    parts, shape = NETWORKS[name]
    # of its own: elsewhere a window may be near a tie
    x = np.random.default_rng(3).standard_normal(shape)
    report = check_gradients(build(parts, shape, ops), x)
    assert report.ok, f"\n{report}"


def test_gradients_behind_words(ops):
    net = build([Embedding(6, 3), GRU(4), Flatten(), Linear(2)], (3, 5), ops)
    report = check_gradients(net, rng.integers(0, 6, (3, 5)), elementwise=True)
    assert report.ok, f"\n{report}"


@pytest.mark.parametrize("last", [False, True])
def test_gradient_of_the_initial_state(ops, last):
    net, h = build([GRU(3, last)], (2, 4, 2), ops), rng.standard_normal((2, 3))
    gru, x, dy = (
        net.layers[0],
        ops.to_device(rng.standard_normal((2, 4, 2))),
        rng.standard_normal((2, *net.output_shape)),
    )

    def loss(h):
        return (ops.to_numpy(gru.forward(x, train=True, h=ops.to_device(h))) * dy).sum()

    loss(h)
    gru.backward(ops.to_device(dy))
    dh = ops.to_numpy(gru.dh).copy()
    for i in np.ndindex(h.shape):
        step = 1e-5 * (np.arange(h.size).reshape(h.shape) == np.ravel_multi_index(i, h.shape))
        assert dh[i] == pytest.approx((loss(h + step) - loss(h - step)) / 2e-5, rel=1e-6, abs=1e-8)


def test_the_first_of_equal_maxima_gets_the_gradient(ops, dtype, device, close):
    net = build([MaxPool2d(2, 1)], (1, 1, 3, 3), ops, dtype)
    x = np.array([[[[1.0, 1, 0], [1, 1, 2], [0, 2, 2]]]])
    close(net.forward(device(x), train=True), [[[[1, 2], [2, 2]]]])
    net.layers[0].need_dx = True
    dx = net.backward(device(np.array([[[[1.0, 10], [100, 1000]]]])))
    close(dx, [[[[1, 0, 0], [0, 0, 1010], [0, 100, 0]]]])


def test_the_first_layer_computes_no_dx(ops):
    for parts, shape in [
        *NETWORKS.values(),
        ([Embedding(9, 3), Flatten(), Linear(2)], (3, 5)),
        ([MaxPool2d(2), *tied(2, 2)], IMAGES),
    ]:
        net = Sequential(parts).build(shape[1:], ops, random_state=0)
        y = net.forward(ops.zeros(shape, net.dtype), train=True)
        assert net.backward(y.copy()) is None


# ---------------------------------------------------------------- memory: batches of any size and layout, reused

EVERYTHING = {
    "images": (lambda: [*tied(4, 3, 2, 1), Conv2d(3, 2), LeakyReLU(), BatchNorm(), MaxPool2d(2, 1), AvgPool2d(2),
                        Upsample(2), LayerNorm(3), ConvTranspose2d(2, 3, 2), Flatten(), Linear(4), BatchNorm()],
               (2, 9, 7)),
    "sequences": (lambda: [GRU(4), LayerNorm(), GRU(5, last=True), Linear(3)], (6, 2)),
    "words": (lambda: [Embedding(2, 4), GRU(5), Flatten(), Linear(3)], (6,)),
}  # fmt: skip


def some(name, n):
    shape = (n, *EVERYTHING[name][1])
    return (
        rng.integers(0, 2, shape).astype(float) if name == "words" else rng.standard_normal(shape)
    )


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_short_batch_gives_what_it_would_give_alone(ops, dtype, device, close, name):
    parts, shape = EVERYTHING[name]
    used, fresh = (Sequential(parts()).build(shape, ops, dtype, random_state=0) for _ in range(2))
    for n in (7, 3, 7, 8):  # shorter, and larger again
        x, dy = some(name, n), rng.standard_normal((n, *used.output_shape))
        fresh = Sequential(parts()).build(shape, ops, dtype, random_state=0)
        results = []
        for net in (used, fresh):
            y = ops.to_numpy(net.forward(device(x), train=True)).copy()
            net.backward(device(dy))
            results.append((y, ops.to_numpy(net.grad).copy()))
        for mine, alone in zip(*results, strict=True):
            close(mine, alone, scale=20)


LAYOUTS = {
    "Fortran order": np.asfortranarray,
    "batch innermost": lambda x: np.moveaxis(np.moveaxis(x, 0, -1).copy(), -1, 0),
    "every second": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "backwards": lambda x: x[::-1].copy()[::-1],
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", EVERYTHING)
def test_the_layout_of_an_array_does_not_matter(name, layout):
    parts, shape = EVERYTHING[name]
    net, x = build(parts(), (4, *shape)), some(name, 4)
    dy = rng.standard_normal((4, *net.output_shape))
    results = []
    for put in (np.array, LAYOUTS[layout]):
        mine = put(x), put(dy)
        for array in mine:
            array.flags.writeable = False
        y = net.forward(mine[0], train=True).copy()
        net.backward(mine[1])
        results.append((y, net.grad.copy()))
    for plain, other in zip(*results, strict=True):
        np.testing.assert_allclose(other, plain, rtol=1e-9, atol=1e-11)


def published(code):
    """The convolutional autoencoder of 1 x 28 x 28 that the presets train."""
    return [
        Conv2d(16, 3, 3, 1), LeakyReLU(), BatchNorm(), MaxPool2d(2, 2), Conv2d(32, 3, 2, 1), LeakyReLU(), BatchNorm(),
        MaxPool2d(2, 1), Conv2d(64, 2), LeakyReLU(), BatchNorm(), Flatten(), Linear(code), Tanh(),
        Linear(64), LeakyReLU(), Reshape((64, 1, 1)), ConvTranspose2d(32, 2), LeakyReLU(), BatchNorm(),
        ConvTranspose2d(16, 3, 2), LeakyReLU(), BatchNorm(), ConvTranspose2d(8, 5, 3, 1), LeakyReLU(), BatchNorm(),
        ConvTranspose2d(1, 2, 2, 1), Tanh(),
    ]  # fmt: skip


def test_shapes_of_the_published_autoencoder():
    net = Sequential(published(3)).build((1, 28, 28), random_state=0)
    shapes = [
        layer.out_shape
        for layer in net.layers
        if isinstance(layer, ImageLayer) and not isinstance(layer, BatchNorm)
    ]
    assert shapes == [(16, 10, 10), (16, 5, 5), (32, 3, 3), (32, 2, 2), (64, 1, 1), (32, 2, 2), (16, 5, 5), (8, 15, 15),
                      (1, 28, 28)]  # fmt: skip


def growth(net, x, t=None):
    """Bytes by which memory peaks above its level during four training steps, and the memory the layers hold."""
    trainer = Trainer(net, MSE(), Adam(), batch_size=len(x), epochs=1, rows=len(x))

    def steps():
        for n in (len(x), len(x) // 2 + 1) * 2:
            trainer.step(x[:n], (x if t is None else t)[:n])

    tracemalloc.start()
    try:
        steps()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        steps()
        return tracemalloc.get_traced_memory()[1] - before, sum(
            a.nbytes for part in net.layers for a in part.buffers.values()
        )
    finally:
        tracemalloc.stop()


SMALL = 160 * 1024  # NumPy's own buffers, of 8,192 numbers for each operand, and views
STEPS = {
    "published": lambda: (published(2), rng.standard_normal((100, 1, 28, 28)), None),
    "pools, tied, layer norm": lambda: (
        [*tied(16, 3, 2, 1), AvgPool2d(2), Upsample(2), LayerNorm(3)], rng.standard_normal((100, 1, 28, 28)), None),
    "words": lambda: ([Embedding(50, 32), GRU(64), LayerNorm(), GRU(64, last=True), Linear(8)],
                      rng.integers(0, 50, (64, 40)), rng.standard_normal((64, 8))),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_a_training_step_allocates_nothing(name):
    parts, x, t = STEPS[name]()
    net = Sequential(parts).build(x.shape[1:], random_state=0)
    peak, held = growth(net, x.astype(np.float32), None if t is None else t.astype(np.float32))
    assert held > 1 << 21 and peak < SMALL


# ---------------------------------------------------------------- how weights start


FAN_IN = [  # (layer for 32 channels, how many numbers an output sees)
    (Conv2d(64, 3, 2, init="he_normal"), 32 * 9),
    (ConvTranspose2d(64, 4, 2, init="he_normal"), 32 * 4),
    (ConvTranspose2d(64, 2, 3, init="he_normal"), 32),
    (ConvTranspose2d(64, (6, 3), (2, 3), init="he_normal"), 32 * 3),
]


@pytest.mark.parametrize(("layer", "seen"), FAN_IN, ids=repr)
def test_fan_in_is_what_an_output_sees(layer, seen):
    """Var[W] = 2 / fan_in, and so the outputs have twice the variance of the inputs, but at the border."""
    net = Sequential([layer]).build((32, 12, 12), random_state=0)
    assert layer.params["W"].var() == pytest.approx(2 / seen, rel=0.05)
    y = net.forward(rng.standard_normal((20, 32, 12, 12)).astype(np.float32))[:, :, 2:-2, 2:-2]
    assert y[y != 0].var() == pytest.approx(2, rel=0.2)


def test_an_embedding_starts_from_standard_normals():
    net = Sequential([Embedding(300, 50)]).build(5, random_state=0)
    assert net.theta.std() == pytest.approx(1, rel=0.02)


# ---------------------------------------------------------------- primitives


@pytest.mark.parametrize("kind", [kind for kind in Ops.__bases__], ids=lambda kind: kind.__name__)
def test_every_primitive_takes_out_and_none_knows_its_device(kind):
    primitives = {name: f for name, f in vars(kind).items() if inspect.isfunction(f)}
    for name, f in primitives.items():
        assert (
            "out" in inspect.signature(f).parameters
            or name.endswith("_inplace")
            or name in ("add_tap", "next_batch")
        )
    assert primitives.keys() & vars(Ops).keys() == set()
    assert "numpy as" not in inspect.getsource(inspect.getmodule(kind))


# ---------------------------------------------------------------- errors: class, expected, got, hint

REFUSED = {  # what no layer is made of
    r"Conv2d: expected kernel, a whole number >= 1 or a pair of them, got 0": lambda: Conv2d(3, 0),
    r"Conv2d: expected kernel, .* got \(1, 2, 3\)": lambda: Conv2d(3, (1, 2, 3)),
    r"Conv2d: expected stride, .* got 1.5": lambda: Conv2d(3, 2, 1.5),
    r"ConvTranspose2d: expected output_padding < stride 2, got 2": lambda: ConvTranspose2d(
        3, 2, 2, output_padding=2
    ),
    r"MaxPool2d: expected padding, a whole number >= 0": lambda: MaxPool2d(3, padding=-1),
    r"AvgPool2d: expected padding of at most half the kernel 3, got 2": lambda: AvgPool2d(
        3, padding=2
    ),
    r"Upsample: expected factor, .* got 0": lambda: Upsample(0),
    r"BatchNorm: expected momentum in \[0, 1\], got 2": lambda: BatchNorm(2),
}
UNFIT = {  # (layers, the shape they are built for): refused when built
    r"Conv2d\(.*\): expected a kernel that fits in the padded image of 5 x 6, got 6 x 3. Use a smaller kernel": (
        [Conv2d(3, (6, 3), padding=1)],
        (2, 3, 4),
    ),
    r"MaxPool2d\(kernel=3\): expected a kernel that fits in the padded image of 2 x 2": (
        [MaxPool2d(3)],
        (2, 2, 2),
    ),
    r"ConvTranspose2d\(.*\): expected an output of at least 1 x 1, got 0 x 3 from 1 x 4. Less padding": (
        [ConvTranspose2d(3, 2, padding=1)],
        (2, 1, 4),
    ),
    r"Conv2d\(.*\): expected images of shape \(N, C, H, W\), got \(N, 784\). A Reshape": (
        [Conv2d(3, 2)],
        (784,),
    ),
    r"Upsample\(.*\): expected images": ([Upsample(2)], (7, 8)),
    r"TiedConvTranspose2d\(.*\): expected inputs of shape \(N, 3, 2, 2\), .* got \(N, 3, 1, 1\)": (
        [source := Conv2d(3, 2), MaxPool2d(2), TiedConvTranspose2d(source)],
        (1, 3, 3),
    ),
    r"BatchNorm\(\): expected inputs of shape \(N, D\) or \(N, C, H, W\), got \(N, 5, 2\)": (
        [BatchNorm()],
        (5, 2),
    ),
    r"LayerNorm\(axes=2\): expected inputs of at least 2 axes .* got \(N, 5\)": (
        [LayerNorm(2)],
        (5,),
    ),
    r"Reshape\(.*\): expected a shape with 12 elements, like the input \(3, 4\), got \(5, -1\)": (
        [Reshape((5, -1))],
        (3, 4),
    ),
    r"Reshape\(.*\): expected a shape with 12 elements": ([Reshape((-1, -1))], (3, 4)),
    r"Embedding\(.*\): expected token ids of shape \(N, T\), got \(N, 5, 2\)": (
        [Embedding(6, 2)],
        (5, 2),
    ),
    r"GRU\(.*\): expected sequences of shape \(N, T, I\), got \(N, 5\). An Embedding": (
        [GRU(3)],
        (5,),
    ),
}
UNEXPECTED = {  # (layer, the shape it is built for, an input): refused when it comes
    r"Conv2d\(.*\): expected x of shape \(N, 1, 6, 6\), got \(2, 3, 6, 6\)": (
        Conv2d(3, 2),
        (1, 6, 6),
        np.ones((2, 3, 6, 6)),
    ),
    r"MaxPool2d\(.*\): expected x of shape \(N, 1, 6, 6\), got \(1, 6, 6\)": (
        MaxPool2d(2),
        (1, 6, 6),
        np.ones((1, 6, 6)),
    ),
    r"BatchNorm\(\): expected at least 2 values per feature in training, got 1. Use larger": (
        BatchNorm(),
        (3,),
        np.ones((1, 3)),
    ),
    r"Embedding\(.*\): expected token ids 0 .. 5, got 0 .. 6": (
        Embedding(6, 2),
        (2,),
        np.array([[0, 6]]),
    ),
    r"Embedding\(.*\): expected token ids 0 .. 5, got -1 .. 0": (
        Embedding(6, 2),
        (2,),
        np.array([[0.0, -1.0]]),
    ),
    r"Embedding\(.*\): expected token ids of shape \(N, T\), got \(5,\)": (
        Embedding(6, 2),
        (5,),
        np.ones(5),
    ),
    r"GRU\(.*\): expected x of shape \(N, T, 2\), got \(4, 5, 3\)": (
        GRU(3),
        (5, 2),
        np.ones((4, 5, 3)),
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_bad_settings_are_refused(message):
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()


@pytest.mark.parametrize("message", UNFIT)
def test_layers_that_do_not_fit_are_refused(message):
    parts, shape = UNFIT[message]
    with pytest.raises(ValueError, match=message):
        Sequential(parts).build(shape)


@pytest.mark.parametrize("message", UNEXPECTED)
def test_inputs_that_do_not_fit_are_refused(message):
    layer, shape, x = UNEXPECTED[message]
    net = Sequential([layer]).build(shape)
    with pytest.raises(ValueError, match=message):
        net.forward(x, train=True)


def test_layers_are_described_and_built_again():
    """JSON has no tuples: pairs come back as lists."""
    for parts, shape in (
        (published(2), (1, 28, 28)),
        (tied((3), (2, 3), (2, 1)), (2, 5, 7)),
        (EVERYTHING["words"][0](), (6,)),
    ):
        net = Sequential(parts).build(shape, random_state=0)
        twin = net.to("numpy", "float32")
        x = np.zeros((2, *shape), np.float32)
        assert (twin.forward(x) == net.forward(x)).all() and twin.output_shape == net.output_shape
    assert math.isclose(Conv2d(2, [1, 2]).window.area, 2)
