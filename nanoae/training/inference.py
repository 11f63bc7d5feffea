"""Inference: layers of a network on rows, outside training, for any number of threads.

What is done to a few rows takes less time than Python takes to call the layers. So it is recorded, as a training step
is (backend/recorded.py), for some numbers of rows and each thread, and done again from there.
"""

from __future__ import annotations

import weakref
from operator import is_
from typing import Any

import numpy as np

from nanoae.backend import Array, Reused, ThreadLocal, ThreadState
from nanoae.backend.repeated import Recording
from nanoae.configurable import Configurable, arguments
from nanoae.engine.activations import Sigmoid
from nanoae.engine.layers import Layer
from nanoae.engine.losses import BCE, Loss
from nanoae.engine.network import Sequential
from nanoae.training.fusion import LinearActivation, fuse, has_methods, is_plain_linear

MOST = 128  # recordings of a thread, each for another number of rows: beyond that it starts afresh
# Settings that are all there is to know of a layer; what some hold may change.
CHANGING = (list, np.ndarray)
SIMPLE = (bool, int, float, str, type(None), np.generic, tuple, Configurable, *CHANGING)

INFERENCES: weakref.WeakKeyDictionary[Sequential, dict[Any, Inference]] = (
    weakref.WeakKeyDictionary()
)


def inference(network: Sequential, start: int, stop: int | None, loss: Loss | None) -> Inference:
    """Layers start .. stop-1 of `network`, and what `loss`, if any, means by their output: made once."""
    known = INFERENCES.setdefault(network, {})
    found = known.get((start, stop, loss))
    if found is None or found.layers != network.layers[start:stop]:
        found = known[start, stop, loss] = Inference(network, start, stop, loss)
    return found


class Inference(Reused):
    """The layers, fused: called with x (N, ...), on the device, it writes their output to `out`, on the host."""

    # the layers in fewer passes over memory; a sigmoid that the loss means is one of them
    fused = ThreadLocal()
    predict = ThreadLocal()  # else the loss's `predict`, where it does anything
    recordings = ThreadLocal()  # (rows, type) -> the recording, its x, its y
    # where the settings that these are good for stand, and what was learned
    watched = ThreadLocal()
    seen = ThreadLocal()  # the objects there
    lists = ThreadLocal()  # those of the settings that may change, and
    held = ThreadLocal()  # what they held
    recordable = ThreadLocal()  # whether a recording would be good for anything

    def __init__(self, network: Sequential, start: int, stop: int | None, loss: Loss | None):
        self.thread = ThreadState()
        self.ops = network.ops
        self.dtype = network.dtype
        # its arrays: `INFERENCES` lets go of the network itself
        self.network = network.with_layers([])
        self.layers = network.layers[start:stop]
        self.loss = loss

    def __call__(self, x: Array, out: np.ndarray) -> None:
        if self.seen is None or self.changed():
            self.start_afresh()
        host = isinstance(x, np.ndarray)
        if self.recordable and 0 < x.size <= self.ops.most_recorded:
            out.data.cast("B")[:] = bytes_of(self.replay(x))
            return
        y = self.forward(x, out if host else None)
        if host and y is not out:
            self.ops.copy(y, out=out)
        elif not host:
            out[...] = self.ops.to_numpy(y)

    def forward(self, x: Array, out: Array | None = None) -> Array:
        """As it comes, layer by layer; the result may be in `out`."""
        last = self.fused.layers[-1] if self.fused.layers else None
        if out is not None and self.predict is None and isinstance(last, LinearActivation):
            return last.apply(self.fused.forward(x, stop=-1), out)
        y = self.fused.forward(x)
        if self.predict is None:
            return y
        if out is None and self.layers and self.layers[-1].params:
            out = y  # the last layer's own buffer, and not perhaps x
        return self.predict(y, out=out)

    def replay(self, x: Array) -> Array:
        """By the recording for as many rows or a few more, which are whatever they were."""
        n = len(x)
        known = rounded_up(n), x.dtype
        if known not in self.recordings:
            self.recordings[known] = self.record(x, known[0])
        recording, rows, y = self.recordings[known]
        bytes_of(rows[:n])[:] = bytes_of(x)
        for layer in self.layers:
            layer.cache = None  # their buffers are written to
        recording.repeat(1)
        return y[:n]

    def record(self, x: Array, n: int) -> tuple[Recording, Array, Array]:
        name = f"x {x.dtype}"
        results = list[Array]()
        before = self.buffers.get(name)
        rows = self.buffer(name, (n, *x.shape[1:]), x.dtype)
        if self.buffers[name] is not before or len(self.recordings) == MOST:
            self.recordings = {}  # with more rows than ever the layers' buffers will be others, too
        recording = self.ops.record(lambda: results.append(self.forward(rows)))
        return recording, rows, results[0]

    def changed(self) -> bool:
        """Whether a setting, or what was learned, is not what it was."""
        as_seen = all(map(is_, values_of(self.watched), self.seen))
        return not as_seen or contents(self.lists) != self.held

    def start_afresh(self) -> None:
        """Whoever changes a layer's settings, or puts other arrays in place of what it learned, is to see it."""
        losses = [] if self.loss is None else [self.loss]
        parts = parts_within([*self.layers, *losses])
        settings = [(vars(part), watched_names(part)) for part in parts]
        learned = [part for part in parts if isinstance(part, Layer)]
        arrays = [named for layer in learned for named in (layer.params, layer.state)]
        self.watched = settings + [(named, tuple(named)) for named in arrays if named]
        self.seen = values_of(self.watched)
        self.lists = [value for value in values_of(settings) if isinstance(value, CHANGING)]
        self.held = contents(self.lists)
        layers = self.layers
        loss = self.loss
        self.predict = None
        if loss is not None and (has_methods(loss) or type(loss).predict is not Loss.predict):
            self.predict = loss.predict
            if (
                can_be_recorded(loss)
                and type(loss) is BCE
                and layers
                and is_plain_linear(layers[-1])
            ):
                layers = [*layers, Sigmoid()]
                self.predict = None
        self.fused = fuse(self.network, layers)
        self.recordings = {}
        simple = all(isinstance(value, SIMPLE) for value in values_of(settings))
        self.recordable = simple and all(map(can_be_recorded, parts))


def rounded_up(n: int) -> int:
    """The next of eight numbers in each octave: 15, 16, 18, 20, .. 30, 32, 36 .."""
    step = max(1, 1 << n.bit_length() >> 4)
    return -(-n // step) * step


def bytes_of(x: Array) -> memoryview:
    """To copy few numbers as: NumPy would let another thread have the interpreter's lock, and then wait for it longer
    than the copy takes."""
    whole = x if x.flags.c_contiguous else np.ascontiguousarray(x)
    return whole.data.cast("B")


def parts_within(parts: list[Any]) -> list[Configurable]:
    """The parts, and those among their settings, each once."""
    found: list[Configurable] = []
    for part in parts:  # which grows meanwhile
        if isinstance(part, (list, tuple)):
            parts += part
        elif isinstance(part, Configurable) and all(part is not other for other in found):
            found.append(part)
            parts += [vars(part).get(name) for name in watched_names(part)]
    return found


def watched_names(part: Configurable) -> tuple[str, ...]:
    """The names of its settings, and of methods that it may have of its own."""
    kind = type(part)
    methods = [name for name in ("forward", "f", "predict") if hasattr(kind, name)]
    return *methods, *arguments(kind)  # type: ignore[arg-type]


def values_of(watched: list[tuple[dict[str, Any], tuple[str, ...]]]) -> list[Any]:
    """The settings and arrays that stand there."""
    found: list[Any] = []
    for own, names in watched:
        found += map(own.get, names)
    return found


def contents(lists: list[Any]) -> list[Any]:
    """What lists and arrays hold."""
    return [[*value] if isinstance(value, list) else value.tolist() for value in lists]


def can_be_recorded(part: Configurable) -> bool:
    """Whether a recording has all that it does: not where a class of one's own may do anything to arrays, nor where a
    layer leaves something for another one."""
    kind = type(part)
    leaves = isinstance(part, Layer) and any(
        isinstance(value, ThreadLocal) for value in vars(kind).values()
    )
    return kind.__module__.startswith("nanoae.") and not leaves and not has_methods(part)
