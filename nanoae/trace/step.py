"""Step: forward, loss, backward and update of one batch, recorded as moves, each of which computes one array."""

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

PARTS = -1  # in place of an array index: the cell is one of the step's parts


@dataclass
class Entry:
    """An array of a step, and the index of the move that computed it (None for given arrays).

    sums   for each number, in order, the terms of its sum; empty if no sum produced it
    """

    name: str
    values: np.ndarray
    made: int | None = None
    sums: list[list[Term]] = field(default_factory=list)


@dataclass
class Move:
    """The computation of one array.

    phase    "forward", "loss", "backward" or "update"
    layer    index of the layer; the number of layers stands for the loss
    result   index of the array among the step's entries
    known    indices of the arrays available to the layer, by the layer's names for them
    check    comparison with finite differences, for gradients
    """

    phase: str
    layer: int
    where: str
    formula: str
    result: int
    known: dict[str, int]
    check: Check | None = None


class Step:
    """A training step, computed twice: with floats, and with Numbers, which record their sums.

    entries, moves   the arrays, and the moves that computed them, in order
    parts            (value, sum) of expressions that are too long to be written inside other sums
    net              the network after the step
    """

    def __init__(self, experiment: Experiment, slopes: Slopes, breakage: Breakage | None = None):
        self.breakage = breakage
        self.slopes = slopes
        self.net, self.loss, self.optimizer = experiment.build(Ops(), experiment.dtype, breakage)
        self.twins = experiment.build(NumberOps(), experiment.dtype, breakage)
        for layer in (*self.net.layers, *self.twins[0].layers):
            layer.need_dx = True  # also compute the gradient of the data
        self.entries: list[Entry] = []
        self.moves: list[Move] = []
        self.parts: list[tuple[float, list[Term]]] = []
        self.known_parts: dict[Number, Cell] = {}
        self.waiting: list[Number] = []  # parts whose sums are not yet recorded
        self.record(*experiment.batch(self.net.dtype))

    @property
    def caught(self) -> Move | None:
        """The first move whose gradient is wrong."""
        for move in self.moves:
            if move.check and not move.check.ok.all():
                return move
        return None

    def entry(self, name: str, array: np.ndarray) -> int:
        """Record an array and return its index."""
        self.entries.append(Entry(name, np.array(array)))
        return len(self.entries) - 1

    def cells(self, entry: int) -> np.ndarray:
        """The elements of a recorded array as Numbers."""
        values = self.entries[entry].values
        numbers = np.empty(values.shape, object)
        for flat, value in enumerate(values.ravel().tolist()):
            numbers.flat[flat] = Number(value, cell=(entry, flat))
        return numbers

    def part(self, number: Number) -> Cell:
        """The cell of an expression in `parts`."""
        if number not in self.known_parts:
            self.known_parts[number] = (PARTS, len(self.known_parts))
            self.waiting.append(number)
        return self.known_parts[number]

    def record(self, x: np.ndarray, t: np.ndarray) -> None:
        """Record forward and loss, then backward and update."""
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
        """Record backward and update, given the indices of each layer's input and parameters."""
        net, _, optimizer = self.twins
        for i, layer in reversed(list(enumerate(self.net.layers))):
            twin = net.layers[i]
            known = {"x": inputs[i], "y": inputs[i + 1], "dy": len(self.entries) - 1, **weights[i]}
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
        """Record that layer i, or the loss, computed `values`, and `numbers` as Numbers. Return the cells of the new
        array, which replace `numbers` from here on.

        of   for a gradient: the name of the array that it belongs to
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
        for number in self.waiting:  # grows in the loop: parts contain parts
            self.parts.append((number.value, terms(number, self.part)))
        self.waiting.clear()
        added = [sum(term.value for term in products) for products in sums]
        if np.allclose(added, entry.values.ravel(), rtol=1e-4, atol=1e-6):
            entry.sums = sums
        array[...] = cells
        return array


def attempt(work: Callable[..., Any], *arguments: Any) -> Any:
    """work(*arguments) on Numbers; None if a layer uses an operation that needs floats: its sums are unknown."""
    try:
        return work(*arguments)
    except Exception:
        return None


def total(loss: Any, y: Any, t: Any) -> Any:
    """The loss as the sum over its elements."""
    return loss.scale(y.shape) * elements(loss, y, t).sum()
