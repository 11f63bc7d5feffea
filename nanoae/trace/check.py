"""Check: each gradient beside finite differences of the loss, element by element, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nanoae.backend import Ops
from nanoae.trace.experiment import Experiment

EPS = 1e-5
# The error of a gradient in that precision, relative to the array's largest
TOLERANCES = {"float64": 1e-6, "float32": 1e-3}
KINK = 1e-3  # relative to the array's largest slope; on a smooth function the two sides differ by about eps
ROUNDING = {"float64": 1e-9, "float32": 1e-5}  # of the loss, over eps

Slopes = dict[tuple[int, str], np.ndarray]


@dataclass
class Check:
    """A gradient beside central differences.

    numeric   the differences
    kink      where the loss has no gradient, its slopes to the left and to the right being two: a ReLU stands at 0
    ok        where the gradient agrees, or cannot be judged, at a kink
    """

    numeric: np.ndarray
    kink: np.ndarray
    ok: np.ndarray


def measure(experiment: Experiment) -> Slopes:
    """(layer, name) -> (2, *shape): the slopes of the loss to the left and to the right of each number.

    The names are those of the layer's parameters, and "x", its input; the input of the layer behind the last is the
    loss's.
    """
    as_used, _, _ = experiment.build(Ops(), experiment.dtype)
    net, loss, _ = experiment.build(Ops(), "float64")
    net.theta[...] = as_used.theta  # rounded, where the step is in float32
    x, t = experiment.batch(as_used.dtype)
    x = x.astype(net.dtype)
    t = t.astype(net.dtype) if t.dtype.kind == "f" else t
    net.forward(x, train=True)
    net.freeze_noise(True)
    slopes: Slopes = {}
    for i in range(len(net.layers) + 1):
        at = net.forward(x, train=True, stop=i).copy()

        def value(i: int = i, at: np.ndarray = at) -> float:
            y = net.forward(at, train=True, start=i)
            error = float(loss.forward(y, t))
            return error + float(net.penalty())

        parameters = net.layers[i].params if i < len(net.layers) else {}
        for name, array in {**parameters, "x": at}.items():
            slopes[i, name] = both_sides(value, array)
    return slopes


def both_sides(value, array: np.ndarray) -> np.ndarray:
    """(value there - value beside) / eps, to the left and to the right of each element."""
    here = value()
    found = np.empty((2, *array.shape))
    for index in np.ndindex(array.shape):
        before = array[index]
        for side, eps in enumerate((-EPS, EPS)):
            array[index] = before + eps
            found[side][index] = (value() - here) / eps
        array[index] = before
    return found


def compare(gradient: np.ndarray, slopes: np.ndarray) -> Check:
    """A gradient beside what was measured."""
    left, right = slopes
    precision = gradient.dtype.name
    scale = np.abs(slopes).max()
    kink = np.abs(right - left) > KINK * scale + ROUNDING["float64"]
    numeric = (left + right) / 2
    slack = TOLERANCES[precision] * scale + ROUNDING[precision]
    close = np.abs(gradient - numeric) <= slack
    return Check(numeric, kink, kink | close)
