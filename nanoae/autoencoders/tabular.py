"""Tabular: autoencoders of tables with text: a TableEncoder encodes the network's input and decodes its output.

    table_encoder_.transform           X, a table -> Z (N, D), the network's input: scaled numbers, one-hot text
    table_encoder_.inverse_transform   Z -> cells

It is used only if X has text. Purely numeric tables go to the network unchanged, or scaled by `scaling`.
"""

from __future__ import annotations

import copy
from dataclasses import KW_ONLY
from typing import Any, ClassVar

import numpy as np

from nanoae.autoencoders.estimator import as_type
from nanoae.autoencoders.generative import Generative
from nanoae.autoencoders.kinds import Configured
from nanoae.autoencoders.parameters import estimator, parameter
from nanoae.autoencoders.plan import AUTO, hidden_layers
from nanoae.autoencoders.saved import Packed
from nanoae.autoencoders.table_losses import Mixed
from nanoae.autoencoders.warm_start import WarmStart
from nanoae.autoencoders.weights import weighted_rows
from nanoae.backend import Shape
from nanoae.data.cell import objects
from nanoae.data.encoder import TableEncoder
from nanoae.data.table import Table, has_text
from nanoae.engine.losses import Loss
from nanoae.rows import Rows


@estimator
class Tabular(WarmStart, Generative):
    """An estimator for tables with text.

    table_encoder_   the encoder fitted by `fit`; None if X was purely numeric
    """

    _: KW_ONLY
    table_encoder: Any = parameter(
        None,
        Configured(TableEncoder, {}, "TableEncoder(max_categories=20)"),
        "encoder of tables with text, fitted by `fit`; a fitted one is used unchanged, and X may be its output",
    )
    table_encoder_: ClassVar[TableEncoder | None] = None
    reads_words: ClassVar[bool] = True

    # ---------------------------------------------------------------- learning

    def _learn_schema(self, X: Any, sample_weight: Any) -> np.ndarray:
        """Return X, checked, after learning its columns and settling the hidden layers for them."""
        self.check_parameters()
        reset = not self.goes_on
        self._learn_table(X, sample_weight)
        checked = self._check_X(X, reset, sample_weight)
        self._settle(**self._suited(checked))
        return checked

    def _suited(self, X: np.ndarray) -> dict[str, str]:
        """Return the values of the "auto" settings of the layers for the training rows X (N, ...)."""
        return hidden_layers(self.as_built, X)

    def _learn_table(self, X: Any, sample_weight: Any = None) -> None:
        """Learn table_encoder_ from the rows of X with positive weight, if X has text."""
        if self.table_encoder_ is not None:  # from the previous fit, in a warm start
            self._adopt(self.table_encoder_)
            return
        given = getattr(X, "encoder", None) or self.as_built.table_encoder
        if given is not None and given.fitted:
            self._adopt(copy.deepcopy(given))
            return
        name = type(self).__name__
        words = X.has_words if isinstance(X, Table) else has_text(X, name)
        if not words or not self.reads_words:
            return
        table = Table.of(X, name)
        rows, _ = weighted_rows(sample_weight, len(table), name)
        encoder = TableEncoder() if given is None else copy.deepcopy(given)
        self._adopt(encoder.fit(table.taken(rows)))

    def _adopt(self, encoder: TableEncoder) -> None:
        """Use `encoder` for tables from now on, with the cross-entropy as the loss of text."""
        built = self.as_built
        if built.scaling not in (AUTO, "none"):
            raise ValueError(
                f"{type(self).__name__}: expected scaling 'auto' or 'none' for a table with words, since TableEncoder "
                f"scales the numbers, got {built.scaling!r}."
            )
        if not isinstance(built.loss, Loss) and built.loss != "mse":
            raise ValueError(
                f"{type(self).__name__}: expected loss='mse' for a table with words (squared errors of numbers, "
                f"cross-entropies of words), got {built.loss!r}."
            )
        self.table_encoder_ = encoder  # type: ignore[misc]
        if built.loss == "mse" and max(encoder.blocks_) > 1:
            self._settle(loss=Mixed(encoder.blocks_))

    def _on_scale(self, X: Any) -> bool:
        return self.table_encoder_ is not None or super()._on_scale(X)

    def record_schema(self, shape: Shape, names: Any = None, units: Any = ()) -> None:
        super().record_schema(shape, names, units)
        if self.table_encoder_ is not None:
            self.feature_names_in_ = objects(self.table_encoder_.names_)
            self.n_features_in_ = len(self.table_encoder_.names_)

    # ---------------------------------------------------------------- encoding

    def _check_X(self, X: Any, reset: bool = False, sample_weight: Any = None) -> np.ndarray:
        encoder = self.table_encoder_
        if encoder is None:
            return super()._check_X(X, reset, sample_weight)
        name = type(self).__name__
        if not self._is_encoded(X):
            X = encoder.encoded(X, name, self._takes_missing())
        if reset:
            if len(X) < 2:
                raise ValueError(f"{name}: expected at least 2 rows to learn from, got {len(X)}.")
            self.record_schema(X.shape[1:])
        return as_type(X, self._float())

    def as_numbers(self, X: Any) -> tuple[np.ndarray, Any]:
        rows, names = super().as_numbers(X)
        encoder = self.table_encoder_
        return rows, names if encoder is None else encoder.get_feature_names_out()

    def _is_encoded(self, X: Any) -> bool:
        """Return True if X is an output of table_encoder_: numeric, with the width of the encoding."""
        return (
            self.table_encoder_ is not None
            and isinstance(X, (np.ndarray, Rows))
            and X.dtype.kind == "f"
            and X.shape[1:] == (sum(self.table_encoder_.blocks_),)
        )

    def _as_cells(self, Z: np.ndarray) -> np.ndarray:
        """Decode network outputs Z (N, D) to the table's cells (N, columns), if it has an encoder."""
        return Z if self.table_encoder_ is None else self.table_encoder_.inverse_transform(Z)

    # ---------------------------------------------------------------- keeping

    def to_file(self) -> Packed:
        facts, arrays = super().to_file()
        if self.table_encoder_ is None:
            return facts, arrays
        table, learned = self.table_encoder_.to_file()
        arrays |= {f"table.{name}": array for name, array in learned.items()}
        return {**facts, "table": table, "feature_names": None}, arrays

    def _settings_from_file(self, header: dict[str, Any], arrays: Any) -> None:
        super()._settings_from_file(header, arrays)
        if header.get("table"):
            self._adopt(TableEncoder.from_file(header["table"], arrays.under("table")))
