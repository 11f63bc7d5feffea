"""VariationalAutoencoder: an autoencoder that models the distribution of the data and can sample from it."""

from __future__ import annotations

import functools
import math
from dataclasses import KW_ONLY, field
from typing import Any, ClassVar

import numpy as np

from nanoae.autoencoders.autoencoder import Autoencoder
from nanoae.autoencoders.concat_label import ConcatLabel, ConcatSharedLabel
from nanoae.autoencoders.elbo import Variational, active_units
from nanoae.autoencoders.examples import Examples
from nanoae.autoencoders.kinds import Name, Number
from nanoae.autoencoders.parameters import T, estimator, parameter, restored, transactional
from nanoae.autoencoders.plan import Plan
from nanoae.autoencoders.resumable import resumable
from nanoae.autoencoders.saved import CLASSES
from nanoae.backend import Shape
from nanoae.configurable import Self
from nanoae.data.frame import framed
from nanoae.data.labels import class_labels, one_column
from nanoae.engine.layers import Layer
from nanoae.engine.losses import BCE, GaussianNLL, Loss
from nanoae.rows import Rows

NO_LOSS = """\
VariationalAutoencoder: expected likelihood="bernoulli" or "gaussian" (the loss is -log p(x|z)), got loss={!r}."""


def without_a_loss(estimator: T) -> T:
    """Make the constructor reject `loss` with a message that names its replacement."""
    kind: Any = estimator
    init = kind.__init__

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **params: Any) -> None:
        if "loss" in params:
            raise TypeError(NO_LOSS.format(params["loss"]))
        init(self, *args, **params)

    kind.__init__ = checked
    return estimator


@without_a_loss
@estimator
class VariationalAutoencoder(Variational, Autoencoder):
    """Auto-encoding variational Bayes (Kingma & Welling 2014): x (N, D) -> q(z|x) = N(mu, e^logvar) -> p(x|z).

    Training minimises, in nats and averaged over the rows of a batch,

        loss = -log p(x|z) + beta_t Σ_j max(KL_j, free_bits),    z = mu + e^(logvar / 2) · noise

    With beta = 1 and no free bits this is the negative ELBO, a lower bound of log p(x):
        ELBO = E_q[log p(x|z)] - KL(q(z|x) ‖ N(0, I))

    The encoder ends in 2 K outputs, [mu, logvar], and so must an encoder of your own. A decoder of your own takes K
    inputs, or K + the number of labels if conditional. With output y the likelihood of x is

        "bernoulli"  log p = Σ x log s + (1 - x) log(1 - s), s = sigmoid(y), for x in [0, 1]; grey values are treated as
                     probabilities of white, as usual (so this is not a density)
        "gaussian"   log p = -Σ (x - y)² / (2 variance) + log(2π variance) / 2

    (beta: Higgins 2017; free bits: Kingma 2016.)

    With condition=labels, `fit` learns p(x | label): the one-hot label is appended to the encoder's input and to the
    code. Every method that takes rows or codes then also takes condition=, a label or one per row.

    Additional attributes after fit: classes_, the known labels (None without condition), and prior_, N(0, I).
    """

    code_size: int = 20
    hidden: Any = (400,)
    _: KW_ONLY
    likelihood: str = parameter(
        "bernoulli",
        Name(("bernoulli", "gaussian")),
        "distribution of x given the decoder's output, for all values of a row",
    )
    variance: float = parameter(
        1.0, Number(), "fixed variance of the gaussian likelihood: the expected squared error"
    )
    classes_: np.ndarray | None = field(default=None, init=False)
    _facts = (*Variational._facts, CLASSES)
    _plan: ClassVar[Plan] = Plan(usual_batch=128)
    bottleneck: ClassVar[Any]
    tied_weights: ClassVar[bool] = False
    code_activation: ClassVar[str] = "identity"
    corruption: ClassVar[None] = None
    penalty: ClassVar[None] = None
    missing: ClassVar[str] = "error"
    table_encoder: ClassVar[None] = None
    reads_words: ClassVar[bool] = False

    def set_params(self, **params: Any) -> Self:
        """See `Estimator.set_params`."""
        if "loss" in params:
            raise ValueError(NO_LOSS.format(params["loss"]))
        return super().set_params(**params)

    # ---------------------------------------------------------------- building

    def _negative_log_likelihood(self) -> Loss:
        """The loss -log p(x|z), averaged over rows."""
        return BCE("batch") if self.likelihood == "bernoulli" else GaussianNLL(self.variance)

    loss: ClassVar[Any] = property(_negative_log_likelihood)

    def _loss_words(self) -> tuple[str, str]:
        return f'likelihood="{self.likelihood}"', 'use likelihood="gaussian"'

    def _layers(self, input_shape: Shape) -> tuple[list[Layer], list[Layer]]:
        encoder, decoder = super()._layers(input_shape)
        if self.classes_ is None:
            return encoder, decoder
        condition = ConcatLabel(input_shape, len(self.classes_))
        return [condition, *encoder], [ConcatSharedLabel(condition), *decoder]

    def _network_input(self, input_shape: Shape) -> Shape:
        if self.classes_ is None:
            return input_shape
        return (math.prod(input_shape) + len(self.classes_),)

    @transactional
    def build(self, input_shape: int | Shape, condition: Any = None) -> Self:
        """See `Autoencoder.build`; condition: labels (N,) that include each one that will occur."""
        self.classes_ = _different(condition)
        return super().build(input_shape)

    # ---------------------------------------------------------------- training

    @resumable
    @transactional
    def fit(
        self,
        X: Any,
        y: Any = None,
        validation_data: Any = None,
        sample_weight: Any = None,
        epochs: int | None = None,
        *,
        condition: Any = None,
    ) -> Self:
        """Train on X (N, D) from new weights; `y` is ignored. condition: labels (N,) for a conditional model.

        validation_data   rows on which -ELBO is measured after each epoch; with condition, (rows, their labels)
        sample_weight     weights (N,) of the rows: each epoch draws rows in proportion to them; see
                          `Autoencoder.fit`
        """
        return self._fit(X, validation_data, sample_weight, epochs, condition)

    def _learn_conditions(self, n: int, rows: Any, condition: Any) -> dict[str, Any]:
        labels = None if condition is None else _of_rows(condition, n)[rows]
        if not self.goes_on:  # else the weights depend on the present labels and their order
            self.classes_ = _different(labels)
        return {"condition": labels}

    def _watched(self, validation_data: Any) -> Examples | None:
        if validation_data is None or self.classes_ is None:
            return super()._watched(validation_data)
        rows, labels = self._rows_and_labels(validation_data, "labels")
        return self._examples(self._check_targets(rows), condition=labels)

    def fit_transform(
        self, X: Any, y: Any = None, *, condition: Any = None, **fit_params: Any
    ) -> Any:
        """fit(X), then transform(X)."""
        return self.fit(X, y, condition=condition, **fit_params).transform(X, condition)

    @restored
    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, **condition: Any
    ) -> Self:
        """Train for one epoch on X (N, D). The first call starts from new weights and determines the labels."""
        if not hasattr(self, "network_"):
            self.classes_ = _different(condition.get("condition"))
        return super().partial_fit(X, y, sample_weight, **condition)

    # ---------------------------------------------------------------- conditions

    def _one_hot(self, condition: Any, n: int) -> np.ndarray:
        """Return the one-hot labels (n, K) of n rows, given one label for all rows or one per row; ValueError for an
        unknown label."""
        name = type(self).__name__
        known = self.classes_
        if known is None:
            raise ValueError(
                f"{name}: expected no condition, got one, but fit had none. Call fit(X, condition=labels)."
            )
        listed = ", ".join(map(repr, known[:20].tolist()))
        if len(known) > 20:
            listed += ", ..."
        if condition is None:
            raise ValueError(
                f"{name}: expected condition=, a label or one per row from {listed}, got none."
            )
        labels = _conditions(_of_rows(condition, n), known)
        unknown = labels[~np.isin(labels, known)]
        if len(unknown):
            raise ValueError(f"{name}: expected labels from {listed}, got {unknown.tolist()[0]!r}.")
        one_hot = np.eye(len(known), dtype=self.as_built.dtype)
        return one_hot[np.searchsorted(known, labels)]

    def _with_condition(self, X: np.ndarray, condition: Any = None) -> np.ndarray:
        """Return the network's input: X, or in a conditional model flat rows [X, one-hot label]."""
        if condition is None and self.classes_ is None:
            return X
        if isinstance(X, Rows):
            raise ValueError(
                f"{type(self).__name__}: expected rows in memory with condition=, got a file that is read in blocks. "
                "Pass numpy.array(X), or a part of it."
            )
        rows = X.reshape(len(X), -1)
        one_hot = self._one_hot(condition, len(X))
        return np.hstack([rows, one_hot])

    # ---------------------------------------------------------------- using

    @framed
    def transform(self, X: Any, condition: Any = None) -> np.ndarray:
        """Return the mean codes (N, K) of X (N, D)."""
        return self._encode(X, condition=condition)

    def _inputs(self, X: Any, condition: Any = None) -> np.ndarray:
        return self._with_condition(self._read(X), condition)

    def inverse_transform(self, X: Any, condition: Any = None) -> np.ndarray:
        """Return the mean of p(x|z), (N, D), for codes X (N, K)."""
        codes = self._check_codes(X)
        if condition is None and self.classes_ is None:
            return self.unscaled(self._run(codes, self._n_encoder, None))
        codes = np.hstack([codes, self._one_hot(condition, len(codes))])
        return self.unscaled(self._run(codes, self._n_encoder + 1, None))

    def reconstruct(self, X: Any, condition: Any = None) -> np.ndarray:
        """Return inverse_transform(transform(X)), (N, D)."""
        return self.inverse_transform(self._encode(X, condition=condition), condition)

    def score_samples(
        self, X: Any, condition: Any = None, importance_samples: int | None = None
    ) -> np.ndarray:
        """Return a lower bound of log p(x) in nats for each row (N,).

        importance_samples   None: the ELBO, with one sample of z per row and the KL in closed form. K: the importance
                             weighted bound (Burda 2016), log 1/K Σ_k p(x|z_k) p(z_k) / q(z_k|x), which grows with K

        A row's noise is seeded by random_state and the row itself, so its score does not depend on the other rows.
        """
        inputs, X = self._checked(X, condition)
        return self._bound(inputs, X, importance_samples)

    def evaluate(
        self, X: Any, condition: Any = None, *, sample_weight: Any = None
    ) -> dict[str, float]:
        """Return averages over X (N, D), weighted by sample_weight (N,). In nats per row: "loss" (the negative ELBO),
        "elbo" = "reconstruction" (E_q[log p(x|z)]) - "kl"; also the number of "active_units", whose mean varies over
        the rows with a variance above 0.01 (Burda 2016), and the "mse" of reconstructions from the mean codes. If
        columns are scaled, the nats refer to scaled columns, and there is also a "scaled_mse"."""
        X = self._check_X(X)
        inputs, Z = self._checked(X, condition)
        rows, weights = self._weighted_rows(X, sample_weight)
        inputs = inputs[rows]
        X = X[rows]
        terms = self._elbo(inputs, Z[rows])
        elbo, reconstruction, kl = (
            float(np.average(term.astype(np.float64), weights=weights)) for term in terms
        )
        codes = self._run(inputs, 0, self._n_encoder)
        return {
            "loss": -elbo,
            "elbo": elbo,
            "reconstruction": reconstruction,
            "kl": kl,
            "active_units": active_units(codes, weights),
            **self._mean_errors(X, lambda at: self._run(inputs[at], 0, None), weights),
        }

    def score(
        self, X: Any, y: Any = None, condition: Any = None, *, sample_weight: Any = None
    ) -> float:
        """Return the mean ELBO in nats: higher is better."""
        return self.evaluate(X, condition, sample_weight=sample_weight)["elbo"]

    def _checked(self, X: Any, condition: Any) -> tuple[np.ndarray, np.ndarray]:
        X = self._check_targets(X)
        return self._with_condition(X, condition), X

    def _repeat(self, samples: int) -> None:
        first = self.network_.layers[0]
        if isinstance(first, ConcatLabel):
            first.c = first.c.repeat(samples, axis=0)


def _of_rows(condition: Any, n: int) -> np.ndarray:
    """Return the condition as an array (n,), repeating a single label."""
    labels = one_column(condition, "condition")
    labels = labels if labels.ndim else np.repeat(labels, n)
    if labels.ndim == 1 and len(labels) != n:
        raise ValueError(
            f"VariationalAutoencoder: expected condition to be a label or {n}, one for each row, got {labels.shape}."
        )
    return labels


def _conditions(condition: Any, known: np.ndarray | None = None) -> np.ndarray:
    """Return condition labels (N,); ValueError if one is missing."""
    condition = one_column(condition, "condition")
    if condition.ndim != 1:
        raise ValueError(
            f"VariationalAutoencoder: expected condition, labels (N,), got shape {condition.shape}."
        )
    labels = class_labels(condition, "VariationalAutoencoder", known)
    if labels.mask.any():
        row = int(labels.mask.argmax())
        raise ValueError(
            f"VariationalAutoencoder: expected condition, a label for each row, got {condition.tolist()[row]!r} in row "
            f"{row}, which means unlabelled. Leave such rows out, or give the class another name."
        )
    return labels.data


def _different(condition: Any) -> np.ndarray | None:
    """Return the distinct labels; None without labels."""
    return None if condition is None else np.unique(_conditions(condition))
