"""AnomalyDetector: scikit-learn's outlier interface around any autoencoder, with PyOD's attribute names."""

from __future__ import annotations

from dataclasses import KW_ONLY, field
from typing import Any, ClassVar

import numpy as np

from nanoae.anomaly import scores as kinds
from nanoae.anomaly import thresholds
from nanoae.anomaly.calibration import Conformal, benjamini_hochberg, deal, groups_of_copies
from nanoae.anomaly.default_autoencoder import default_autoencoder
from nanoae.anomaly.ensemble import Ensemble, empty
from nanoae.anomaly.explanation import Explanation, explained
from nanoae.anomaly.member import Member
from nanoae.anomaly.surprise import Surprise as Surprise  # for imports from its former module
from nanoae.anomaly.thresholds import MAD, PeaksOverThreshold, Quantile, Tail, Threshold
from nanoae.autoencoders.autoencoder import Autoencoder
from nanoae.autoencoders.estimator import Estimator
from nanoae.autoencoders.kinds import Configured, Integer, Name, Number, OneOrMore, Seed
from nanoae.autoencoders.model_file import save_model
from nanoae.autoencoders.parameters import estimator, parameter, transactional
from nanoae.autoencoders.resumable import resumable
from nanoae.autoencoders.table_losses import Mixed
from nanoae.autoencoders.weights import content_order, copies
from nanoae.configurable import Self
from nanoae.data import scaling as scalers
from nanoae.data.encoder import TableEncoder
from nanoae.data.field import promised
from nanoae.data.frame import framed
from nanoae.data.identity import warn_about_ids
from nanoae.data.table import Table, has_text
from nanoae.interval import Interval
from nanoae.rows import Rows
from nanoae.survey import sample
from nanoae.warning import warn


@estimator
class AnomalyDetector(Estimator):
    """Learns what normal rows look like, and scores new rows by how much they deviate.

    A single score of a single autoencoder is used directly. Several are first put on one scale, the number of standard
    deviations above the usual score (`Standing`); a row's score is the root of their weighted mean square.

    False alarms: the rows are split into 5 folds (10 for up to 100 rows). Each fold's autoencoders train on the other
    folds and score the fold's own rows as new rows. A new row's score is the mean over the folds; a training row is
    scored only by autoencoders that did not see it, also in `predict` and `score_samples`. With more than 5,000 rows, a
    fifth of them, at most 20,000, is held out of a single training instead. So on average over training sets at most a
    share `contamination` of new normal rows is called abnormal; for one detector fitted to n rows the standard
    deviation of this share is sqrt(share · (1 - share) / n) (`calibration.py`, with the papers). Copies of a row are
    held out together; n then counts distinct rows. If n < 1 / contamination - 1, the threshold is extrapolated beyond
    all scores by extreme value theory, with a warning.

    X may be a data frame, or a Table from `read_table`, with text columns. These are categories, learned with
    cross-entropy (TableEncoder, Mixed). By default each counts like one number in all scores, whatever the number and
    frequency of its values. The columns may come in any order.

    X may be a large file (`Rows`): the autoencoders train on all its rows; scalers, scores and deviations use a random
    sample, accurate to about 1 % (`sample`).

    Any number of threads may use a fitted detector at once; `fit` needs exclusive use (`Estimator`).

    After fit: members_ (scaler, autoencoder and scores of each, fold by fold; those of ensemble_), offset_
    (decision_function = score_samples - offset_), and PyOD's decision_scores_ of the rows given to fit, threshold_ (=
    -offset_) and labels_ (1: abnormal).
    """

    _kind: ClassVar[str | None] = "outlier_detector"
    _learned = ("members_", "offset_")
    encoder_: TableEncoder | None = field(init=False)

    autoencoder: Any = parameter(
        None,
        OneOrMore(Configured(Autoencoder, {}, "Autoencoder(32)")),
        "any nanoae autoencoder, or a list of them: an ensemble; None: a wide denoising one",
    )
    scores: Any = parameter(
        ("joint", "reconstruction", "tails"),
        OneOrMore(Name(kinds.SCORES, kinds.Score, "a Score")),
        "measures of abnormality: the distance of a row's code and its error from the nearest ones (joint), of the "
        "code alone (codes), the tails of the columns, ..., the ELBO of a VariationalAutoencoder",
    )
    _: KW_ONLY
    scaling: Any = parameter(
        "standard",
        OneOrMore(Name(scalers.SCALERS, scalers.Scaler, "a Scaler")),
        "scaling of the columns for the network; with a list, one autoencoder for each",
    )
    members: int = parameter(
        1, Integer(), "number of autoencoders of each kind, with different seeds"
    )
    missing: str = parameter(
        "error",
        Name(("error", "mask")),
        "mask: NaN marks a missing value, which is ignored everywhere",
    )
    contamination: float = parameter(
        0.1, Number("(0, 0.5]"), "share of the training rows to call abnormal"
    )
    threshold: Any = parameter(
        None,
        Configured(
            Threshold,
            {kind.__name__: kind for kind in (Quantile, MAD, PeaksOverThreshold)},
            "Quantile(0.99)",
        ),
        "None: set by contamination; or a Threshold (Quantile, MAD, PeaksOverThreshold), which overrides it",
    )
    holdout: float = parameter(
        0.0,
        Number("[0, 1)"),
        "0: thresholds and p-values come from cross-fitting. Otherwise the share of rows held out of a single "
        "training, from which only the distribution of scores is learned",
    )
    random_state: Any = parameter(None, Seed(), "random seed")

    # ---------------------------------------------------------------- learning

    @resumable
    @transactional
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn what is normal from X (N, D), or (N, C, H, W) if the autoencoder takes images. `y` is ignored.

        sample_weight   whole numbers (N,): how often each row counts, for training, thresholds and p-values; a row of
                        weight 0 is not used but gets a score
        """
        self.check_parameters()
        name = type(self).__name__
        if has_text(X, name):
            table = Table.of(X, name)
            rows = copies(sample_weight, len(table), name)
            self.encoder_ = TableEncoder().fit(table.taken(rows))
            X = self._rows(table, reset=True)
        else:
            self.encoder_ = getattr(X, "encoder", None)
            X = self._rows(X, True, sample_weight)
            rows = copies(sample_weight, len(X), name)
        nothing = empty(X)
        if nothing[rows].any():
            rows = np.arange(len(X))[rows]
            rows = rows[~nothing[rows]]  # the others hold no values to learn from
            self._warn_about_empty(X)
        given = X
        order = content_order(X[rows])
        X = X[rows][order]
        if self.encoder_ is None and X.ndim == 2:
            warn_about_ids(name, sample(X).T, getattr(self, "feature_names_in_", None))
        seed = np.random.SeedSequence(self.entropy())
        group = groups_of_copies(X)
        folds = deal(group.max() + 1, self.holdout, np.random.default_rng(seed))[group]
        n_folds = folds.max() + 1
        learned = [int((folds != fold).sum()) for fold in range(n_folds)]
        members = self._new_members(seed, learned)
        self.ensemble_ = Ensemble(members, len(learned))
        self.members_ = self.ensemble_.members
        scores, tested = self.ensemble_.fit(X, folds, self.open_checkpoints)
        as_given = isinstance(rows, slice) and isinstance(order, slice)
        self.decision_scores_ = scores if as_given else self.ensemble_.score(given)
        rule = self.threshold
        rate = float(self.contamination)
        threshold = thresholds.threshold_for(rate, tested) if rule is None else rule.fit(tested)
        if threshold not in Interval("[-inf, inf]"):
            raise ValueError(
                f"{type(rule).__name__}.fit: expected a threshold, a number, got {threshold!r}."
            )
        self._calibrate(Conformal(tested), thresholds.above_ties(float(threshold), tested))
        return self

    def _calibrate(self, calibration: Conformal | Tail, threshold: float) -> None:
        self.calibration_ = calibration
        self.tested_scores_ = calibration.scores
        self.threshold_ = threshold
        self.offset_ = -threshold
        self.labels_ = (~(self.decision_scores_ <= threshold)).astype(int)  # NaN counts as abnormal

    def _new_members(self, seed: np.random.SeedSequence, rows: list[int]) -> list[Member]:
        """Build the members of each fold, which will learn from the given numbers of rows."""
        kinds_of = [
            (scaling, self._default_autoencoder(n) if model is None else model)
            for n in rows
            for scaling in _listed(self.scaling)
            for model in _listed(self.autoencoder) * int(self.members)
        ]
        found = []
        for (scaling, model), own in zip(kinds_of, seed.spawn(len(kinds_of)), strict=True):
            scores = [kinds.get(kind) for kind in _listed(self.scores)]
            member = Member(scalers.get(scaling), model, scores, own)
            if self._takes_missing():
                member.model.set_params(missing="mask")
            if self.encoder_ is not None:
                member.numbers = self.encoder_.numbers
                if max(self.encoder_.blocks_) > 1:
                    member.model.set_params(loss=Mixed(self.encoder_.blocks_))
            found.append(member)
        return found

    def _default_autoencoder(self, rows: int) -> Autoencoder:
        return default_autoencoder(rows)

    def _takes_missing(self) -> bool:
        return bool(self.as_built.missing == "mask")

    def _rows(self, X: Any, reset: bool = False, sample_weight: Any = None) -> np.ndarray:
        """Return X (N, ...) as float64, with text columns encoded."""
        encoder = self.encoder_
        if encoder is None or (isinstance(X, Rows) and X.encoder is encoder):
            Z = self.check_table(X, reset=reset, dtype=np.float64, sample_weight=sample_weight)
        else:
            name = type(self).__name__
            Z = encoder.encoded(X, name, self._takes_missing()).astype(np.float64)
            if reset and len(Z) < 2:
                raise ValueError(f"{name}: expected at least 2 rows to learn from, got {len(Z)}.")
        if reset and encoder is not None:
            self.record_schema((len(encoder.names_),), encoder.names_)
        return Z

    def takes_images(self) -> bool:
        return any(
            model is not None and model.takes_images()
            for model in _listed(self.as_built.autoencoder)
        )

    # ---------------------------------------------------------------- using

    def _check_X(self, X: Any) -> np.ndarray:
        self.check_fitted()
        return self._rows(X)

    @framed
    def transform(self, X: Any) -> np.ndarray:
        """Return the codes (N, K) of X, those of all autoencoders side by side."""
        X = self._check_X(X)
        return np.hstack([each.model.transform(each.scaled(X)) for each in self.members_])

    @property
    def _n_features_out(self) -> int:
        return sum(member.model.code_size_ for member in self.members_)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return (N,) minus the anomaly score: higher is more normal. A row of only missing values has the score NaN,
        with a warning, and counts as abnormal."""
        X = self._check_X(X)
        self._warn_about_empty(X)
        return -self.ensemble_.score(X)

    def _warn_about_empty(self, X: np.ndarray) -> None:
        nothing = np.flatnonzero(empty(X))
        if len(nothing):
            warn(
                f"{type(self).__name__}: row {nothing[0]} has missing values only "
                f"({len(nothing)} such rows): its score is NaN, and it counts as abnormal."
            )

    def decision_function(self, X: Any) -> np.ndarray:
        """Return score_samples(X) - offset_, (N,): negative for abnormal rows."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any, *, false_discovery_rate: float | None = None) -> np.ndarray:
        """Return (N,): -1 for abnormal rows, +1 for normal ones.

        false_discovery_rate   None: each row is judged separately by offset_. A number in (0, 1): all rows of X are
                               judged together, so that on average at most this share of the rows called abnormal is
                               normal (Benjamini & Hochberg 1995 on `p_values`). This needs about
                               M > N / (rate · abnormal rows) calibration rows
        """
        return np.where(self.is_abnormal(X, false_discovery_rate), -1, 1)

    def is_abnormal(self, X: Any, false_discovery_rate: float | None = None) -> np.ndarray:
        """Return (N,) bool: the rows that `predict` calls abnormal."""
        if false_discovery_rate is None:
            return ~(self.score_samples(X) >= self.offset_)  # NaN counts as abnormal
        return benjamini_hochberg(self.p_values(X), false_discovery_rate, len(self.tested_scores_))

    def fit_predict(self, X: Any, y: Any = None) -> np.ndarray:
        """Return fit(X).predict(X)."""
        return self.fit(X).predict(X)  # type: ignore[no-any-return]

    def p_values(self, X: Any) -> np.ndarray:
        """Return (N,) in (0, 1]: for each row the share of normal rows expected to score at least as high.

        p = (1 + number of the M calibration rows that do) / (M + 1), at least 1 / (M + 1): conformal p-values (Bates et
        al. 2023). On average over training sets, at most a share p of normal rows gets a value <= p; for one detector
        the standard deviation of this share is sqrt(p (1 - p) / M).
        """
        return self.calibration_.exceeded(-self.score_samples(X))

    def explain(self, X: Any) -> np.ndarray:
        """Return each feature's share of the anomaly score -score_samples(X), of X's shape, positive if the feature is
        larger than the autoencoders expect and negative if it is smaller. Absolute values of a row sum to its score, to
        minus it if a score of your own is below 0. Shares of categories are positive, those of missing values 0."""
        rows = np.asarray(self._check_X(X))
        signed = self.ensemble_.shares(rows)
        return signed if self.encoder_ is None else self.encoder_.per_column(signed)

    def explanation(self, X: Any) -> Explanation:
        """Return `explain` in the units of the table, with observed and expected values, and how unusual they are."""
        rows = np.asarray(self._check_X(X))
        numbered = [f"column {j}" for j in range(self.n_features_in_)]
        names = list(getattr(self, "feature_names_in_", numbered))
        return explained(names, rows, self.ensemble_, self.encoder_)

    # ---------------------------------------------------------------- keeping

    def check_weights(self) -> None:
        for member in self.members_:
            member.model.check_weights()

    def save(self, path: Any) -> None:
        """Write the detector to `path` (.npz with JSON inside, no pickle); `nanoae.load` opens it on any backend."""
        self.check_fitted()
        save_model(self, path)

    def to_file(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        header, arrays = self.ensemble_.to_file()
        arrays |= {"decision_scores": self.decision_scores_, "tested_scores": self.tested_scores_}
        encoder = None
        if self.encoder_ is not None:
            encoder, found = self.encoder_.to_file()
            arrays.update({f"encoder.{name}": value for name, value in found.items()})
        header |= {
            "threshold": self.threshold_,
            "encoder": encoder,
            "calibration": type(self.calibration_).__name__,
        }
        return header, arrays

    def from_file(self, header: dict[str, Any], arrays: Any) -> None:
        self.ensemble_ = Ensemble.from_file(header, arrays)
        self.members_ = self.ensemble_.members
        self.encoder_ = None
        if header.get("encoder"):
            self.encoder_ = TableEncoder.from_file(header["encoder"], arrays.under("encoder"))
            for member in self.members_:
                member.numbers = self.encoder_.numbers
        self.decision_scores_ = arrays.take("decision_scores", (None,))
        kind = {"Conformal": Conformal, "Tail": Tail}[promised(header, "calibration", str, "Tail")]
        calibration = kind(arrays.take("tested_scores", (None,)))
        self._calibrate(calibration, promised(header, "threshold", float))
        shape = self.members_[0].model.input_shape_
        self.ensemble_.score(np.zeros((1, *shape)))  # raises if the parts do not fit together


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
