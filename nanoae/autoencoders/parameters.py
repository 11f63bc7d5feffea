"""Parameters: the arguments of an estimator's constructor, as they are set now, and as they were when it was built."""

from __future__ import annotations

import copy
import functools
import inspect
import math
from typing import Any

import numpy as np

from nanoae.engine.part import Part
from nanoae.spelling import one_of


def restored(method):
    """`method`, which leaves the estimator as it was, fitted or not, where it raises."""

    @functools.wraps(method)
    def whole(self, *args, **kwargs):
        before = vars(self).copy()
        try:
            return method(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return whole


def all_or_nothing(fit):
    """A `fit` that settles the parameters, and is `restored`."""

    @restored
    @functools.wraps(fit)
    def whole(self, *args, **kwargs):
        self.settle()
        return fit(self, *args, **kwargs)

    return whole


class Parametrised(Part):
    """scikit-learn's `get_params` and `set_params`, and what methods go by once `fit` has settled the parameters."""

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return sorted(name for name in inspect.signature(cls.__init__).parameters if name != "self")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments as stored; with `deep`, those of estimators among them as `name__their_name`."""
        params: dict[str, Any] = {}
        for name in self._parameter_names():
            params[name] = value = getattr(self, name)
            if deep and hasattr(value, "get_params") and not isinstance(value, type):
                params.update({f"{name}__{key}": sub for key, sub in value.get_params().items()})
        return params

    def set_params(self, **params):
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
        params = self.get_params(deep=False)
        params.pop("callbacks", None)  # which only `fit` calls
        self._as_built = type(self)(**copy.deepcopy(params))

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

    def _check_whole(self, least: int = 1, **values) -> None:
        """ValueError for a value, given by its parameter's name, that is no whole number >= `least`."""
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise ValueError(
                    f"{type(self).__name__}: expected {name} to be a whole number >= {least}, got {value!r}."
                )

    def _check_number(self, **values) -> None:
        """ValueError for a value, given by its parameter's name, that is no number >= 0."""
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 <= value < math.inf:
                raise ValueError(f"{type(self).__name__}: expected {name} to be a number >= 0, got {value!r}.")

    def _check_flag(self, **values) -> None:
        """ValueError for a value, given by its parameter's name, that is neither True nor False: "no" is no False."""
        for name, value in values.items():
            if not isinstance(value, (bool, np.bool_, int, np.integer)) or value not in (0, 1):
                raise ValueError(f"{type(self).__name__}: expected {name} to be True or False, got {value!r}.")
