"""AnomalyDetector: scikit-learn's outlier contract around any autoencoder, with PyOD's names beside it."""

from __future__ import annotations

import copy
import math

import numpy as np

from nanoae.anomaly import scaling as scalers
from nanoae.anomaly import scores as kinds
from nanoae.anomaly.calibration import Conformal, SeenRows, benjamini_hochberg, deal
from nanoae.anomaly.member import Member
from nanoae.anomaly.surprise import Standing, Surprise
from nanoae.anomaly.thresholds import Quantile, Tail, Threshold
from nanoae.autoencoders.contract import Estimator, all_or_nothing, seed_of
from nanoae.autoencoders.corruption import GaussianNoise
from nanoae.autoencoders.estimator import Autoencoder
from nanoae.autoencoders.model_file import save_model
from nanoae.data.encoder import TableEncoder
from nanoae.data.frame import framed
from nanoae.data.table import has_text
from nanoae.engine.losses import Mixed
from nanoae.spelling import did_you_mean, one_of
from nanoae.training.progress import progress
from nanoae.training.schedules import Cosine

STEPS, BATCH = (200, 1000), 128  # of the default autoencoder's training, at least and at most


class AnomalyDetector(Estimator):
    """Learns what is normal, and scores what does not come back.

    autoencoder     any nanoae autoencoder, or a list of them: an ensemble; None: a wide denoising one
    scores          how abnormal a row is: "codes" (distance from the nearest codes), "reconstruction", "standardised",
                    "mahalanobis", "elbo" (of a VariationalAutoencoder), a Score, or a list of them
    scaling         of the columns, in which a network sees them: "robust", "gaussian", "standard", "none", a Scaler, or
                    a list of them: an autoencoder for each
    members         autoencoders of each kind, each from a seed of its own
    missing         "error", or "mask": NaN is a value that is not there, and counts for nothing
    contamination   the share of the rows learned from that is to be called abnormal, in (0, 0.5]
    threshold       None: by contamination; or a Threshold (Quantile, MAD, PeaksOverThreshold), which then decides
    holdout         0: thresholds and p-values come from cross-fitting (below). Or the share of the rows, in (0, 1),
                    that nothing but the scores' distribution is learned from, and one training on the others
    random_state    int: everything random follows from it

    One score of one autoencoder is the row's score as it is. Several are made comparable first: each becomes the number
    of standard deviations that it is above the usual (`Standing`); the root of their mean square is the row's score.

    False alarms: the rows are dealt into 5 folds (10 of up to 100 rows); the autoencoders of a fold learn from the rows
    of the others, and score its own, as new ones. A new row's score is the mean over the folds; that of a row learned
    from is by the autoencoders that did not see it, in `predict` and `score_samples`, too. Of more than 5,000 rows a
    fifth, 20,000 at most, is held out of one training instead. So of new normal rows a share of `contamination` is
    called abnormal at most, in the mean over training sets; one detector of n rows is off by a standard deviation of
    sqrt(share · (1 - share) / n) (`calibration.py`, with the papers). Where n is below 1 / contamination - 1, no score
    seen is so rare: a warning says so, and the threshold lies beyond them all, by extreme value theory.

    X may be a data frame, or a Table of `read_table`, with columns of text: these are categories, which are learned by
    their cross-entropy (TableEncoder, Mixed). Its columns may come in any order.

    Any number of threads may use a fitted one at once; `fit` wants it alone (`Estimator`).

    After fit: members_ (scaler, autoencoder and scores of each; fold by fold, n_folds_ in all), offset_
    (decision_function = score_samples - offset_), and in PyOD's words decision_scores_ of the rows given to fit,
    threshold_ (= -offset_) and labels_ (1: abnormal).
    """

    _kind: str | None = "outlier_detector"
    _learned = ("members_", "offset_")

    def __init__(
        self,
        autoencoder=None,
        scores=("codes", "whitened", "tails"),
        *,
        scaling="standard",
        members=1,
        missing="error",
        contamination=0.1,
        threshold=None,
        holdout=0.0,
        random_state=None,
    ):
        self.autoencoder = autoencoder
        self.scores = scores
        self.scaling = scaling
        self.members = members
        self.missing = missing
        self.contamination = contamination
        self.threshold = threshold
        self.holdout = holdout
        self.random_state = random_state

    # ---------------------------------------------------------------- learning

    @all_or_nothing
    def fit(self, X, y=None):
        """Learn what is normal from X (N, D), or (N, C, H, W) where the autoencoder takes images. `y` is ignored."""
        self._check_parameters()
        rule = self._rule()
        self.encoder_ = TableEncoder().fit(X) if has_text(X, type(self).__name__) else None
        X = self._rows(X, reset=True)
        seed = np.random.SeedSequence(seed_of(self.random_state))
        folds = deal(len(X), self.holdout, np.random.default_rng(seed))
        self.n_folds_ = int(folds.max()) + 1
        learned = [X[folds != fold] for fold in range(self.n_folds_)]
        if self.holdout and len(learned[0]) < 2:
            raise ValueError(
                f"AnomalyDetector: expected 2 rows or more to learn from, got {len(learned[0])} after holdout."
            )
        self._build(seed, [len(rows) for rows in learned])
        self._fit_members(learned)
        tested = np.flatnonzero(folds >= 0)
        raw = np.zeros((len(self.members_) // self.n_folds_ * len(self.members_[0].scores), len(X)))
        for fold, members in enumerate(self._by_fold()):
            raw[:, folds == fold] = np.concatenate([member.raw(X[folds == fold]) for member in members])
        undefined = np.isnan(raw).any(axis=0)
        if undefined.any():
            raise ValueError(
                f"AnomalyDetector: expected rows to learn from that have scores, got NaN for row {undefined.argmax()} "
                f"({undefined.sum()} such rows). Values are too large, or the score is not defined there: remove them."
            )
        self.standings_: list[Standing | Surprise] = [Standing().fit(each[tested]) for each in raw]
        self.seen_ = SeenRows.of(X, folds) if self.n_folds_ > 1 else None
        self.decision_scores_ = self._score(X)
        self._set_threshold(rule, self.decision_scores_[tested])
        return self

    def _fit_members(self, learned: list[np.ndarray]) -> None:
        """Each fold's members on the rows of that fold; of a single row, on two of it."""
        verbose = any(getattr(member.model, "verbose", False) for member in self.members_)
        bar = progress(list(zip(self._by_fold(), learned, strict=True)), label="folds", show=verbose)
        for members, rows in bar:
            for member in members:
                member.fit(rows if len(rows) > 1 else np.repeat(rows, 2, axis=0))

    def _by_fold(self) -> list[list[Member]]:
        size = len(self.members_) // self.n_folds_
        return [self.members_[fold * size : (fold + 1) * size] for fold in range(self.n_folds_)]

    def _default_autoencoder(self, rows: int) -> Autoencoder:
        """A wide denoising autoencoder: of tanh, because ReLU's straight lines give what lies far outside back, too."""
        return Autoencoder(
            64,
            (256,),
            activation="tanh",
            corruption=GaussianNoise(0.2),
            learning_rate=Cosine(3e-3),
            batch_size=BATCH,
            epochs=epochs(rows),
        )

    def _build(self, seed: np.random.SeedSequence, rows: list[int]) -> None:
        """members_, of which nothing has been learned yet: those of each fold, which learn from so many rows."""
        kinds_of = [
            (scaling, self._default_autoencoder(n) if model is None else model)
            for n in rows
            for scaling in _listed(self.scaling)
            for model in _listed(self.autoencoder) * int(self.members)
        ]
        self.members_ = [
            self._member(
                scalers.get(scaling), model, [copy.deepcopy(kinds.get(kind)) for kind in _listed(self.scores)], own
            )
            for (scaling, model), own in zip(kinds_of, seed.spawn(len(kinds_of)), strict=True)
        ]

    def _member(self, scaler, model, scores, seed) -> Member:
        """A Member, told what it has to know of missing values and categories."""
        member = Member(scaler, model, scores, seed)
        if self._takes_missing():
            member.model.set_params(missing="mask")
        if self.encoder_ is not None:
            member.numbers = self.encoder_.numbers
            if max(self.encoder_.blocks_) > 1:
                member.model.set_params(loss=Mixed(self.encoder_.blocks_))
        return member

    def _takes_missing(self):
        return self.as_built.missing == "mask"

    def _rows(self, X, reset: bool = False) -> np.ndarray:
        """X (N, ...) float64, a table with text encoded."""
        if self.encoder_ is None:
            return self.check_table(X, reset=reset, dtype=np.float64)
        Z = self.encoder_.transform(X).astype(np.float64)
        gaps = np.isnan(Z)
        if gaps.any() and not self._takes_missing():
            row, column = np.argwhere(gaps)[0]
            name = self.encoder_.get_feature_names_out()[column]
            raise ValueError(
                f"AnomalyDetector: expected no missing values, got one in row {row}, column {name!r}. "
                'Fill it in, or use missing="mask".'
            )
        if reset:
            if len(Z) < 2:
                raise ValueError(f"AnomalyDetector: expected at least 2 rows to learn from, got {len(Z)}.")
            self.remember((len(self.encoder_.names_),), self.encoder_.names_)
        return Z

    def _check_parameters(self) -> None:
        one_of("AnomalyDetector: missing", self.missing, ("error", "mask"))
        self._check_whole(members=self.members)
        for name in ("autoencoder", "scores", "scaling"):
            if not _listed(getattr(self, name)):
                raise ValueError(f"AnomalyDetector: expected {name}, one or more, got none.")
        for model in _listed(self.autoencoder):
            if model is not None and not isinstance(model, Autoencoder):
                raise ValueError(
                    f"AnomalyDetector: expected autoencoder=Autoencoder(...), another one, or None, got {model!r}."
                )

    def _rule(self) -> Threshold:
        share, held = self.contamination, self.holdout
        if isinstance(share, bool) or not isinstance(share, (float, int, np.number)) or not 0 < share <= 0.5:
            raise ValueError(f"AnomalyDetector: expected contamination in (0, 0.5], got {share!r}.")
        if isinstance(held, bool) or not isinstance(held, (float, int, np.number)) or not 0 <= held < 1:
            raise ValueError(f"AnomalyDetector: expected holdout in [0, 1), got {held!r}.")
        if self.threshold is None:
            return Quantile(1 - share)
        if not isinstance(self.threshold, Threshold):
            raise ValueError(
                f"AnomalyDetector: expected threshold=None or one like Quantile(0.99), got {self.threshold!r}."
                + did_you_mean(self.threshold, [cls.__name__ for cls in Threshold.__subclasses__()])
            )
        return self.threshold

    def _set_threshold(self, rule: Threshold, tested: np.ndarray) -> None:
        self.tested_scores_ = np.sort(tested)
        self.calibration_ = Conformal(tested)
        self.threshold_ = rule.fit(tested)
        self.offset_ = -self.threshold_
        self.labels_ = (self.decision_scores_ > self.threshold_).astype(int)

    def _takes_images(self):
        return any(model is not None and model._takes_images() for model in _listed(self.as_built.autoencoder))

    # ---------------------------------------------------------------- using

    def _parts(self, X: np.ndarray) -> np.ndarray:
        """(F, S, N): of each fold what each of the S scores of its autoencoders has in the fold's score of a row."""
        raw = np.array([np.concatenate([member.raw(X) for member in members]) for members in self._by_fold()])
        if raw.shape[1] == 1:
            return raw
        views = np.array([[s(each) for s, each in zip(self.standings_, fold, strict=True)] for fold in raw])
        power = self.standings_[0].power
        weight = np.array([score.weight for member in self._by_fold()[0] for score in member.scores])[:, None]
        parts = weight / weight.sum() * views**power
        return parts / parts.sum(axis=1, keepdims=True) ** (1 - 1 / power)  # they add up to the mean's root

    def _fold_weights(self, X: np.ndarray) -> np.ndarray:
        """(F, N): what the folds' scores of each row count; those of a row add up to 1."""
        return np.ones((1, len(X))) if self.seen_ is None else self.seen_.of_folds(X)

    def _score(self, X: np.ndarray) -> np.ndarray:
        return (self._fold_weights(X) * self._parts(X).sum(axis=1)).sum(axis=0)

    def _check_X(self, X) -> np.ndarray:
        self.check_fitted()
        return self._rows(X)

    @framed
    def transform(self, X) -> np.ndarray:
        """The codes (N, K) of X, those of all autoencoders side by side."""
        X = self._check_X(X)
        return np.hstack([np.asarray(member.model.transform(member.scaled(X))) for member in self.members_])

    @property
    def _n_features_out(self):
        return sum(member.model.code_size_ for member in self.members_)

    def score_samples(self, X) -> np.ndarray:
        """(N,), higher is more normal: minus the anomaly score."""
        return -self._score(self._check_X(X))

    def decision_function(self, X) -> np.ndarray:
        """score_samples(X) - offset_: below 0 is abnormal."""
        self.check_fitted()
        return self.score_samples(X) - self.offset_

    def predict(self, X, *, false_discovery_rate=None) -> np.ndarray:
        """(N,): -1 for abnormal rows, +1 for normal ones.

        false_discovery_rate   None: each row by itself, at offset_. Or a number in (0, 1): all rows of X at once, so
                               that of those called abnormal such a share is normal, in the mean (Benjamini & Hochberg
                               1995 on `p_values`). It has to have M rows tested > N / (rate · abnormal rows) or so
        """
        if false_discovery_rate is None:
            return np.where(self.decision_function(X) >= 0, 1, -1)  # so that NaN is abnormal
        return np.where(benjamini_hochberg(self.p_values(X), false_discovery_rate), -1, 1)

    def fit_predict(self, X, y=None) -> np.ndarray:
        """fit(X), then predict(X)."""
        return self.fit(X).predict(X)

    def p_values(self, X) -> np.ndarray:
        """(N,), in (0, 1]: the share of normal rows expected to score as high as each row of X or higher.

        (1 + those of the M rows tested that do) / (M + 1), so 1 / (M + 1) at least: conformal p-values (Bates et al.
        2023). Of normal rows at most a share p gets p or less, in the mean over training sets; that of one detector is
        off by a standard deviation of sqrt(p (1 - p) / M).
        """
        return self.calibration_.exceeded(-self.score_samples(X))

    def explain(self, X) -> np.ndarray:
        """Each feature's share of the anomaly score -score_samples(X), of X's shape, with the sign of its deviation:
        positive where the feature is larger than the autoencoders expect. The shares' absolute values of a row add up
        to its score. A category's is positive. What is missing has none."""
        X = self._check_X(X)
        weights, parts = self._fold_weights(X), self._parts(X)
        shares, residual = np.zeros(X.shape), np.zeros(X.shape)
        for members, weight, part in zip(self._by_fold(), weights, parts, strict=True):
            of_features = np.concatenate([member.shares(X) for member in members])
            shares += np.sum(_rows_times(weight * part, of_features), axis=0)
            residual += _rows_times(weight, np.mean([member.residual(X) for member in members], axis=0))
        signed = np.copysign(shares, residual)
        return signed if self.encoder_ is None else self.encoder_.per_column(signed)

    # ---------------------------------------------------------------- keeping

    def save(self, path) -> None:
        """Write the model to `path` (.npz with JSON inside, no pickle); `nanoae.load` opens it on any backend."""
        self.check_fitted()
        save_model(self, path)

    def to_file(self):
        facts, arrays = [], {"decision_scores": self.decision_scores_, "tested_scores": self.tested_scores_}
        for i, member in enumerate(self.members_):
            fact, array = member.to_file()
            facts.append(fact)
            arrays.update({f"{i}.{name}": value for name, value in array.items()})
        for i, standing in enumerate(self.standings_):
            learned = standing.learned
            arrays[f"usual.{i}" if isinstance(standing, Surprise) else f"standing.{i}"] = learned
        if self.seen_ is not None:
            arrays |= {"seen.keys": self.seen_.keys, "seen.weights": self.seen_.weights}
        encoder = None
        if self.encoder_ is not None:
            encoder, found = self.encoder_.to_file()
            arrays.update({f"encoder.{name}": value for name, value in found.items()})
        header = {"members": facts, "threshold": self.threshold_, "encoder": encoder, "folds": self.n_folds_}
        return header | {"calibration": type(self.calibration_).__name__}, arrays

    def from_file(self, header, arrays):
        self.members_ = [Member.from_file(fact, _part(arrays, str(i))) for i, fact in enumerate(header["members"])]
        self.n_folds_ = header.get("folds", 1)
        self.encoder_ = None
        if header.get("encoder"):
            self.encoder_ = TableEncoder.from_file(header["encoder"], _part(arrays, "encoder"))
            for member in self.members_:
                member.numbers = self.encoder_.numbers
        usual, standing, seen = (_part(arrays, name) for name in ("usual", "standing", "seen"))
        older: list[Standing | Surprise] = [Surprise().fit(usual[str(i)]) for i in range(len(usual))]
        self.standings_ = older or [Standing.of(standing[str(i)]) for i in range(len(standing))]
        self.seen_ = SeenRows(seen["keys"], seen["weights"]) if seen else None
        self.decision_scores_, self.tested_scores_ = arrays["decision_scores"], arrays["tested_scores"]
        kind = {"Conformal": Conformal, "Tail": Tail}[header.get("calibration", "Tail")]
        self.calibration_ = kind(self.tested_scores_)
        self.threshold_ = header["threshold"]
        self.offset_ = -self.threshold_
        self.labels_ = (self.decision_scores_ > self.threshold_).astype(int)


def epochs(rows: int) -> int:
    """Passes over so many rows, in which a default autoencoder takes about a step for each: few rows are soon learned
    by heart."""
    return max(1, round(min(max(rows, STEPS[0]), STEPS[1]) / math.ceil(rows / BATCH)))


def _listed(value) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Those of a model file named `prefix.name`, by name."""
    return {name[len(prefix) + 1 :]: array for name, array in arrays.items() if name.startswith(f"{prefix}.")}


def _rows_times(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """values (..., N, ...) times a weight (..., N) for each row."""
    return weights.reshape(*weights.shape, *[1] * (values.ndim - weights.ndim)) * values
