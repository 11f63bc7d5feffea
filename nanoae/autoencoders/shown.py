"""Shown: summaries and figures of an estimator with a network."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from nanoae.autoencoders.plan import settings_text
from nanoae.autoencoders.reach import output_range
from nanoae.autoencoders.trained import Trained
from nanoae.backend import Shape
from nanoae.columns import columns
from nanoae.engine.layers import batch_of
from nanoae.engine.network import Sequential

# Parameters that determine the layers, shown before they are built
SIZES = ("sizes", "hidden", "code_size", "encoder", "decoder")


class Shown(Trained):
    """An estimator whose network_ can be summarised and plotted."""

    network_: Sequential
    history_: dict[str, list[float]]
    _n_encoder: int
    draws_rows: ClassVar[bool] = True  # True if reconstructions can be plotted next to rows
    _left_open: dict[str, Any]  # the user's values ("auto") of parameters settled since

    def _encode(self, X: Any, **condition: Any) -> np.ndarray:
        raise NotImplementedError

    def _settle(self, **found: Any) -> None:
        """Replace these parameter values in `as_built`."""
        built = self.as_built
        given = {name: getattr(built, name) for name in found}
        self._left_open = {**given, **self._left_open}
        vars(built).update(found)

    def summary(self) -> str:
        """Return a table of layers, output shapes and parameter counts, with the total and the values of "auto"
        settings. Before `build` or `fit`, only the sizes that are set, since the layers also depend on the data."""
        params = self.as_built.get_params(deep=False)
        if self.scaler_:
            params["scaling"] = self.scaling_
        settings = settings_text(params, vars(self).get("_left_open", {}))
        if not hasattr(self, "network_"):
            sizes = (name for name in SIZES if params.get(name) is not None)
            known = "".join(f"{name:<10}{params[name]}\n" for name in sizes)
            return f"layers    not built yet: call build(shape) or fit\n{known}{settings}"
        lines = [("layer", "output", "parameters")]
        for i, layer in enumerate(self.network_.layers):
            count = sum(array.size for array in layer.params.values())
            mark = "  <- code" if i == self._n_encoder - 1 else ""
            lines.append((repr(layer), batch_of(layer.out_shape), f"{count:,}{mark}"))
        lines.append(("total", "", f"{self.network_.theta.size:,}"))
        return "\n".join([*columns(lines), settings])

    @property
    def best_epoch_(self) -> int | None:
        """The epoch, counted from 1, whose weights were restored by early stopping; None if the last were kept."""
        watched = self.history_.get("val_loss")
        if self.as_built.patience is None or not watched:
            return None
        return int(np.nan_to_num(watched, nan=np.inf).argmin()) + 1

    def as_numbers(self, X: Any) -> tuple[np.ndarray, Any]:
        """Return (checked X as numbers (N, D), the names (D,) of its columns or None); for a table with text, its
        encoding by table_encoder_."""
        return np.asarray(self._check_X(X)), getattr(self, "feature_names_in_", None)

    def plot(
        self,
        X: Any = None,
        y: Any = None,
        *,
        shape: Shape | None = None,
        ax: Any = None,
        **extra: Any,
    ) -> Any:
        """Plot the loss per epoch; or, given rows X, their reconstructions; or, with labels y (N,) or for a predictor,
        their codes. Returns a matplotlib Axes. `nanoae.plot` has more.

        shape    image shape if X holds flat images: (28, 28)
        ax       the Axes to draw on; None: a new figure
        extra    condition=, for conditional models
        """
        from nanoae import plot

        self.check_fitted()
        name = type(self).__name__
        if X is None:
            return plot.loss(self.history_, kept=self.best_epoch_, title=f"{name}: loss", ax=ax)
        if y is not None or not self.draws_rows:
            return plot.codes(self._encode(X, **extra), y, title=f"{name}: codes", ax=ax)
        rows, columns = self.as_numbers(X)
        reconstruct: Any = self.reconstruct  # type: ignore[attr-defined]
        batches = {"original": rows, name: reconstruct(rows, **extra)}
        return plot.reconstructions(batches, shape, columns=columns, ax=ax)

    def _repr_html_(self) -> str:
        """Return the layers and losses as HTML, for notebooks."""
        from nanoae.plot.notebook import table_and_curve

        if not self.__sklearn_is_fitted__():
            return table_and_curve(repr(self), "not fitted", {})
        return table_and_curve(repr(self), self.summary(), self.history_)

    @property
    def black_(self) -> float:
        """The value of black pixels in X: -1 if the network ends in a tanh, else 0. White is 1."""
        return -1.0 if output_range(self.network_) == (-1, 1) else 0.0
