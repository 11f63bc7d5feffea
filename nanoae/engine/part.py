"""Part: what layers, losses, optimisers and schedules have in common: a constructor that only stores.

So each can print itself, be written as JSON and be built again. Saved models, copies in another precision and
scikit-learn's `clone` all use this one mechanism.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np


class Part:
    """The base of everything that is described by its constructor's arguments."""

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as stored."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def __repr__(self) -> str:
        parameters = inspect.signature(type(self)).parameters
        changed = [f"{k}={v!r}" for k, v in self.config().items() if repr(v) != repr(parameters[k].default)]
        return f"{type(self).__name__}({', '.join(changed)})"


def describe(value: Any, among: list | None = None) -> Any:
    """`value` as JSON-ready data. A Part becomes {"type": its class, **config}; one of `among` that another Part
    refers to (tied weights) becomes {"part": its number there}. TypeError for what cannot be written."""
    if isinstance(value, Part):
        numbers = {id(part): i for i, part in enumerate(among or [])}
        config = {
            k: {"part": numbers[id(v)]} if id(v) in numbers else describe(v, among) for k, v in value.config().items()
        }
        return {"type": type(value).__name__, **config}
    if isinstance(value, (list, tuple)):
        return [describe(item, among) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"describe: expected numbers, text, lists or parts of nanoae, got {type(value).__name__} {value!r}."
    )


def construct(description: Any, among: list | None = None) -> Any:
    """What `describe` described; lists of numbers come back as tuples. ValueError for a type that is not known here."""
    if isinstance(description, list):
        items = [construct(item, among) for item in description]
        return items if any(isinstance(item, Part) for item in items) else tuple(items)
    if not isinstance(description, dict):
        return description
    if "part" in description:
        return (among or [])[description["part"]]
    kind = description.get("type")
    known = known_parts()
    if kind not in known:
        raise ValueError(f"part: expected one of {', '.join(sorted(known))}, got {kind!r}.")
    return known[kind](**{k: construct(v, among) for k, v in description.items() if k != "type"})


def describe_all(parts: list) -> list[dict[str, Any]]:
    """A list of Parts that may refer to earlier ones."""
    return [describe(part, among=parts) for part in parts]


def construct_all(descriptions: list[dict[str, Any]]) -> list:
    parts: list = []
    for description in descriptions:
        parts.append(construct(description, among=parts))
    return parts


def known_parts() -> dict[str, type]:
    """Every Part class that is imported, by name."""
    found, todo = {}, [Part]
    while todo:
        for cls in todo.pop().__subclasses__():
            found[cls.__name__] = cls
            todo.append(cls)
    return found
