"""Data frame output of `transform`; pandas and polars are imported only when they are requested."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from nanoae.spelling import one_of

F = TypeVar("F", bound=Callable[..., Any])
OUTPUTS = ("default", "pandas", "polars")


class FrameOutput:
    """Base class of transformers, which return arrays or data frames like those of scikit-learn."""

    _sklearn_output_config: dict[str, str]  # the name that scikit-learn's clone copies

    def set_output(self, *, transform: str | None = None):
        """Set the output of `transform` and `fit_transform`: "default" (an array), "pandas" or "polars" (a data frame
        whose columns are `get_feature_names_out`, with the index of the input); None changes nothing.

        Without a call, the output follows `sklearn.set_config(transform_output=...)`.
        """
        if transform is not None:
            self._sklearn_output_config = {"transform": _known(transform)}
        return self

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        raise NotImplementedError

    def _framed(self, result: np.ndarray, X: Any) -> Any:
        """Return `result` (N, K), the transform of X, as an array or the requested data frame."""
        sklearn = sys.modules.get("sklearn")
        everywhere = sklearn.get_config()["transform_output"] if sklearn else "default"
        name = _known(getattr(self, "_sklearn_output_config", {}).get("transform", everywhere))
        if name == "default":
            return result
        try:
            library = importlib.import_module(name)
        except ImportError as error:
            raise ImportError(
                f"{type(self).__name__}: expected {name} for the requested output, got no such package. "
                f'pip install {name}, or set_output(transform="default").'
            ) from error
        if result.ndim != 2:
            raise ValueError(
                f"{type(self).__name__}: expected codes (N, K) for a data frame, got {result.shape}. Use "
                'set_output(transform="default").'
            )
        names = self.get_feature_names_out()
        if name == "polars":
            return library.DataFrame(result, schema=names.tolist(), orient="row")
        index = X.index if isinstance(X, (library.DataFrame, library.Series)) else None
        return library.DataFrame(result, index=index, columns=names, copy=False)


def framed(transform: F) -> F:
    """Wrap a method `transform(self, X, ...)` -> array (N, K) so that it returns a data frame if one is requested."""

    @functools.wraps(transform)
    def wanted(self: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
        return self._framed(transform(self, X, *args, **kwargs), X)

    return cast(F, wanted)


def _known(name: Any) -> str:
    return one_of("set_output: transform", name, OUTPUTS)
