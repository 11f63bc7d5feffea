"""Parameters: the arguments of an estimator's constructor: declared once, as they are set now, and as they were when it
was built.

An `@estimator` is a dataclass, and each of its fields a `parameter`: default, kind and meaning. From that follow the
constructor, `get_params`, the check before a `fit`, the table in the documentation, and the options of the command
line. A subclass says another default as `epochs: int = 5`, and takes a parameter away as `loss: ClassVar = "mse"`.
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
    """A field of an estimator: its default, the kind of its values, and what it is for."""
    return dataclasses.field(default=default, metadata={"kind": kind, "meaning": meaning})


def declared(kind: type) -> dict[str, Mapping[str, Any]]:
    """Parameter -> {"kind": ..., "meaning": ...}, an estimator's own before those that it inherits."""
    found: dict[str, Mapping[str, Any]] = {}
    for base in kind.__mro__:
        fields: dict[str, dataclasses.Field[Any]] = vars(base).get("__dataclass_fields__", {})
        for name in vars(base).get("__annotations__", ()):
            if name in fields:
                found[name] = found.get(name) or fields[name].metadata
    taken = arguments(kind)  # type: ignore[arg-type]
    return {name: row for name, row in found.items() if row and name in taken}


class Documentation:
    """A class's documentation with a table of its parameters behind it, made when somebody reads it."""

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
    """A class whose fields are parameters, with a table of them behind its documentation."""
    dataclasses.dataclass(eq=False, repr=False)(kind)
    kind.__doc__ = Documentation(kind.__doc__)  # type: ignore[assignment]
    return kind


def restored(method: F, settles: bool = False) -> F:
    """`method`, which leaves the estimator as it was, fitted or not, where it raises.

    settles   whether it begins by settling the parameters
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
    """A `fit` that settles the parameters, and is `restored`."""
    return restored(fit, settles=True)


class Parametrised(Configurable):
    """scikit-learn's `get_params` and `set_params`, and what methods go by once `fit` has settled the parameters."""

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return sorted(arguments(cls))  # type: ignore[arg-type]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments as stored; with `deep`, those of estimators among them as `name__their_name`."""
        params: dict[str, Any] = {}
        for name in self._parameter_names():
            params[name] = value = getattr(self, name)
            if deep and hasattr(value, "get_params") and not isinstance(value, type):
                params.update({f"{name}__{key}": sub for key, sub in value.get_params().items()})
        return params

    def set_params(self, **params: Any) -> Self:
        """Store new arguments; ValueError for a name that does not exist. They count from the next `fit` on: what is
        fitted answers as it was built."""
        for key, value in params.items():
            name, _, rest = key.partition("__")
            one_of(f"{type(self).__name__}: parameter", name, self._parameter_names())
            if not rest:
                setattr(self, name, value)
                continue
            inner = getattr(self, name)
            if not hasattr(inner, "set_params"):
                raise ValueError(
                    f"{type(self).__name__}: expected an estimator as {name} to set {rest!r} of, got {inner!r}."
                )
            inner.set_params(**{rest: value})
        return self

    def settle(self) -> None:
        """From here on the parameters are what they are now: see `as_built`."""
        self._as_built = self.unfitted()

    def unfitted(self, **changed: Any) -> Any:
        """Another one with copies of these parameters, but for those `changed`, and without callbacks.

        A subclass's constructor may take fewer of them than there are: the others are set after it."""
        taken = self._parameter_names()
        own = [field.name for field in dataclasses.fields(self) if field.init]  # type: ignore[arg-type]
        params = {name: getattr(self, name) for name in {*taken, *own} - {"callbacks"}}
        # a class, or a function that makes a part, as the part itself: so a file can hold it
        params |= {name: self.part(name) for name, value in params.items() if callable(value)}
        params = {**copy.deepcopy(params), **changed}
        given = {name: params.pop(name) for name in taken if name in params}
        twin = type(self)(**given)
        vars(twin).update(params)
        return twin

    @property
    def as_built(self) -> Any:
        """An unfitted twin with the parameters that this estimator was built with: what its methods go by, whatever was
        set, or changed within a parameter, since then. Before `fit`, and in the twin, it is the estimator itself."""
        return vars(self).get("_as_built", self)

    def config(self) -> dict[str, Any]:
        """The constructor's arguments as a file can hold them: device and type of numbers by their names."""
        config = super().config()
        if "backend" in config:
            config["backend"] = getattr(config["backend"], "name", config["backend"])
        if isinstance(config.get("dtype"), (type, np.dtype)):
            config["dtype"] = np.dtype(config["dtype"]).name
        return config

    def part(self, name: str) -> Any:
        """What the parameter called `name` stands for: of "gaussian:0.5" GaussianNoise(0.5)."""
        row = declared(type(self)).get(name)
        value = getattr(self, name)
        return value if row is None else row["kind"].meant(value)

    def check_parameters(self) -> None:
        """ValueError for a parameter that is not of its kind."""
        for name, row in declared(type(self)).items():
            row["kind"].check(type(self).__name__, name, getattr(self, name))
