"""The training set of a model, as recorded in its file, so that other rows are read on the same scale."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from nanoae import PCA, Dataset
from nanoae.data.field import promised
from nanoae.data.maximum import range_of, whole, within_one
from nanoae.data.number import check_unit
from nanoae.rows import by_blocks
from nanoae.spelling import short

KINDS = {"name": str, "fingerprint": str, "axes": int, "maximum": (float, None), "range": str}


@dataclass
class TrainingSet:
    """Facts about the training data: name and fingerprint; number of axes of an example; maximum of the pixels; range
    as stored, as text; baseline, the PCA of the training rows on the model's scale, or None; units written beside the
    numbers of each column of a text table; shape of an example, if recorded."""

    name: str
    fingerprint: str
    axes: int
    maximum: float | None
    range: str
    baseline: PCA | None = None
    units: Sequence[str | None] | None = None
    shape: Sequence[int] | None = None

    @classmethod
    def of(cls, data: Dataset, baseline: PCA | None) -> TrainingSet:
        return cls(
            data.name,
            fingerprint(data),
            len(data.shape),
            data.maximum,
            range_of(data.x_train),
            baseline,
            data.units,
            data.shape,
        )

    @classmethod
    def of_notes(cls, notes: dict[str, Any]) -> TrainingSet | None:
        """Read from the notes of a model file; None if there are none: models saved in Python, or by older versions."""
        if not notes:
            return None
        baseline = notes.get("baseline")
        if not isinstance(baseline, PCA | None):
            raise ValueError(f"expected 'baseline' to be a PCA, got {short(baseline)}.")
        facts = {name: promised(notes, name, kind) for name, kind in KINDS.items()}
        units = promised(notes, "units", ([(str, None)], None), None)
        shape = promised(notes, "shape", ([int], None), None)
        return cls(**facts, baseline=baseline, units=units, shape=shape)

    def notes(self) -> dict[str, Any]:
        """The notes for `save_model`."""
        facts = asdict(replace(self, baseline=None))
        return {**facts, "baseline": self.baseline}

    def holds(self, data: Dataset) -> bool:
        """Return True if `data` is this set, with the same split."""
        return self.fingerprint == fingerprint(data)

    def on_scale(self, data: Dataset, named: float | None = None) -> Dataset:
        """`data` with the maximum that puts it on the training scale. ValueError if that is unknown, if a column has
        another unit, or if images have another size.

        named   the maximum given by the user, or None
        """
        shapes = self.shape or (), data.shape
        learned, sides = ([side for side in shape if side > 1] for shape in shapes)
        if len(learned) == len(sides) and learned != sides:
            raise ValueError(
                f"{data.name}: expected images of {learned} pixels, as in training, got {sides}."
            )
        here = data.units or ()
        names = [*data.columns, "label"] if data.columns else range(1, len(here) + 1)
        for name, unit, got in zip(names, self.units or (), here, strict=False):
            check_unit(data.name, str(name), unit, got)
        if self.holds(data):
            return data if named else replace(data, maximum=self.maximum)
        if self.maximum is None:
            if named is None and data.maximum in (None, 1):
                return replace(data, maximum=None)
            raise ValueError(
                f"{data.name}: expected unscaled numbers, as in training ({self.range}), got "
                f"{range_of(data.x_train)} of which {data.maximum:g} is 1. Store them like the training data."
            )
        if data.maximum is not None:
            return data
        parts = [x for x in (data.x_train, data.x_test) if x.size]
        counts = all(map(whole, parts))
        table = self.axes == len(data.shape) == 1
        in_range = all(x.min() >= 0 and x.max() <= self.maximum for x in parts)
        if table and counts and in_range:
            return replace(data, maximum=self.maximum)
        if within_one(*parts) or (self.maximum == 1 and not counts):
            return replace(data, maximum=1)
        raise ValueError(
            f"{data.name}: expected pixels with a known maximum, as in training ({self.range} of which "
            f"{self.maximum:g} was 1), got {range_of(data.x_train)}. Pass it with --maximum."
        )


def fingerprint(data: Dataset) -> str:
    """A hash of the rows and their split; it depends on the order of the rows."""
    digest = hashlib.blake2b(digest_size=8)
    for x in (data.x_train, data.x_test):
        digest.update(f"{x.dtype} {x.shape}".encode())
        for block in by_blocks(x):
            digest.update(np.ascontiguousarray(block).tobytes())
    return digest.hexdigest()
