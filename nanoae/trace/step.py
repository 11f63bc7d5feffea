"""Step: forward, loss, backward and update of one batch, written down as moves, each of which makes one array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nanoae.backend import Ops
from nanoae.engine.activations import Elementwise
from nanoae.engine.layers import Layer
from nanoae.engine.losses import BCE, L1, MSE, Huber, Loss, SoftmaxCrossEntropy
from nanoae.engine.optim import SGD, Adam, AdamW, Optimizer
from nanoae.trace.breakage import Breakage
from nanoae.trace.check import Check, Slopes, compare
from nanoae.trace.experiment import Experiment
from nanoae.trace.formula import formula
from nanoae.trace.recorder import RecordingOps, same_memory
from nanoae.trace.sums import MATRICES, Factor, Product, Sum, explain, literal

# The loss of one element of t = {0}, y = {1}, and its derivative; of classes t that of a whole row y[n].
ELEMENTS: dict[type[Loss], tuple[str, str]] = {
    SoftmaxCrossEntropy: ("-log softmax(y[n])[{0}]", "(softmax(y[n])[o] - [{0} = o])"),
    MSE: ("({1} - {0})²", "2 ({1} - {0})"),
    BCE: ("(softplus({1}) - {0} · {1})", "(sigmoid({1}) - {0})"),
    L1: ("|{1} - {0}|", "sign({1} - {0})"),
    Huber: ("h({1} - {0})", "clip({1} - {0}, ±delta)"),
}
UPDATES: dict[
    type[Optimizer], str
] = {  # the first step, but for the learning rate, as a function of g = {0}
    SGD: "{0}",
    Adam: "{0} / (√{0}² + eps)",  # the first m̂ is g, and the first v̂ is g²
    AdamW: "{0} / (√{0}² + eps)",
}


@dataclass
class Entry:
    """An array that a step met, and the number of the move that made it; None: it was given."""

    name: str
    values: np.ndarray
    made: int | None = None


@dataclass
class Move:
    """One array made.

    phase    "forward", "loss", "backward" or "update"
    layer    its number; that of layers is the loss's
    result   the number of the array among the step's entries
    sum      how its numbers were made; without products where they were in no sum of products
    check    of a gradient
    """

    phase: str
    layer: int
    where: str
    formula: str
    result: int
    sum: Sum
    check: Check | None = None


class Step:
    """A step of training as it was taken.

    entries, moves   the arrays, and what made them, in order
    net              the network after it
    """

    def __init__(self, experiment: Experiment, slopes: Slopes, breakage: Breakage | None = None):
        self.breakage = breakage
        self.slopes = slopes
        self.ops = RecordingOps()
        self.plain = Ops()
        self.net, self.loss, self.optimizer = experiment.build(self.ops, experiment.dtype, breakage)
        for layer in self.net.layers:
            layer.need_dx = True  # that of the data, too
        self.entries: list[Entry] = []
        self.moves: list[Move] = []
        self.raw: list[Any] = []  # the arrays themselves, where the layers hold them
        self.record(*experiment.batch(self.net.dtype))

    @property
    def caught(self) -> Move | None:
        """The first move whose gradient is wrong."""
        for move in self.moves:
            if move.check and not move.check.ok.all():
                return move
        return None

    def entry(self, name: str, array: np.ndarray) -> int:
        """Write an array down; its number."""
        self.entries.append(Entry(name, np.array(array)))
        self.raw.append(array)
        return len(self.entries) - 1

    def record(self, x: np.ndarray, t: np.ndarray) -> None:
        given = self.entry("x", x)
        target = self.entry("t", t)
        weights = [
            {name: self.entry(name, W) for name, W in layer.params.items()}
            for layer in self.net.layers
        ]
        inputs = [given]
        for i, layer in enumerate(self.net.layers):
            self.ops.calls.clear()
            y = layer.forward(self.raw[inputs[-1]], train=True)
            known = {"x": inputs[-1], **weights[i]}
            inputs.append(self.move("forward", i, "y", y, known))
        last = len(self.net.layers)
        dy = self.record_loss(last, inputs[-1], target)
        for i, layer in reversed(list(enumerate(self.net.layers))):
            self.ops.calls.clear()
            dx: Any = layer.backward(self.raw[dy])
            known = {"x": inputs[i], "y": inputs[i + 1], "dy": dy, **weights[i]}
            for name, grad in layer.grads.items():
                weights[i]["d" + name] = self.move("backward", i, "d" + name, grad, known, name)
            dy = self.move("backward", i, "dx", dx, known, "x")
        self.record_update(weights)

    def move(
        self, phase: str, i: int, name: str, out: np.ndarray, known: dict[str, int], of: str = ""
    ) -> int:
        """Write down that layer i made `out`, in the calls noted since its forward or backward began.

        known   the arrays that the layer could use, by name
        of      of a gradient: what it is the gradient of
        """
        layer = self.net.layers[i]
        letters = axes(layer, name, out)

        def factor(array: Any, letters: str) -> Factor:
            return self.factor(array, letters, known)

        products: list[Product] = []
        if letters is not None:
            products = explain(self.plain, self.ops.calls, out, letters, factor, [])
            same = [key for key, entry in known.items() if same_memory(self.raw[entry], out)]
            if same and not products:  # handed on as it came, by an Identity
                products = [[self.factor(out, letters, known)]]
        broken = self.breakage
        text = formula(layer, name)
        if phase == "backward" and broken and broken.layer == i and broken.wrong == name:
            text = broken.formula
        check = compare(out, self.slopes[i, of]) if of else None
        where = f"layer {i}, {layer}"
        sum = Sum(letters or "", products)
        return self.add(phase, i, where, text, name, out, sum, check)

    def add(
        self,
        phase: str,
        i: int,
        where: str,
        text: str,
        name: str,
        out: np.ndarray,
        sum: Sum,
        check: Check | None = None,
    ) -> int:
        result = self.entry(name, out)
        self.entries[result].made = len(self.moves)
        self.moves.append(Move(phase, i, where, text, result, sum, check))
        return result

    def factor(self, array: Any, letters: str, known: dict[str, int]) -> Factor:
        """An array as a factor: one of those known, it or its transpose, one of its rows, or another; or a number."""
        if not isinstance(array, np.ndarray):
            return literal(array if isinstance(array, (int, float)) else np.nan)
        for name, entry in known.items():
            whole = self.raw[entry]
            if same_memory(array, whole):
                return Factor(array.copy(), letters, sources=[(entry, letters, name)])
            if same_memory(array, whole.T):
                return Factor(array.copy(), letters, sources=[(entry, letters[::-1], name)])
            if whole.ndim > 1 and same_memory(array, whole[0]):
                return Factor(array.copy(), letters, sources=[(entry, "0" + letters, name)])
            if array.size == whole.size and array.ctypes.data == whole.ctypes.data:
                return self.unnamed(f"{name}.reshape{array.shape}", array, letters)
        return self.unnamed("kept", array, letters)

    def unnamed(self, name: str, array: Any, letters: str) -> Factor:
        entry = self.entry(name, array)
        return Factor(array.copy(), letters, sources=[(entry, letters, name)])

    def record_loss(self, last: int, output: int, target: int) -> int:
        """The loss, a sum over all elements, and its gradient; the number of that."""
        y = self.raw[output]
        t = self.raw[target]
        self.ops.calls.clear()
        value = np.asarray(self.loss.forward(y, t))
        scale = self.loss.scale(y.shape)
        texts = ELEMENTS.get(type(self.loss), ("loss({1}, {0})", "loss'({1}, {0})"))
        factor = literal(scale, f"{scale:.6g}")
        letters = "no"[: t.ndim]
        sources = [(target, letters, "t"), (output, "no", "y")][: t.ndim]
        where = f"loss, {self.loss}"
        text = formula(self.loss, "loss")
        each = Factor(self.loss.elements(y, t), letters, texts[0], sources)
        made: list[Product] = [[factor, each]] if y.ndim == 2 else []
        self.add("loss", last, where, text, "loss", value, Sum("", made))
        before = self.loss.dy.copy()
        self.ops.calls.clear()
        dy = self.loss.backward()
        each = Factor(before / scale if scale else before, "no", texts[1], sources)
        start: list[Product] = [[factor, each]] if y.ndim == 2 else []
        products = explain(self.plain, self.ops.calls, dy, "no", lambda array, letters: each, start)
        if self.breakage and self.breakage.layer == last:
            text = self.breakage.formula
        check = compare(dy, self.slopes[last, "x"])
        return self.add("loss", last, where, text, "dy", dy, Sum("no", products), check)

    def record_update(self, weights: list[dict[str, int]]) -> None:
        """The optimiser's step, parameter by parameter."""
        optimizer = self.optimizer
        optimizer.step(self.net.theta, self.net.grad)
        rate = optimizer.rate
        keep = 1 - rate * optimizer.weight_decay if isinstance(optimizer, AdamW) else 1.0
        plain = optimizer.weight_decay == 0 or keep != 1
        text = UPDATES.get(type(optimizer), "step({0})") if plain else "step({0})"
        for i, layer in enumerate(self.net.layers):
            for name, after in layer.params.items():
                before = weights[i][name]
                grad = weights[i]["d" + name]
                letters = axes(layer, name, after) or ""
                W = Factor(self.entries[before].values, letters, sources=[(before, letters, name)])
                step = (keep * W.values - after) / rate if rate else np.zeros_like(after)
                g = Factor(step, letters, text, [(grad, letters, "d" + name)])
                kept: Product = [W] if keep == 1 else [literal(keep), W]
                products = [kept, [literal(-rate), g]] if letters else []
                where = f"layer {i}, {layer}"
                rule = formula(optimizer, "theta")
                self.add("update", i, where, rule, name, after, Sum(letters, products))


def axes(layer: Layer, name: str, array: np.ndarray) -> str | None:
    """The letters of an array's axes; None for one whose sums have no letters here."""
    if array.ndim == 1:
        return "o"
    if isinstance(layer, Elementwise):
        return "nohwd"[: array.ndim]
    return MATRICES.get(name, "io") if array.ndim == 2 else None
