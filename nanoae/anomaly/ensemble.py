"""Ensemble: the autoencoders of all folds, and the combination of their scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanoae.anomaly.calibration import SeenRows, row_keys
from nanoae.anomaly.member import Member
from nanoae.anomaly.surprise import Standing, Surprise
from nanoae.autoencoders.saved import Saved
from nanoae.data.field import promised
from nanoae.guard import in_turn
from nanoae.progress import progress
from nanoae.rows import by_blocks
from nanoae.survey import sample
from nanoae.training.checkpoint import Checkpoints


class Ensemble:
    """members, fold by fold; standings, one per score of a fold's members, shared by all folds; seen, the training rows
    (None for a single fold); deviation (...), how far each feature of a normal row usually is from its reconstruction.
    """

    standings: list[Standing | Surprise]
    seen: SeenRows | None
    deviation: np.ndarray

    def __init__(self, members: list[Member], n_folds: int):
        self.members = members
        self.n_folds = n_folds

    def fit(
        self, X: np.ndarray, folds: np.ndarray, checkpoints: Checkpoints | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Train each fold's members on the rows of X (N, ...) outside the fold (a single row is used twice). Return the
        scores (N,) of X, those of held-out rows by members that never saw them, and the scores (M,) that thresholds and
        p-values come from: of held-out rows, as by `left_out`."""
        verbose = any(getattr(member.model, "verbose", False) for member in self.members)
        for fold in progress(range(self.n_folds), label="folds", show=verbose):
            learned = X[folds != fold]
            if len(learned) < 2:
                learned = np.repeat(learned, 2, axis=0)
            others = unlike(X[folds == fold], learned) if self.n_folds > 1 else X[:0]
            for member in self.of_fold(fold):
                member.fit(learned, checkpoints, others)
        was_kept_out = folds >= 0
        tested = X[was_kept_out]
        self.seen = SeenRows.of(tested, folds[was_kept_out]) if self.n_folds > 1 else None
        found = [
            self.raw(fold, block)
            for fold in range(self.n_folds)
            for block in by_blocks(X[folds == fold])
        ]
        raw = np.concatenate(found, axis=1)
        undefined = ~np.isfinite(raw).all(axis=0)
        if undefined.any():
            rows = np.argsort(folds, kind="stable")[-len(undefined) :]  # in the order of raw
            raise ValueError(
                f"AnomalyDetector: expected training rows with finite scores, got NaN or infinity for row "
                f"{rows[undefined].min()} ({undefined.sum()} such rows). Their values are too large, or the score is "
                "undefined there: remove them."
            )
        self.standings = [Standing().fit(each) for each in raw]
        tested = sample(tested)
        deviation = np.abs(tested - self.expected(tested))
        missing = np.isnan(deviation).all(axis=0)
        deviation = np.where(missing, 0, deviation)
        # 1 for a standard normal variable
        self.deviation = np.nanmedian(deviation, axis=0) / 0.6745
        scores = self.score(X)
        return scores, self.left_out(X, folds, scores)[was_kept_out]

    def left_out(self, X: np.ndarray, folds: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the scores (N,) of X, with those of duplicate rows replaced by the score of each without itself.

        A new row equal to m training rows has m duplicates, each of m equal training rows has m - 1. With the same
        score for both, new rows with few duplicates would be flagged too often. Rows with more copies than a fold has
        rows keep their score."""
        found = scores.copy()
        if self.n_folds > 1:
            _, value, copies = np.unique(row_keys(X), return_inverse=True, return_counts=True)
            several = ((copies > 1) & (copies < len(X) / self.n_folds))[value]
            for fold in np.unique(folds[several]):
                rows = several & (folds == fold)
                raw = [self.raw(fold, block, "score_left_out") for block in by_blocks(X[rows])]
                found[rows] = self.parts_of(np.concatenate(raw, axis=1)[None]).sum(axis=1)[0]
        return found

    def of_fold(self, fold: int) -> list[Member]:
        size = len(self.members) // self.n_folds
        return self.members[fold * size : (fold + 1) * size]

    def raw(self, fold: int, X: np.ndarray, method: str = "score") -> np.ndarray:
        """Return (S, N): each score of each member of the fold; NaN for rows of only missing values."""
        found = np.concatenate([member.raw(X, method) for member in self.of_fold(fold)])
        found[:, empty(X)] = np.nan
        return found

    def parts(self, X: np.ndarray) -> np.ndarray:
        """Return (F, S, N): `parts_of` the scores of X by each fold."""
        return self.parts_of(np.array([self.raw(fold, X) for fold in range(self.n_folds)]))

    def parts_of(self, raw: np.ndarray) -> np.ndarray:
        """Return (F, S, N): the contribution of each of the scores raw (F, S, N) to its fold's score, the root of a
        weighted mean of powers; a single score is returned unchanged."""
        if raw.shape[1] == 1:
            return raw
        views = np.empty(raw.shape)
        for i, standing in enumerate(self.standings):
            views[:, i] = standing(raw[:, i])
        power = self.standings[0].power
        scores = [score for member in self.of_fold(0) for score in member.scores]
        weight = np.array([[score.weight if power > 1 else 1.0] for score in scores])
        parts = weight / weight.sum() * views**power  # all weights are 1 in old files
        total = parts.sum(axis=1, keepdims=True)
        return parts / total ** (1 - 1 / power)  # they sum to the root

    def weights(self, X: np.ndarray) -> np.ndarray:
        """Return (F, N): the weights of the folds' scores of each row, which sum to 1."""
        if self.seen is None:
            return np.ones((1, len(X)))
        return self.seen.of_folds(X)

    def score(self, X: np.ndarray) -> np.ndarray:
        """Return the anomaly scores (N,)."""
        scores = []
        for block in by_blocks(X):
            with in_turn(block.size):
                scores.append((self.weights(block) * self.parts(block).sum(axis=1)).sum(axis=0))
        return np.concatenate(scores)

    def shares(self, X: np.ndarray) -> np.ndarray:
        """Return each feature's share of the score, of X's shape, with the sign of its deviation from `expected`."""
        shares = np.zeros(X.shape)
        weighted = self.weights(X)[:, None] * self.parts(X)
        for fold, parts in enumerate(weighted):
            of_features = np.concatenate([member.shares(X) for member in self.of_fold(fold)])
            shares += (of_features.T * parts.T).sum(axis=-1).T
        shares[empty(X)] = 0  # these rows have no score
        return np.copysign(shares, np.nan_to_num(X - self.expected(X)))

    def expected(self, X: np.ndarray) -> np.ndarray:
        """Return the reconstructions of rows X (N, ...) by the autoencoders that have not seen them, on X's scale."""
        found = np.zeros(X.shape)
        for fold, weight in enumerate(self.weights(X)):
            mean = np.mean([member.expected(X) for member in self.of_fold(fold)], axis=0)
            found += (mean.T * weight).T
        return found

    # ---------------------------------------------------------------- keeping

    def to_file(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        facts = []
        arrays = {"deviation": self.deviation}
        for i, member in enumerate(self.members):
            fact, array = member.to_file()
            facts.append(fact)
            arrays.update({f"{i}.{name}": value for name, value in array.items()})
        for i, standing in enumerate(self.standings):
            arrays[f"{standing.name}.{i}"] = standing.learned
        if self.seen is not None:
            arrays |= {"seen.keys": self.seen.keys, "seen.weights": self.seen.weights}
        return {"members": facts, "folds": self.n_folds}, arrays

    @classmethod
    def from_file(cls, header: dict[str, Any], arrays: Saved) -> Ensemble:
        facts = promised(header, "members", [dict])
        members = [Member.from_file(fact, arrays.under(str(i))) for i, fact in enumerate(facts)]
        ensemble = cls(members, promised(header, "folds", int, 1))
        if not members or ensemble.n_folds < 1 or len(members) % ensemble.n_folds:
            raise ValueError(
                f"expected equally many members in each fold, got {len(members)} in {ensemble.n_folds} folds."
            )
        kind = Surprise if "usual.0" in arrays else Standing
        usual = arrays.under(kind.name)
        n_views = sum(len(member.scores) for member in ensemble.of_fold(0))
        views = [str(i) for i in range(n_views)]
        learned = [usual.take(i, (kind.length,)) for i in views if i in usual]
        ensemble.standings = [kind.of(numbers) for numbers in learned]
        seen = arrays.under("seen")
        ensemble.seen = None
        if "keys" in seen:
            keys = seen.take("keys", (None,), ("uint64",))
            weights = seen.take("weights", (len(keys), ensemble.n_folds))
            ensemble.seen = SeenRows(keys, weights)
        shape = members[0].model.input_shape_
        ensemble.deviation = np.full(shape, np.nan)
        if "deviation" in arrays:
            ensemble.deviation = arrays.take("deviation", shape, finite=False)
        return ensemble


def unlike(X: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the distinct rows of X (N, ...) that are not among `others` (M, ...)."""
    keys = np.concatenate([row_keys(others), row_keys(X)])
    _, first = np.unique(keys, return_index=True)
    return X[np.sort(first[first >= len(others)]) - len(others)]


def empty(X: np.ndarray) -> np.ndarray:
    """Return (N,) bool: the rows of X (N, ...) with only missing values."""
    found = [np.isnan(block).reshape(len(block), -1).all(axis=1) for block in by_blocks(X)]
    return np.concatenate([np.zeros(0, bool), *found])
