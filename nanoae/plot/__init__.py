"""Figures of arrays: each function draws on `ax`, or on a new figure, and returns the matplotlib Axes.

>>> nanoae.plot.codes(ae.transform(x_test), labels)
>>> nanoae.plot.loss(ae.history_, ax=ax)
"""

from nanoae.plot.abnormal import errors, explanation
from nanoae.plot.curves import loss, roc
from nanoae.plot.mosaic import filters, images, interpolation, manifold, reconstructions
from nanoae.plot.scatter import codes, histogram

__all__ = [
    "codes",
    "errors",
    "explanation",
    "filters",
    "histogram",
    "images",
    "interpolation",
    "loss",
    "manifold",
    "reconstructions",
    "roc",
]
