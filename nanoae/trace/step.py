"""Step: forward, loss, backward and update of one batch, written down as moves, each of which makes one array."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nanoae.backend import Ops
from nanoae.trace.breakage import Breakage
from nanoae.trace.check import Check, Slopes, compare
from nanoae.trace.experiment import Experiment
from nanoae.trace.formula import formula
from nanoae.trace.number import Cell, Number, NumberOps, Term, terms
from nanoae.training.costs import elements

PARTS = -1  # in place of the number of an array: the cell is one of the step's parts


@dataclass
class Entry:
    """An array that a step met, and the number of the move that made it; None: it was given.

    sums   for each number, in order, the products that were added up to it; none where no sum has made it
    """

    name: str
    values: np.ndarray
    made: int | None = None
    sums: list[list[Term]] = field(default_factory=list)


@dataclass
class Move:
    """One array made.

    phase    "forward", "loss", "backward" or "update"
    layer    its number; that of layers is the loss's
    result   the number of the array among the step's entries
    known    those that the layer could use, by its own names for them
    check    of a gradient
    """

    phase: str
    layer: int
    where: str
    formula: str
    result: int
    known: dict[str, int]
    check: Check | None = None


class Step:
    """A step of training as it was taken: twice, the second time on Numbers, which tell their sums.

    entries, moves   the arrays, and what made them, in order
    parts            (value, sum) of expressions too long to stand in the sums that they are part of
    net              the network after it
    """

    def __init__(self, experiment: Experiment, slopes: Slopes, breakage: Breakage | None = None):
        self.breakage = breakage
        self.slopes = slopes
        self.net, self.loss, self.optimizer = experiment.build(Ops(), experiment.dtype, breakage)
        self.twins = experiment.build(NumberOps(), experiment.dtype, breakage)
        for layer in (*self.net.layers, *self.twins[0].layers):
            layer.need_dx = True  # that of the data, too
        self.entries: list[Entry] = []
        self.moves: list[Move] = []
        self.parts: list[tuple[float, list[Term]]] = []
        self.known_parts: dict[Number, Cell] = {}
        self.waiting: list[Number] = []  # parts whose own sums are not told yet
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
        return len(self.entries) - 1

    def cells(self, entry: int) -> np.ndarray:
        """The numbers of an array as Numbers."""
        values = self.entries[entry].values
        numbers = np.empty(values.shape, object)
        for flat, value in enumerate(values.ravel().tolist()):
            numbers.flat[flat] = Number(value, cell=(entry, flat))
        return numbers

    def part(self, number: Number) -> Cell:
        """The cell of an expression among the parts."""
        if number not in self.known_parts:
            self.known_parts[number] = (PARTS, len(self.known_parts))
            self.waiting.append(number)
        return self.known_parts[number]

    def record(self, x: np.ndarray, t: np.ndarray) -> None:
        """Forward and loss, then the way back."""
        net, loss, _ = self.twins
        given = self.entry("x", x)
        target = self.entry("t", t)
        weights = [
            {name: self.entry(name, W) for name, W in layer.params.items()}
            for layer in self.net.layers
        ]
        for layer, known in zip(net.layers, weights, strict=True):
            for name, entry in known.items():
                layer.params[name][...] = self.cells(entry)
        inputs = [given]
        y = x
        numbers = self.cells(given)
        for i, layer in enumerate(self.net.layers):
            y = layer.forward(y, train=True)
            numbers = attempt(net.layers[i].forward, numbers, True)
            known = {"x": inputs[-1], **weights[i]}
            numbers = self.move("forward", i, "y", y, numbers, known)
            inputs.append(len(self.entries) - 1)
        last = len(self.net.layers)
        known = {"t": target, "y": inputs[-1]}
        targets = self.cells(target) if t.dtype.kind == "f" else t
        value = np.asarray(self.loss.forward(y, t))
        cost = attempt(total, loss, numbers, targets)
        self.move("loss", last, "loss", value, cost, known)
        attempt(loss.forward, numbers, targets)
        dy = self.loss.backward()
        numbers = attempt(loss.backward)
        numbers = self.move("loss", last, "dy", dy, numbers, known, "x")
        self.record_backward(dy, numbers, inputs, weights)

    def record_backward(
        self, dy: Any, numbers: Any, inputs: list[int], weights: list[dict[str, int]]
    ) -> None:
        """Backward and update; the numbers of what each layer was given, and of its parameters."""
        net, _, optimizer = self.twins
        for i, layer in reversed(list(enumerate(self.net.layers))):
            twin = net.layers[i]
            known = {
                "x": inputs[i],
                "y": inputs[i + 1],
                "dy": len(self.entries) - 1,
                **weights[i],
            }
            dy = layer.backward(dy)
            dx = attempt(twin.backward, numbers)
            for name, grad in layer.grads.items():
                self.move("backward", i, "d" + name, grad, twin.grads[name], known, name)
                weights[i]["d" + name] = len(self.entries) - 1
            numbers = self.move("backward", i, "dx", dy, dx, known, "x")
        self.optimizer.step(self.net.theta, self.net.grad)
        attempt(optimizer.step, net.theta, net.grad)
        for i, layer in enumerate(self.net.layers):
            twin = net.layers[i]
            for name, W in layer.params.items():
                self.move("update", i, name, W, twin.params[name], weights[i])

    def move(
        self,
        phase: str,
        i: int,
        name: str,
        values: np.ndarray,
        numbers: Any,
        known: dict[str, int],
        of: str = "",
    ) -> np.ndarray:
        """Write down that layer i, or the loss, made `values`, and `numbers` of the same; the cells of the new array,
        which from here on stand in the place of `numbers`.

        of   of a gradient: what it is the gradient of
        """
        maker = [*self.net.layers, self.loss][i]
        place = "loss" if maker is self.loss else f"layer {i}"
        broken = self.breakage
        text = formula(maker, name)
        if phase == "update":
            text = formula(self.optimizer, "theta")
        elif phase != "forward" and broken and (broken.layer, broken.wrong) == (i, name):
            text = broken.formula
        check = compare(values, self.slopes[i, of]) if of else None
        result = self.entry(name, values)
        entry = self.entries[result]
        entry.made = len(self.moves)
        self.moves.append(Move(phase, i, f"{place}, {maker}", text, result, known, check))
        cells = self.cells(result)
        if numbers is None:
            return cells
        array = np.asarray(numbers, object)
        sums = [terms(number, self.part) for number in array.ravel()]
        for number in self.waiting:  # which grows, as parts have parts
            self.parts.append((number.value, terms(number, self.part)))
        self.waiting.clear()
        added = [sum(term.value for term in products) for products in sums]
        if np.allclose(added, entry.values.ravel(), rtol=1e-4, atol=1e-6):
            entry.sums = sums
        array[...] = cells
        return array


def attempt(work: Callable[..., Any], *arguments: Any) -> Any:
    """work(*arguments), on Numbers; None where a layer does to them what only floats can bear: it shows no sums."""
    try:
        return work(*arguments)
    except Exception:
        return None


def total(loss: Any, y: Any, t: Any) -> Any:
    """The loss as the sum over its elements."""
    return loss.scale(y.shape) * elements(loss, y, t).sum()
