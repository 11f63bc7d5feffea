"""Tabular: tables as they are, with words: a TableEncoder before an autoencoder's network, and behind it.

    table_encoder_.transform           X, a table -> Z (N, D), what the network reads: numbers scaled, words one-hot
    table_encoder_.inverse_transform   Z -> cells

Only where X has words: numbers alone go to the network as they are, or by `scaling`.
"""

from __future__ import annotations

import copy
from dataclasses import KW_ONLY
from typing import Any, ClassVar

import numpy as np

from nanoae.autoencoders.estimator import as_type
from nanoae.autoencoders.generative import Generative
from nanoae.autoencoders.kinds import Part
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
    """An estimator that learns tables with words.

    table_encoder_   what `fit` has learned of their columns; None where X had numbers alone
    """

    _: KW_ONLY
    table_encoder: Any = parameter(
        None,
        Part(TableEncoder, {}, "TableEncoder(max_categories=20)"),
        "of tables with words, learned by `fit`; one that is fitted stays as it is, and X may be what it made of a "
        "table",
    )
    table_encoder_: ClassVar[TableEncoder | None] = None
    reads_words: ClassVar[bool] = True

    # ---------------------------------------------------------------- learning

    def _learn_schema(self, X: Any, sample_weight: Any = None) -> np.ndarray:
        """X, checked, once it is known what its columns are, and which hidden layers suit them."""
        self.check_parameters()
        built = self.as_built
        afresh = not self.goes_on
        self._learn_table(X, sample_weight)
        checked = self._check_X(X, afresh, sample_weight)
        self._settle(**hidden_layers(built, checked))
        return checked

    def _learn_table(self, X: Any, sample_weight: Any = None) -> None:
        """table_encoder_, of the rows of X that count, if X is a table with words."""
        if self.table_encoder_ is not None:  # of a fit before, which this one goes on from
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
        """Read tables by `encoder` from here on, and learn words by their cross-entropy."""
        built = self.as_built
        if built.scaling not in (AUTO, "none"):
            raise ValueError(
                f"{type(self).__name__}: expected scaling 'auto' or 'none' for a table with words, whose numbers "
                f"TableEncoder scales, got {built.scaling!r}."
            )
        if not isinstance(built.loss, Loss) and built.loss != "mse":
            raise ValueError(
                f"{type(self).__name__}: expected loss='mse' for a table with words, squared errors of numbers and "
                f"cross-entropies of words, got {built.loss!r}."
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

    # ---------------------------------------------------------------- there and back

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
        """Whether X is what table_encoder_ makes of a table: wider than the table itself, and numbers alone."""
        return (
            self.table_encoder_ is not None
            and isinstance(X, (np.ndarray, Rows))
            and X.dtype.kind == "f"
            and X.shape[1:] == (sum(self.table_encoder_.blocks_),)
        )

    def _as_cells(self, Z: np.ndarray) -> np.ndarray:
        """What the network gives, Z (N, D), as cells (N, columns) of the table, if it learned one with words."""
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
