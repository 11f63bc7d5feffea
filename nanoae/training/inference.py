"""Inference: runs layers of a network on rows outside training, in any number of threads.

For a few rows the computation takes less time than Python's calls of the layers. So it is recorded like a training
step (backend/recorded.py), per thread and number of rows, and replayed from there.
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

# Maximum number of recordings per thread, one per number of rows; then all are discarded
MOST = 128
# Types of settings that fully describe a layer; the contents of CHANGING ones may change.
CHANGING = (list, np.ndarray)
SIMPLE = (bool, int, float, str, type(None), np.generic, tuple, Configurable, *CHANGING)

INFERENCES: weakref.WeakKeyDictionary[Sequential, dict[Any, Inference]] = (
    weakref.WeakKeyDictionary()
)


def inference(network: Sequential, start: int, stop: int | None, loss: Loss | None) -> Inference:
    """Return the cached inference of layers start .. stop-1 of `network`, followed by `loss.predict` if given."""
    known = INFERENCES.setdefault(network, {})
    found = known.get((start, stop, loss))
    if found is None or found.layers != network.layers[start:stop]:
        found = known[start, stop, loss] = Inference(network, start, stop, loss)
    return found


class Inference(Reused):
    """The fused layers. Call with x (N, ...) on the device to write their output to `out` on the host."""

    # The fused layers, including a sigmoid that belongs to the loss
    fused = ThreadLocal()
    predict = ThreadLocal()  # the loss's `predict`, if it is not the identity or fused
    recordings = ThreadLocal()  # (rows, dtype) -> (recording, its x, its y)
    # (dict, names) of the settings and learned arrays on which recordings depend
    watched = ThreadLocal()
    seen = ThreadLocal()  # the objects found there
    lists = ThreadLocal()  # settings among them with changing contents
    held = ThreadLocal()  # their contents
    recordable = ThreadLocal()  # True if the layers can be recorded

    def __init__(self, network: Sequential, start: int, stop: int | None, loss: Loss | None):
        self.thread = ThreadState()
        self.ops = network.ops
        self.dtype = network.dtype
        # A copy that shares the arrays, since `INFERENCES` must not keep the network alive
        self.network = network.with_layers([])
        self.layers = network.layers[start:stop]
        self.loss = loss

    def __call__(self, x: Array, out: np.ndarray) -> None:
        if self.seen is None or self.changed():
            self.prepare()
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
        """Run layer by layer; the result may be in `out`."""
        last = self.fused.layers[-1] if self.fused.layers else None
        if out is not None and self.predict is None and isinstance(last, LinearActivation):
            return last.apply(self.fused.forward(x, stop=-1), out)
        y = self.fused.forward(x)
        if self.predict is None:
            return y
        if out is None and self.layers and self.layers[-1].params:
            out = y  # the last layer's own buffer, certainly not x
        return self.predict(y, out=out)

    def replay(self, x: Array) -> Array:
        """Replay a recording for at least as many rows; surplus rows hold old values."""
        n = len(x)
        known = rounded_up(n), x.dtype
        if known not in self.recordings:
            self.recordings[known] = self.record(x, known[0])
        recording, rows, y = self.recordings[known]
        bytes_of(rows[:n])[:] = bytes_of(x)
        for layer in self.layers:
            layer.cache = None  # replay overwrites their buffers
        recording.repeat(1)
        return y[:n]

    def record(self, x: Array, n: int) -> tuple[Recording, Array, Array]:
        name = f"x {x.dtype}"
        results = list[Array]()
        before = self.buffers.get(name)
        rows = self.buffer(name, (n, *x.shape[1:]), x.dtype)
        if self.buffers[name] is not before or len(self.recordings) == MOST:
            self.recordings = {}  # layers reallocate their buffers for a new maximum of rows
        recording = self.ops.record(lambda: results.append(self.forward(rows)))
        return recording, rows, results[0]

    def changed(self) -> bool:
        """Return True if a setting or a learned array has been replaced or changed."""
        as_seen = all(map(is_, values_of(self.watched), self.seen))
        return not as_seen or contents(self.lists) != self.held

    def prepare(self) -> None:
        """Fuse the layers with their present settings and arrays, and discard all recordings."""
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
    """Round n up to one of eight numbers per octave: 15, 16, 18, 20, .. 30, 32, 36 .."""
    step = max(1, 1 << n.bit_length() >> 4)
    return -(-n // step) * step


def bytes_of(x: Array) -> memoryview:
    """Return x as bytes, for copies that keep the GIL: NumPy would release it, and reacquiring it takes longer than
    copying a few numbers."""
    whole = x if x.flags.c_contiguous else np.ascontiguousarray(x)
    return whole.data.cast("B")


def parts_within(parts: list[Any]) -> list[Configurable]:
    """Return the parts and the parts among their settings, each once."""
    found: list[Configurable] = []
    for part in parts:  # the list grows
        if isinstance(part, (list, tuple)):
            parts += part
        elif isinstance(part, Configurable) and all(part is not other for other in found):
            found.append(part)
            parts += [vars(part).get(name) for name in watched_names(part)]
    return found


def watched_names(part: Configurable) -> tuple[str, ...]:
    """Return the names of a part's settings, and of methods that an instance may override."""
    kind = type(part)
    methods = [name for name in ("forward", "f", "predict") if hasattr(kind, name)]
    return *methods, *arguments(kind)  # type: ignore[arg-type]


def values_of(watched: list[tuple[dict[str, Any], tuple[str, ...]]]) -> list[Any]:
    """Return the watched settings and arrays."""
    found: list[Any] = []
    for own, names in watched:
        found += map(own.get, names)
    return found


def contents(lists: list[Any]) -> list[Any]:
    """Return the contents of lists and arrays."""
    return [[*value] if isinstance(value, list) else value.tolist() for value in lists]


def can_be_recorded(part: Configurable) -> bool:
    """Return True if a recording captures everything that a part does: False for user-defined classes, which may do
    anything to arrays, and for layers that leave values for other layers."""
    kind = type(part)
    leaves = isinstance(part, Layer) and any(
        isinstance(value, ThreadLocal) for value in vars(kind).values()
    )
    return kind.__module__.startswith("nanoae.") and not leaves and not has_methods(part)
