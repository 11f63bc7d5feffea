"""Parameters: the arguments of an estimator's constructor: their declaration, present values, and values when built.

An `@estimator` is a dataclass whose fields are declared by `parameter`: default, kind and meaning. The constructor,
`get_params`, the checks in `fit`, the table in the documentation and the command-line options are derived from them. A
subclass changes a default with `epochs: int = 5` and removes a parameter with `loss: ClassVar = "mse"`.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import numpy as np

from nanoae.autoencoders.kinds import Kind
from nanoae.configurable import Configurable, Self, T, arguments, dataclass_transform
from nanoae.spelling import one_of

F = TypeVar("F", bound=Callable[..., Any])


def parameter(default: Any, kind: Kind, meaning: str) -> Any:
    """Declare a field of an estimator: its default, the kind of its values, and its meaning."""
    return dataclasses.field(default=default, metadata={"kind": kind, "meaning": meaning})


def declared(kind: type) -> dict[str, Mapping[str, Any]]:
    """Return {parameter: {"kind": ..., "meaning": ...}}, the estimator's own parameters before inherited ones."""
    found: dict[str, Mapping[str, Any]] = {}
    for base in kind.__mro__:
        fields: dict[str, dataclasses.Field[Any]] = vars(base).get("__dataclass_fields__", {})
        for name in vars(base).get("__annotations__", ()):
            if name in fields:
                found[name] = found.get(name) or fields[name].metadata
    taken = arguments(kind)  # type: ignore[arg-type]
    return {name: row for name, row in found.items() if row and name in taken}


class Documentation:
    """A class's docstring followed by a table of its parameters, generated on access."""

    def __init__(self, text: str | None) -> None:
        self.text = text or ""

    def __get__(self, _: Any, kind: type) -> str:
        rows = declared(kind).items()
        width = max(len(name) for name, _ in rows) + 3
        table = ["    Parameters", ""]
        for name, row in rows:
            takes = row["kind"].takes
            text = f"{name:<{width}}{row['meaning']}{takes and f' ({takes})'}"
            table.append(
                textwrap.fill(
                    text, 120, initial_indent=" " * 4, subsequent_indent=" " * (width + 4)
                )
            )
        return "\n".join([self.text.rstrip(), "", *table, ""])


@dataclass_transform(field_specifiers=(dataclasses.field,))
def estimator(kind: T) -> T:
    """Make a class an estimator: a dataclass whose docstring ends in a table of its parameters."""
    dataclasses.dataclass(eq=False, repr=False)(kind)
    kind.__doc__ = Documentation(kind.__doc__)  # type: ignore[assignment]
    return kind


def restored(method: F, settles: bool = False) -> F:
    """Wrap `method` so that it restores the estimator's state if it raises.

    settles   True to settle the parameters first
    """

    @functools.wraps(method)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = vars(self).copy()
        try:
            if settles:
                self.settle()
            return method(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return cast(F, wrapped)


def transactional(fit: F) -> F:
    """Wrap a `fit` so that it settles the parameters, and restores the state if it raises."""
    return restored(fit, settles=True)


class Parametrised(Configurable):
    """scikit-learn's `get_params` and `set_params`, and the parameters that a fitted estimator was built with."""

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return sorted(arguments(cls))  # type: ignore[arg-type]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments; with `deep`, also those of nested estimators as `name__their_name`."""
        params: dict[str, Any] = {}
        for name in self._parameter_names():
            params[name] = value = getattr(self, name)
            if deep and hasattr(value, "get_params") and not isinstance(value, type):
                params.update({f"{name}__{key}": sub for key, sub in value.get_params().items()})
        return params

    def set_params(self, **params: Any) -> Self:
        """Store new arguments; ValueError for an unknown name. They take effect in the next `fit`: a fitted estimator
        keeps working as it was built."""
        for key, value in params.items():
            name, _, rest = key.partition("__")
            one_of(f"{type(self).__name__}: parameter", name, self._parameter_names())
            if not rest:
                setattr(self, name, value)
                continue
            inner = getattr(self, name)
            if not hasattr(inner, "set_params"):
                raise ValueError(
                    f"{type(self).__name__}: expected {name} to be an estimator with parameter {rest!r}, got {inner!r}."
                )
            inner.set_params(**{rest: value})
        return self

    def settle(self) -> None:
        """Store a copy of the present parameters as `as_built`."""
        self._as_built = self.unfitted()

    def unfitted(self, **changed: Any) -> Any:
        """Return an unfitted copy with the parameters in `changed` replaced, and without callbacks.

        Parameters that a subclass's constructor does not take are set afterwards."""
        taken = self._parameter_names()
        own = [field.name for field in dataclasses.fields(self) if field.init]  # type: ignore[arg-type]
        params = {name: getattr(self, name) for name in {*taken, *own} - {"callbacks"}}
        # Replace classes and factories by the parts they make, so that a file can store them
        params |= {name: self.part(name) for name, value in params.items() if callable(value)}
        params = {**copy.deepcopy(params), **changed}
        given = {name: params.pop(name) for name in taken if name in params}
        twin = type(self)(**given)
        vars(twin).update(params)
        return twin

    @property
    def as_built(self) -> Any:
        """An unfitted twin with the parameters that this estimator was built with. Its methods use them, whatever has
        been set or modified since. Before `fit`, and in the twin, it is the estimator itself."""
        return vars(self).get("_as_built", self)

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments in a form that a file can store: backend and dtype by name."""
        config = super().config()
        if "backend" in config:
            config["backend"] = getattr(config["backend"], "name", config["backend"])
        if isinstance(config.get("dtype"), (type, np.dtype)):
            config["dtype"] = np.dtype(config["dtype"]).name
        return config

    def part(self, name: str) -> Any:
        """Resolve the value of parameter `name`: GaussianNoise(0.5) for "gaussian:0.5"."""
        row = declared(type(self)).get(name)
        value = getattr(self, name)
        return value if row is None else row["kind"].meant(value)

    def check_parameters(self) -> None:
        """Raise ValueError for a parameter with an invalid value."""
        for name, row in declared(type(self)).items():
            row["kind"].check(type(self).__name__, name, getattr(self, name))
