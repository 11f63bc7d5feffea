"""Facts: what a fit found, as a model file keeps it in its header."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nanoae.data.field import LABELS, MISSING, promised
from nanoae.training.state import Arrays, Facts

Packed = tuple[Facts, Arrays]  # what a model file holds: JSON-ready data, and arrays by name


def same(value: Any) -> Any:
    return value


class Fact(NamedTuple):
    """The value of an attribute.

    attribute   of the estimator
    name        in the header
    kind        of what stands there, as `promised` takes it
    default     where older files have none
    pack        from the attribute's value to what stands there
    unpack      and back
    """

    attribute: str
    name: str
    kind: Any
    default: Any = MISSING
    pack: Callable[[Any], Any] = same
    unpack: Callable[[Any], Any] = same

    def read(self, header: Facts) -> Any:
        """The attribute's value; ValueError where the header has something else."""
        return self.unpack(promised(header, self.name, self.kind, self.default))


CLASSES = Fact(
    "classes_",
    "classes",
    (LABELS, None),
    pack=lambda classes: None if classes is None else classes.tolist(),
    unpack=lambda classes: None if classes is None else np.array(classes),
)
