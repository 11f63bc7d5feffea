"""The training set of a model: what its file keeps of it, so that other rows are judged as these were."""

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
    """name and fingerprint of the set, the axes of its rows, the maximum of its pixels, and its range, in words, as it
    was stored; baseline, the PCA of the training rows on the model's scale, None where there is none; units, what was
    written beside the numbers of each column of a text table; shape, that of an example, where the file notes it."""

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
        """That of a model file; None where it notes none, as one that was made in Python, or in former times."""
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
        """For `save_model`."""
        facts = asdict(replace(self, baseline=None))
        return {**facts, "baseline": self.baseline}

    def holds(self, data: Dataset) -> bool:
        """Whether `data` is this set, split in the same way."""
        return self.fingerprint == fingerprint(data)

    def on_scale(self, data: Dataset, named: float | None = None) -> Dataset:
        """`data` with the maximum that makes 1 what it was in the training; ValueError where nobody can know that,
        where a column is in another unit, or where images have other sides.

        named   the maximum that the user named, or None
        """
        shapes = self.shape or (), data.shape
        learned, sides = ([side for side in shape if side > 1] for shape in shapes)
        if len(learned) == len(sides) and learned != sides:
            raise ValueError(
                f"{data.name}: expected images of {learned}, as in the training, got {sides}."
            )
        here = data.units or ()
        names = data.columns or [str(i + 1) for i in range(len(here))]
        for name, unit, got in zip(names, self.units or (), here, strict=False):
            check_unit(data.name, name, unit, got)
        if self.holds(data):
            return data if named else replace(data, maximum=self.maximum)
        if self.maximum is None:
            if named is None and data.maximum in (None, 1):
                return replace(data, maximum=None)
            raise ValueError(
                f"{data.name}: expected numbers to be taken as they are, as in the training ({self.range}), got "
                f"{range_of(data.x_train)} of which {data.maximum:g} is 1. Store them as those were."
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
            f"{data.name}: expected pixels of which it is known what 1 is, as in the training ({self.range} of which "
            f"{self.maximum:g} was 1), got {range_of(data.x_train)}. Say it with --maximum."
        )


def fingerprint(data: Dataset) -> str:
    """Of the rows and how they are split: other rows, or the same in another order, have another."""
    digest = hashlib.blake2b(digest_size=8)
    for x in (data.x_train, data.x_test):
        digest.update(f"{x.dtype} {x.shape}".encode())
        for block in by_blocks(x):
            digest.update(np.ascontiguousarray(block).tobytes())
    return digest.hexdigest()
