"""Member: one autoencoder of a detector with its scaler and its scores."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from nanoae.anomaly.scores import Score
from nanoae.autoencoders.autoencoder import Autoencoder
from nanoae.autoencoders.model_file import pack, unpack
from nanoae.autoencoders.part import part_of_another
from nanoae.autoencoders.reach import OutOfReach
from nanoae.autoencoders.saved import Saved
from nanoae.autoencoders.scaled import scaling_name
from nanoae.configurable import arguments, to_config
from nanoae.data.field import promised
from nanoae.data.scaling import Scaler, fit_rows
from nanoae.rows import Rows
from nanoae.survey import sample
from nanoae.training.checkpoint import Checkpoints


@contextlib.contextmanager
def without_interrupt_warning() -> Iterator[None]:
    """Suppress the warning of an interrupted training, which says that the model is kept: a detector does not keep it.

    Only the main thread receives Ctrl-C. Other threads leave the warning filters alone: they are global to the process,
    so two threads that change and restore them would interfere.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "training was interrupted")
        yield


class Member:
    """One autoencoder with its scaler and its scores."""

    def __init__(self, scaler, model, scores, seed: np.random.SeedSequence | None = None):
        self.scaler, self.scores = copy.deepcopy((scaler, scores))
        self.model = copy.deepcopy(model)
        self.model.set_output(transform="default")  # arrays, whatever scikit-learn's configuration
        if "scaling" in self.model.get_params(deep=False):
            self.model.set_params(scaling="none")  # this member's scaler scales the rows
        self.numbers: Any = ...  # the columns to scale: all, or those of numbers
        self.seed = None if seed is None else int(seed.generate_state(1)[0])

    def fit(self, X: np.ndarray, checkpoints: Checkpoints | None, others: np.ndarray) -> None:
        """Train on the rows X. The others (M, ...) only serve as references for scores that compare rows."""
        fit_rows(self.scaler, X, lambda x: x[:, self.numbers])
        Z = self.scaled(X)
        settings = {} if checkpoints is None else {"checkpoint_dir": checkpoints}
        try:
            with without_interrupt_warning(), part_of_another():
                fitted = self.model.set_params(random_state=self.seed).fit(Z, **settings)
        except OutOfReach as error:
            raise self.scaling_error(error) from error
        if getattr(fitted, "interrupted_", False):
            raise KeyboardInterrupt  # an incomplete ensemble or training is not a detector
        self.model = in_float64(fitted)
        Z = sample(Z)
        for score in self.scores:
            score.fit(self.model, Z)
            if len(others):
                score.compare_with(self.model, self.scaled(others))

    def scaling_error(self, error: OutOfReach) -> OutOfReach:
        """Return the error for columns that the autoencoder cannot reach because of the detector's scaling."""
        if type(self.scaler) is Scaler:
            return error
        return OutOfReach(
            "AnomalyDetector",
            f"{error.finding} after scaling={scaling_name(self.scaler)!r}",
            'Use scaling="none" if the columns are in this range already, or an autoencoder with an unbounded output',
        )

    def scaled(self, X: np.ndarray) -> np.ndarray:
        """Return X (N, ...) as the network sees it, float32."""
        if isinstance(X, Rows):
            return X.then(self.scaled, X.shape[1:], np.float32)  # type: ignore[return-value]
        wanted = X if self.numbers is ... else X[:, self.numbers]
        found = self.scaler.transform(wanted)
        if np.shape(found) != wanted.shape:
            raise ValueError(
                f"{type(self.scaler).__name__}.transform: expected shape {wanted.shape}, that of X, got "
                f"{np.shape(found)}."
            )
        if self.numbers is ...:
            return found
        Z = X.astype(np.float32)
        Z[:, self.numbers] = found
        return Z

    def raw(self, X: np.ndarray, method: str = "score") -> np.ndarray:
        """Return the results of a method of all scores, (S, N); NaN if the network's weights are not finite."""
        Z = self.scaled(X)
        model = CachedModel(self.model, Z)
        found = []
        for score in self.scores:
            each = np.asarray(getattr(score, method)(model, Z))
            if each.shape != (len(Z),) or each.dtype.kind not in "biuf":
                raise ValueError(
                    f"{type(score).__name__}.score: expected shape ({len(Z)},), a number per row, got "
                    f"{each.shape} of {each.dtype}."
                )
            found.append(each)
        return np.where(self.model.network_.finite, np.array(found, np.float64), np.nan)

    def shares(self, X: np.ndarray) -> np.ndarray:
        """Return each feature's share of each score, (S, N, ...); the shares of a row sum to 1."""
        self.model.check_weights()  # broken weights must not be attributed to a column
        Z = self.scaled(X)
        return np.array([score.shares(self.model, Z) for score in self.scores])

    def expected(self, X: np.ndarray) -> np.ndarray:
        """Return the autoencoder's reconstructions of X (N, ...), on X's scale."""
        reconstruction = self.model.reconstruct(self.scaled(X)).astype(np.float64)
        reconstruction[:, self.numbers] = self.scaler.inverse_transform(
            reconstruction[:, self.numbers]
        )
        return reconstruction

    def parts(self) -> dict[str, Scaler | Score]:
        """Return the learned parts other than the autoencoder, by their names in a file."""
        scores = {f"score{i}": each for i, each in enumerate(self.scores)}
        return {"scaler": self.scaler} | scores

    def to_file(self):
        facts, arrays = pack(self.model)
        described = {
            "scaler": to_config(self.scaler),
            "scores": [to_config(score) for score in self.scores],
            "model": {"type": facts["class"], **facts["params"]},
            "facts": facts,
        }
        for prefix, part in self.parts().items():
            learned = kept(part)
            arrays.update({f"{prefix}.{name}": value for name, value in learned.items()})
        return described, arrays

    @classmethod
    def from_file(cls, described: dict[str, Any], arrays: Saved) -> Member:
        params = promised(described, "model", dict)
        facts = promised(described, "facts", dict)
        kind = promised(params, "type", str)
        model = unpack({**facts, "class": kind, "params": params}, arrays)
        if not isinstance(model, Autoencoder):
            raise ValueError(f"expected an autoencoder, got {model!r:.80}.")
        scaler = arrays.from_config(described.get("scaler"), Scaler)
        wanted = promised(described, "scores", [dict])
        member = cls(scaler, model, [arrays.from_config(score, Score) for score in wanted])
        for name, part in member.parts().items():
            arrays.under(name).restore(part)
        return member


def kept(part: Scaler | Score) -> dict[str, np.ndarray]:
    """Return the arrays that a part has learned, for a file. Raise ValueError for anything a file cannot store."""
    learned = {name: np.asarray(value) for name, value in part.learned().items()}
    for name in vars(part).keys() - set(arguments(type(part))):  # type: ignore[arg-type]
        if name not in learned or learned[name].dtype.kind not in "biuf":
            raise ValueError(
                f"{type(part).__name__}: expected fit to store what it learns in numeric arrays whose names end in "
                f"'_', since files hold no others, got {name!r}, a {type(getattr(part, name)).__name__}."
            )
    return learned


class CachedModel:
    """A model that caches its codes and reconstructions of the rows Z, which several scores use. An `Autoencoder`'s
    reconstructions are decoded from the codes; subclasses may reconstruct differently."""

    def __init__(self, model, Z: np.ndarray):
        self._model = model
        self._rows = Z

    def __getattr__(self, name):
        return getattr(self._model, name)

    @functools.cached_property
    def _codes(self) -> np.ndarray:
        return self._model.transform(self._rows)

    @functools.cached_property
    def _reconstruction(self) -> np.ndarray:
        if type(self._model) is Autoencoder and np.isfinite(self._codes).all():
            return self._model.inverse_transform(self._codes)
        return self._model.reconstruct(self._rows)

    def transform(self, Z: np.ndarray) -> np.ndarray:
        return self._codes if Z is self._rows else self._model.transform(Z)

    def reconstruct(self, Z: np.ndarray) -> np.ndarray:
        return self._reconstruction if Z is self._rows else self._model.reconstruct(Z)


def in_float64(model):
    """Return a float64 copy of a fitted autoencoder, so that a row's score does not depend on the rest of its batch."""
    facts, arrays = model.to_file()
    exact = model.as_built.unfitted(dtype="float64")
    exact.set_output(transform="default")
    facts = json.loads(json.dumps({"input_shape": list(model.input_shape_), **facts}))
    exactly = {name: array.astype(np.float64) for name, array in arrays.items()}
    exact.from_file(facts, Saved(exactly))
    exact.record_schema(model.input_shape_)
    return exact
