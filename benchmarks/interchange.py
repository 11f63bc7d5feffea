"""Interchange: random networks of all layers, as ONNX in onnxruntime and in nanoae: python -m benchmarks.interchange

Each network has up to eight layers that fit behind each other, on rows, images, words or a condition, in float32 or
float64, with running statistics and weights of a trained one's size. Hypothesis draws them.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import nanoae
from benchmarks.machine import machine
from benchmarks.table import markdown, save
from nanoae.autoencoders.concat_label import ConcatLabel, ConcatSharedLabel
from nanoae.autoencoders.teacher_forcing import TeacherForcing
from nanoae.engine.activations import ACTIVATIONS

NETWORKS = 400
LAYERS = 8  # at most
WORDS = 7
BOUND = 1e-5  # of the largest number that comes out


ELEMENTWISE = [*ACTIVATIONS.values(), nanoae.Dropout, nanoae.FillMissing]


def choices(draw, shape: tuple[int, ...], layers: list) -> list:
    """Layers that may come behind `layers`, whose output is of this shape; some do not fit."""
    small = st.integers(1, 4)
    norms = [nanoae.LayerNorm(draw(st.integers(1, len(shape)))), nanoae.BatchNorm()]
    if len(shape) == 1:
        dense = [
            nanoae.Linear(draw(st.integers(1, 12)), bias_init="small_normal") for _ in range(3)
        ]
        codes = [nanoae.Gaussian(), nanoae.GaussianNoise(0.3), nanoae.L1Sparsity(0.1)]
        # of equal numbers, as others give, any may be the largest
        if layers and isinstance(layers[-1], nanoae.Linear):
            codes += 6 * [nanoae.TopK(draw(small), 1.5)]
        shapes = [nanoae.Reshape((draw(small), draw(small), -1)), nanoae.Reshape((draw(small), -1))]
        return [*dense, *codes, *shapes, *norms, *partners(layers)]
    if len(shape) == 2:
        each = [
            nanoae.TimeDistributed(nanoae.Linear(draw(small))),
            nanoae.TimeDistributed(nanoae.Tanh()),
        ]
        return [
            *each,
            nanoae.GRU(draw(small), draw(st.booleans())),
            nanoae.Flatten(),
            *norms,
            *partners(layers),
        ]
    pairs = [
        st.tuples(sizes, sizes)
        for sizes in (st.integers(1, 3), st.integers(1, 2), st.integers(0, 1))
    ]
    kernel, stride, padding = map(draw, pairs)
    extra = tuple(min(s - 1, draw(st.integers(0, 1))) for s in stride)
    convolutions = [
        nanoae.Conv2d(draw(small), kernel, stride, padding, bias_init="small_normal"),
        nanoae.ConvTranspose2d(
            draw(small), kernel, stride, padding, extra, bias_init="small_normal"
        ),
    ]
    return [*convolutions, nanoae.Upsample(stride), nanoae.Flatten(), *pools(kernel, stride, padding), *norms,
            *partners(layers)]  # fmt: skip


def partners(layers: list) -> list:
    """Layers that use what one before them has."""
    of = {
        nanoae.Linear: nanoae.TiedLinear,
        nanoae.Conv2d: nanoae.TiedConvTranspose2d,
        ConcatLabel: ConcatSharedLabel,
    }
    found: list = [of[type(layer)](layer) for layer in layers if type(layer) in of]
    for layer in layers:
        if isinstance(layer, nanoae.Embedding):
            found += [nanoae.LastTimestep(layer), TeacherForcing(layer, 3)]
    return 9 * found  # which few networks can have


def pools(kernel, stride, padding) -> list:
    within = tuple(min(p, k // 2) for p, k in zip(padding, kernel, strict=True))
    return [nanoae.MaxPool2d(kernel, stride, within), nanoae.AvgPool2d(kernel, stride, within)]


@st.composite
def networks(draw) -> tuple[Any, np.ndarray]:
    """(a built network, rows for it)"""
    shape, first = draw(st.sampled_from([
        ((6,), []), ((2, 5, 6), []), ((4, 3), []), ((4,), [nanoae.Embedding(WORDS, 3)]), ((7,), [ConcatLabel((5,), 2)]),
        ((14,), [ConcatLabel((1, 3, 4), 2)])]))  # fmt: skip
    dtype, seed = draw(st.sampled_from(["float32", "float64"])), draw(st.integers(0, 2**16))
    layers: list = list(first)
    built = nanoae.Sequential(layers).build(shape, dtype=dtype, random_state=seed)
    for _ in range(draw(st.integers(2, LAYERS))):
        shapes = choices(draw, built.output_shape, layers)
        more = draw(st.sampled_from(shapes) | st.sampled_from(ELEMENTWISE).map(lambda kind: kind()))
        try:
            built = nanoae.Sequential([*layers, more]).build(shape, dtype=dtype, random_state=seed)
        except ValueError:
            continue  # it does not fit there
        layers.append(more)
    built = nanoae.Sequential(layers).build(shape, dtype=dtype, random_state=seed)
    random = np.random.default_rng(seed)
    for layer in layers:
        for array in layer.state.values():
            array += random.uniform(0.0, 1.0, array.shape)
    rows = (
        random.integers(0, WORDS, (5, *shape))
        if first and shape == (4,)
        else random.normal(size=(5, *shape))
    )
    rows = rows.astype(dtype)
    if layers and isinstance(layers[0], nanoae.FillMissing):
        rows[random.random(rows.shape) < 0.3] = np.nan
    return built, rows


def apart(network: Any, rows: np.ndarray, path: Path) -> float:
    """The largest difference of onnxruntime's outputs from nanoae's, all rows at once and one alone, as a share of the
    largest number."""
    import onnxruntime

    nanoae.export(network, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    worst = 0.0
    for x in (rows, rows[:1]):
        (found,), wanted = session.run(None, {"x": x}), network.forward(x)
        assert found.shape == wanted.shape and found.dtype == wanted.dtype
        worst = max(
            worst, float(np.abs(found - wanted).max()) / max(1.0, float(np.abs(wanted).max()))
        )
    return worst


def main() -> None:
    met: Counter[str] = Counter()
    worst: dict[str, float] = {}

    @settings(max_examples=NETWORKS, deadline=None, database=None, phases=[Phase.generate], derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(networks())
    def measure(drawn) -> None:
        network, rows = drawn
        with tempfile.TemporaryDirectory() as folder:
            found = apart(network, rows, Path(folder) / "network.onnx")
        names = {type(layer).__name__ for layer in network.layers}
        met.update(["all networks", *names])
        for name in ("all networks", *names):
            worst[name] = max(worst.get(name, 0.0), found)
        assert found <= BOUND, f"{network} {network.dtype}: {found:.1e}"

    measure()
    info = machine()
    rows = [[name, str(count), f"{worst[name]:.0e}"] for name, count in met.most_common()]
    text = "\n\n".join([
        f"# {met['all networks']} random networks as ONNX",
        "The largest difference between onnxruntime's and nanoae's outputs, relative to the largest output or 1, by "
        "the layers in the network: `python -m benchmarks.interchange`.",
        markdown(["layer", "networks", "largest difference"], rows),
        f"{info['cpu']}, {info['versions']}",
    ])  # fmt: skip
    save("interchange", text)
    print(text)


if __name__ == "__main__":
    main()
