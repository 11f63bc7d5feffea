"""Check: compare each gradient with finite differences of the loss, element by element, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nanoae.backend import Ops
from nanoae.engine.gradcheck import GradientCheck
from nanoae.trace.experiment import Experiment

EPS = 1e-5
# Tolerated error of a gradient in each precision, relative to the largest slope of the array
TOLERANCES = {"float64": 1e-6, "float32": 1e-3}
KINK = 1e-3  # relative to the array's largest slope; on a smooth function the two sides differ by about eps
ROUNDING = {"float64": 1e-9, "float32": 1e-5}  # of the loss, over eps

Slopes = dict[tuple[int, str], np.ndarray]


@dataclass
class Check:
    """The comparison of a gradient with central differences.

    numeric   the central differences
    kink      True where the loss is not differentiable: its left and right slopes differ, as for a ReLU at 0
    ok        True where the gradient agrees, or at a kink, where it cannot be checked
    """

    numeric: np.ndarray
    kink: np.ndarray
    ok: np.ndarray


def measure(experiment: Experiment) -> Slopes:
    """(layer, name) -> (2, *shape): the slopes of the loss to the left and to the right of each number.

    The names are the layer's parameters, and "x" for its input; the layer number after the last stands for the loss's
    input.
    """
    as_used, _, _ = experiment.build(Ops(), experiment.dtype)
    net, loss, _ = experiment.build(Ops(), "float64")
    net.theta[...] = as_used.theta  # rounded, where the step is in float32
    x, t = experiment.batch(as_used.dtype)
    check = GradientCheck(net, x, t, loss, np.random.default_rng(0), EPS)
    here = check.value()
    slopes: Slopes = {}
    for i, at in enumerate(check.inputs):
        parameters = net.layers[i].params if i < len(net.layers) else {}
        for name, array in {**parameters, "x": at}.items():
            start = i if name == "x" else None
            axes = np.eye(array.size)
            left, right = np.transpose([*check.both_sides(array, axes, start)])
            both = [(here - left) / EPS, (right - here) / EPS]
            slopes[i, name] = np.reshape(both, (2, *array.shape))
    return slopes


def compare(gradient: np.ndarray, slopes: np.ndarray) -> Check:
    """Compare a gradient with the measured slopes."""
    left, right = slopes
    precision = gradient.dtype.name
    scale = np.abs(slopes).max()
    kink = np.abs(right - left) > KINK * scale + ROUNDING["float64"]
    numeric = (left + right) / 2
    slack = TOLERANCES[precision] * scale + ROUNDING[precision]
    close = np.abs(gradient - numeric) <= slack
    return Check(numeric, kink, kink | close)
