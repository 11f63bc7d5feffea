"""Saved: the contents of a model file: facts in its header, arrays, and the classes it may name. Arrays are read on
demand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from nanoae.configurable import Configurable, from_config, registry
from nanoae.data.archive import Archive
from nanoae.data.field import LABELS, MISSING, promised
from nanoae.training.state import Arrays, Facts

Packed = tuple[Facts, Arrays]  # the contents of a model file: JSON-ready data, and arrays by name

FLOATS = ("float32", "float64")
WHOLE = ("int32", "int64")
Shape = tuple[int | None, ...]
# Further dtypes that arrays of a user's own parts may have
OTHERS = ("bool", "int8", "int16", "uint8", "uint16", "uint32", "uint64", "float16")


class Saved:
    """The arrays, in an archive or in memory, whose names begin with `prefix`; keyed by the rest of the name.

    parts   the user's own classes that the file may name, in addition to nanoae's
    """

    def __init__(
        self, archive: Mapping[str, np.ndarray], parts: Sequence[type] = (), prefix: str = ""
    ) -> None:
        self.archive = archive
        self.parts = parts
        self.prefix = prefix

    def under(self, name: str) -> Saved:
        """Return the arrays whose names begin with `name` and a dot."""
        return Saved(self.archive, self.parts, f"{self.prefix}{name}.")

    def __iter__(self) -> Iterator[str]:
        return (
            name.removeprefix(self.prefix) for name in self.archive if name.startswith(self.prefix)
        )

    def __contains__(self, name: str) -> bool:
        return f"{self.prefix}{name}" in self.archive

    def take(
        self,
        name: str,
        shape: Shape | None = None,
        dtypes: Sequence[str] = FLOATS,
        finite: bool = True,
    ) -> np.ndarray:
        """Return the array; raise ValueError if it has another shape or dtype, which its header tells.

        shape    None for any shape; a None in it stands for any length
        finite   True to reject NaN and infinity
        """
        full = f"{self.prefix}{name}"
        if full not in self.archive:
            raise ValueError(f"expected the array {full!r}, got none.")
        got, dtype = self._header(full)
        if dtype.name not in dtypes or not dtype.isnative:
            raise ValueError(f"expected {full!r} of {' or '.join(dtypes)}, got {dtype}.")
        if shape is not None and not alike(got, shape):
            raise ValueError(f"expected {full!r} of shape {shape}, got {got}.")
        array = self.archive[full]
        if finite and dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"expected {full!r} to be finite, got NaN or infinity in it.")
        return array

    def _header(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        if isinstance(self.archive, Archive):
            return self.archive.header(name)
        return self.archive[name].shape, self.archive[name].dtype

    def restore(self, part: Configurable) -> None:
        """Restore the fitted attributes of a scaler or score; ValueError for attributes its class does not declare."""
        kind = type(part)
        own = kind.__module__.startswith("nanoae.")
        known = {name for base in kind.__mro__ for name in vars(base).get("__annotations__", ())}
        dtypes = FLOATS + WHOLE + (() if own else OTHERS)
        for name in self:
            public = (
                name.isidentifier()
                and name[0] != "_"
                and name.endswith("_")
                and not hasattr(kind, name)
            )
            if name not in known and (own or not public):
                raise ValueError(f"expected what {kind.__name__} learns, got {self.prefix}{name}.")
            setattr(part, name, self.take(name, dtypes=dtypes, finite=False))

    def from_config(self, description: Any, kind: Any = object) -> Any:
        """Rebuild what `to_config` wrote, from nanoae's classes and `parts` only; ValueError if it is not a `kind`."""
        found = from_config(description, known=registry(self.parts))
        if not isinstance(found, kind):
            raise ValueError(f"expected {kind}, got {found!r}.")
        return found


def alike(got: tuple[int, ...], wanted: Shape) -> bool:
    if len(got) != len(wanted):
        return False
    return all(w in (g, None) for g, w in zip(got, wanted, strict=True))


def same(value: Any) -> Any:
    return value


class Fact(NamedTuple):
    """An attribute that is stored in the header.

    attribute   name of the estimator's attribute
    name        key in the header
    kind        type of the stored value, as for `promised`
    default     value if an older file has none
    pack        converts the attribute to the stored value
    unpack      converts it back
    """

    attribute: str
    name: str
    kind: Any
    default: Any = MISSING
    pack: Callable[[Any], Any] = same
    unpack: Callable[[Any], Any] = same

    def read(self, header: Facts) -> Any:
        """Return the attribute's value; ValueError if the header's value has another type."""
        return self.unpack(promised(header, self.name, self.kind, self.default))


CLASSES = Fact(
    "classes_",
    "classes",
    (LABELS, None),
    pack=lambda classes: None if classes is None else classes.tolist(),
    unpack=lambda classes: None if classes is None else np.array(classes),
)
