"""AnomalyDetector: scikit-learn's outlier contract around any autoencoder, with PyOD's names beside it."""

from __future__ import annotations

import copy
import math
import warnings
from typing import Any

import numpy as np

from nanoae.anomaly import scaling as scalers
from nanoae.anomaly import scores as kinds
from nanoae.anomaly.scaling import fit_known
from nanoae.anomaly.thresholds import Quantile, Tail, Threshold
from nanoae.autoencoders.contract import Estimator, all_or_nothing, seed_of
from nanoae.autoencoders.corruption import GaussianNoise
from nanoae.autoencoders.estimator import Autoencoder
from nanoae.autoencoders.model_file import save_model
from nanoae.backend import available
from nanoae.data.frame import framed
from nanoae.data.table import TableEncoder, has_text
from nanoae.engine.losses import Mixed
from nanoae.engine.part import construct, describe
from nanoae.spelling import did_you_mean, one_of
from nanoae.training.schedules import Cosine

STEPS, BATCH = 2000, 128  # of the default autoencoder's training, however many rows there are


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
    holdout         the share of the rows that nothing but the scores' distribution is learned from, in [0, 1): with
                    some, thresholds and p-values hold for new rows, too, which no network has seen
    random_state    int: everything random follows from it

    One score of one autoencoder is the row's score as it is. Several are made comparable first: each becomes
    sqrt(-2 log p), p the share of normal rows that score higher (`Surprise`), about what a standard normal variable
    with that tail would be; their mean is the row's score.

    X may be a data frame, or a Table of `read_table`, with columns of text: these are categories, which are learned by
    their cross-entropy (TableEncoder, Mixed). Its columns may come in any order.

    After fit: members_ (scaler, autoencoder and scores of each), offset_ (decision_function = score_samples - offset_),
    and in PyOD's words decision_scores_ of the rows learned from, threshold_ (= -offset_) and labels_ (1: abnormal).
    """

    _kind: str | None = "outlier_detector"
    _learned = ("members_", "offset_")

    def __init__(
        self,
        autoencoder=None,
        scores=("codes", "reconstruction"),
        *,
        scaling="robust",
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
        self.encoder_ = TableEncoder().fit(X) if has_text(X) else None
        X = self._rows(X, reset=True)
        seed = np.random.SeedSequence(seed_of(self.random_state))
        order = np.random.default_rng(seed).permutation(len(X))
        held = round(self.holdout * len(X))
        learned = X[np.sort(order[held:])]
        if len(learned) < 2:
            raise ValueError(
                f"AnomalyDetector: expected 2 rows or more to learn from, got {len(learned)} after holdout."
            )
        self._build(seed, len(learned))
        for member in self.members_:
            member.fit(learned)
        usual = self._raw(X)
        tested = np.sort(order[:held]) if held else slice(None)
        self.surprises_ = [Surprise().fit(each[tested]) for each in usual]
        self.decision_scores_ = self._combined(usual)
        self._set_threshold(rule, self.decision_scores_[tested])
        return self

    def _default_autoencoder(self, rows: int) -> Autoencoder:
        """A wide denoising autoencoder, trained for about STEPS steps: of tanh, because ReLU's straight lines give what
        lies far outside back, too."""
        return Autoencoder(
            64,
            (256,),
            activation="tanh",
            corruption=GaussianNoise(0.2),
            learning_rate=Cosine(3e-3),
            batch_size=BATCH,
            epochs=max(1, round(STEPS / math.ceil(rows / BATCH))),
        )

    def _build(self, seed: np.random.SeedSequence, rows: int) -> None:
        """members_, of which nothing has been learned yet."""
        given = [self._default_autoencoder(rows) if each is None else each for each in _listed(self.autoencoder)]
        models = given * int(self.members)
        pairs = [(scaling, model) for scaling in _listed(self.scaling) for model in models]
        self.members_ = [
            self._member(
                scalers.get(scaling), model, [copy.deepcopy(kinds.get(kind)) for kind in _listed(self.scores)], own
            )
            for (scaling, model), own in zip(pairs, seed.spawn(len(pairs)), strict=True)
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
        self.threshold_ = rule.fit(tested)
        self.offset_ = -self.threshold_
        self.labels_ = (self.decision_scores_ > self.threshold_).astype(int)

    def _takes_images(self):
        return any(model is not None and model._takes_images() for model in _listed(self.as_built.autoencoder))

    # ---------------------------------------------------------------- using

    def _raw(self, X: np.ndarray) -> np.ndarray:
        """Each score of each autoencoder, (S, N)."""
        return np.concatenate([member.raw(X) for member in self.members_])

    def _combined(self, raw: np.ndarray) -> np.ndarray:
        if len(raw) == 1:
            return raw[0]
        return np.mean([surprise(each) for surprise, each in zip(self.surprises_, raw, strict=True)], axis=0)

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
        return -self._combined(self._raw(self._check_X(X)))

    def decision_function(self, X) -> np.ndarray:
        """score_samples(X) - offset_: below 0 is abnormal."""
        self.check_fitted()
        return self.score_samples(X) - self.offset_

    def predict(self, X) -> np.ndarray:
        """(N,): -1 for abnormal rows, +1 for normal ones."""
        return np.where(self.decision_function(X) >= 0, 1, -1)  # so that NaN is abnormal

    def fit_predict(self, X, y=None) -> np.ndarray:
        """fit(X), then predict(X)."""
        return self.fit(X).predict(X)

    def p_values(self, X) -> np.ndarray:
        """(N,), in (0, 1]: the share of normal rows expected to score as high as each row of X or higher.

        (1 + those of the M rows tested that do) / (M + 1): with a holdout, at most a share p of normal rows gets p or
        less (conformal p-values, Bates et al. 2023). In the highest tenth it is what the Pareto tail says (`Tail`).
        """
        return Tail(self.tested_scores_).exceeded(-self.score_samples(X))

    def explain(self, X) -> np.ndarray:
        """Each feature's share of the anomaly score -score_samples(X), of X's shape, with the sign of its deviation:
        positive where the feature is larger than the autoencoders expect. The shares' absolute values of a row add up
        to its score. A category's is positive. What is missing has none."""
        X = self._check_X(X)
        raw = self._raw(X)
        parts = np.concatenate([member.shares(X) for member in self.members_])
        weights = raw if len(raw) == 1 else np.array([s(each) for s, each in zip(self.surprises_, raw, strict=True)])
        shares = np.mean(parts * weights.reshape(*weights.shape, *[1] * (X.ndim - 1)), axis=0)
        signed = np.copysign(shares, np.mean([member.residual(X) for member in self.members_], axis=0))
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
        for i, surprise in enumerate(self.surprises_):
            arrays[f"usual.{i}"] = surprise.usual
        encoder = None
        if self.encoder_ is not None:
            encoder, found = self.encoder_.to_file()
            arrays.update({f"encoder.{name}": value for name, value in found.items()})
        return {"members": facts, "threshold": self.threshold_, "encoder": encoder}, arrays

    def from_file(self, header, arrays):
        self.members_ = [
            Member.from_file(fact, {name[len(f"{i}.") :]: a for name, a in arrays.items() if name.startswith(f"{i}.")})
            for i, fact in enumerate(header["members"])
        ]
        self.encoder_ = None
        if header.get("encoder"):
            own = {name[len("encoder.") :]: a for name, a in arrays.items() if name.startswith("encoder.")}
            self.encoder_ = TableEncoder.from_file(header["encoder"], own)
            for member in self.members_:
                member.numbers = self.encoder_.numbers
        usual = [name for name in arrays if name.startswith("usual.")]
        self.surprises_ = [Surprise().fit(arrays[f"usual.{i}"]) for i in range(len(usual))]
        self.decision_scores_, self.tested_scores_ = arrays["decision_scores"], arrays["tested_scores"]
        self.threshold_ = header["threshold"]
        self.offset_ = -self.threshold_
        self.labels_ = (self.decision_scores_ > self.threshold_).astype(int)


class Member:
    """One autoencoder, the scaler before it and the scores after it."""

    def __init__(self, scaler, model, scores, seed: np.random.SeedSequence | None = None):
        self.scaler, self.model, self.scores = copy.deepcopy(scaler), copy.deepcopy(model), scores
        self.numbers: Any = ...  # the columns that the scaler is for: all, or those of numbers
        self.seed = None if seed is None else int(seed.generate_state(1)[0])

    def fit(self, X: np.ndarray) -> None:
        fit_known(self.scaler, X[:, self.numbers] if self.numbers is not ... else X)
        Z = self.scaled(X)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "training was interrupted")  # whose end is "... is kept": not here
            fitted = self.model.set_params(random_state=self.seed).fit(Z)
        if getattr(fitted, "interrupted_", False):
            raise KeyboardInterrupt  # half of an ensemble, or of its training, is no detector
        self.model = in_float64(fitted)
        for score in self.scores:
            score.fit(self.model, Z)

    def scaled(self, X: np.ndarray) -> np.ndarray:
        """X (N, ...) as the network sees it, float32."""
        if self.numbers is ...:
            return self.scaler.transform(X)
        Z = X.astype(np.float32)
        Z[:, self.numbers] = self.scaler.transform(X[:, self.numbers])
        return Z

    def raw(self, X: np.ndarray) -> np.ndarray:
        """Each score, (S, N)."""
        Z = self.scaled(X)
        found = [np.asarray(score.score(self.model, Z), np.float64) for score in self.scores]
        for score, each in zip(self.scores, found, strict=True):
            if each.shape != (len(Z),):
                kind = type(score).__name__
                raise ValueError(f"{kind}.score: expected shape ({len(Z)},), a number for each row, got {each.shape}.")
        return np.array(found)

    def shares(self, X: np.ndarray) -> np.ndarray:
        """Each feature's share of each score, (S, N, ...); those of a row add up to 1."""
        Z = self.scaled(X)
        return np.array([score.shares(self.model, Z) for score in self.scores])

    def residual(self, X: np.ndarray) -> np.ndarray:
        Z = self.scaled(X)
        return np.nan_to_num(Z - self.model.reconstruct(Z)).astype(np.float64)

    def to_file(self):
        facts, arrays = self.model.to_file()
        params = {**self.model.as_built.config(), "callbacks": ()}
        model = {name: describe(value, among=params.get("encoder")) for name, value in params.items()}
        described = {
            "scaler": describe(self.scaler),
            "scores": [describe(score) for score in self.scores],
            "model": {"type": type(self.model).__name__, **model},
            "facts": {"input_shape": list(self.model.input_shape_), **facts},
        }
        for prefix, part in [("scaler", self.scaler), *((f"score{i}", score) for i, score in enumerate(self.scores))]:
            arrays.update({f"{prefix}.{name}": np.asarray(value) for name, value in part.learned().items()})
        return described, arrays

    @classmethod
    def from_file(cls, described, arrays) -> Member:
        params = {**described["model"], "backend": available(described["model"]["backend"])}
        member = cls(construct(described["scaler"]), construct(params), [construct(s) for s in described["scores"]])
        named = {"scaler": member.scaler, **{f"score{i}": score for i, score in enumerate(member.scores)}}
        for name in [name for name in arrays if "." in name]:
            prefix, attribute = name.split(".")
            setattr(named[prefix], attribute, arrays.pop(name))
        member.model.from_file(described["facts"], arrays)
        member.model.remember(tuple(described["facts"]["input_shape"]))
        return member


def in_float64(model):
    """A fitted autoencoder's copy in float64: so a row scores the same, whatever rows stand beside it in a product of
    matrices."""
    facts, arrays = model.to_file()
    exact = type(model)(**{**model.as_built.get_params(deep=False), "dtype": "float64"})
    exact.from_file(
        {"input_shape": list(model.input_shape_), **facts},
        {name: a.astype(np.float64) if a.dtype == np.float32 else a for name, a in arrays.items()},
    )
    exact.remember(model.input_shape_)
    return exact


class Surprise:
    """sqrt(-2 log p(s)), p the share of normal rows that score above s: scores of any kind on one scale.

    Up to t, the 10th of 100 from above, p is counted, with straight lines between the rows' scores. Above it
    p = p(t) · (s / t)^(-1/ξ), ξ = mean log(s_i / t) over the rows there (Hill 1975): unlike a count it tells apart what
    lies beyond all rows that were seen.
    """

    def fit(self, scores: np.ndarray) -> Surprise:
        """scores (N,) of normal rows."""
        self.usual, n = np.sort(scores), len(scores)
        low = min(float(self.usual[0]), 0.0)  # what is below 0, like -log p of a density, counts from the lowest
        self.floor = 1e-6 * max(float(np.median(self.usual)) - low, 1e-6) - low  # a score of 0 has no logarithm
        self.values, count = np.unique(self.usual + self.floor, return_counts=True)
        self.below = (np.cumsum(count) - count / 2) / n
        top = self.usual[n - min(max(n // 10, 10), n) :] + self.floor
        self.t, self.xi = float(top[0]), max(float(np.log(top / top[0]).mean()), 1e-6)
        return self

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        s = scores + self.floor
        counted = -np.log(1 - np.interp(np.minimum(s, self.t), self.values, self.below))
        return np.sqrt(2 * (counted + np.log(np.maximum(s, self.t) / self.t) / self.xi))


def _listed(value) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]
