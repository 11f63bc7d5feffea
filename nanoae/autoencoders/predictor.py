"""Predictors: a softmax or a linear unit on top of pretrained layers, for labels on a few of the rows or on all."""

from __future__ import annotations

import numpy as np

from nanoae.autoencoders.contract import all_or_nothing
from nanoae.autoencoders.reach import check_reach
from nanoae.autoencoders.stacked import Stacked, learned
from nanoae.data.labels import class_labels, numeric_labels, one_column
from nanoae.engine import losses
from nanoae.engine.layers import UNBOUNDED, Dropout, Layer, activation
from nanoae.engine.losses import MSE, SoftmaxCrossEntropy


class StackedPredictor(Stacked):
    """What the classifier and the regressor share: pretrain on all rows, then train with a head on the labelled."""

    def __init__(
        self,
        sizes=(1000, 1000, 1000),
        *,
        pretrain=True,
        pretrain_epochs=10,
        pretrain_learning_rate=None,
        pretrain_loss="mse",
        corruption=None,
        penalty=None,
        tied_weights=False,
        activation="sigmoid",
        dropout=0.0,
        freeze=0,
        optimizer="adam",
        learning_rate=1e-3,
        weight_decay=0.0,
        batch_size=256,
        epochs=10,
        initializer="glorot_uniform",
        bias_initializer="zeros",
        validation_fraction=0.0,
        patience=None,
        callbacks=(),
        processes=1,
        backend="auto",
        dtype="float32",
        random_state=None,
        verbose=False,
    ):
        self.sizes = sizes
        self.pretrain = pretrain
        self.pretrain_epochs = pretrain_epochs
        self.pretrain_learning_rate = pretrain_learning_rate
        self.pretrain_loss = pretrain_loss
        self.corruption = corruption
        self.penalty = penalty
        self.tied_weights = tied_weights
        self.activation = activation
        self.dropout = dropout
        self.freeze = freeze
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.initializer = initializer
        self.bias_initializer = bias_initializer
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.callbacks = callbacks
        self.processes = processes
        self.backend = backend
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose

    def _layers(self, input_shape):
        visible, hidden = self.dropout if isinstance(self.dropout, (list, tuple)) else (0.0, self.dropout)
        layers: list[Layer] = [Dropout(visible)] if visible else []
        for width in self.sizes:
            layers += [self._linear(width), activation(self.activation)]
            layers += [Dropout(hidden)] if hidden else []
        return layers, [self._linear(self._n_outputs())]

    def _reconstruction(self):
        return {"loss": self.pretrain_loss}

    def _taught(self, i):
        return [learned(self)[i]]

    def _check_parameters(self):
        super()._check_parameters()
        losses.get(self.pretrain_loss, "pretrain_loss")
        shares = self.dropout if isinstance(self.dropout, (list, tuple)) else (0.0, self.dropout)
        if len(shares) != 2 or not all(isinstance(p, (int, float, np.number)) and 0 <= p < 1 for p in shares):
            raise ValueError(
                f"{type(self).__name__}: expected dropout, one share in [0, 1) for the hidden layers, or two: (of the "
                f"inputs, of the hidden layers), got {self.dropout!r}."
            )
        if self.freeze not in range(len(self.sizes) + 1):
            raise ValueError(
                f"{type(self).__name__}: expected freeze, a number of layers, from 0 to {len(self.sizes)}, "
                f"got {self.freeze!r}."
            )

    def _build(self, input_shape, state=None):
        super()._build(input_shape, state)
        learned(self)[self.freeze].need_dx = False  # below it nothing learns, so backward may stop there

    def _trainable(self):
        first = self.network_.layers.index(learned(self)[self.freeze])
        return [slice(self.network_.parameters.slices[first, "W"].start, None)]

    # ---------------------------------------------------------------- training

    def _n_outputs(self) -> int:
        raise NotImplementedError

    def _read_labels(self, y: np.ndarray, known: bool) -> np.ma.MaskedArray:
        """y (N,) as labels, masked where a row has none; `known`: those that fit saw are the ones there are."""
        raise NotImplementedError

    def _learn_targets(self, y: np.ndarray) -> None:
        """What there is to know about labels y (N,) as a whole."""
        raise NotImplementedError

    def _targets(self, y: np.ndarray) -> np.ndarray:
        """What the network is to give for labels y (N,)."""
        raise NotImplementedError

    def _check_y(self, y, rows: int, known: bool = False) -> np.ma.MaskedArray:
        """y as labels (rows,), masked where a row has none; ValueError otherwise."""
        name = type(self).__name__
        if y is None:
            raise ValueError(f"{name} requires y to be passed, but the target y is None.")
        y = one_column(y)
        if y.shape != (rows,):
            raise ValueError(f"{name}: expected y of shape ({rows},), a label for each row of X, got {y.shape}.")
        return self._read_labels(y, known)

    @all_or_nothing
    def build(self, n_features: int, y):
        """Make the untrained network for rows of n_features and labels like y: for `summary`, or a look at it."""
        self._learn_targets(self._check_y(y, len(y)).compressed())
        self._build((n_features,))
        self.n_features_in_ = n_features
        return self

    @all_or_nothing
    def fit(self, X, y, X_unlabelled=None, validation_data=None):
        """Learn from X (N, D) and labels y (N,), afresh: pretrain on all rows, then train on the labelled ones.

        X_unlabelled       more rows (M, D) for the pretraining
        validation_data    (X, y) to measure after each epoch

        Raises ValueError for a table or labels that cannot be learned from; NotFiniteError where training diverges.
        """
        X = self._check_X(X, reset=True)
        y = self._check_y(y, len(X))
        self._learn_targets(y.compressed())
        rows, t = np.flatnonzero(~y.mask), self._targets(y.compressed())
        more = [] if X_unlabelled is None else [self._check_X(X_unlabelled)]
        for part in (X, *more) if self.pretrain else ():
            ends = losses.get(self.pretrain_loss, "pretrain_loss").reach(*UNBOUNDED)
            words = f'with pretrain_loss="{self.pretrain_loss}"'
            check_reach(type(self).__name__, part, ends, words, 'use pretrain_loss="mse"')
        validation = None
        if validation_data is not None:
            watched, labels = self._with_labels(*self._pair_of(validation_data, "y"))
            validation = watched, self._targets(labels)
        self._build(X.shape[1:])
        seen = np.ones(len(X), bool)
        if validation is None and self.validation_fraction:
            kept, held = self._hold_out(len(rows))
            validation, seen[rows[held]] = (X[rows[held]], t[held]), False
            rows, t = rows[kept], t[kept]
        self._pretrain(np.concatenate([X[seen], *more]) if self.pretrain else X)
        self._train(X[rows], t, validation)
        return self

    def _predicted(self, X) -> np.ndarray:
        """What the network gives for X; ValueError where that is no number, of which argmax would make a class."""
        self.check_fitted()
        given = self._run(self._check_X(X), 0, None)
        bad = ~np.isfinite(given).all(axis=1)
        if bad.any():
            raise ValueError(
                f"{type(self).__name__}: expected a network that gives finite numbers, got {given[bad][0].max()} for "
                f"row {int(bad.argmax())}. Its values are too large, or the weights are not finite."
            )
        return given

    def _with_labels(self, X, y) -> tuple[np.ndarray, np.ndarray]:
        """The rows of X that y has a label for, and their labels; ValueError where there are none."""
        X = self._check_X(X)
        y = self._check_y(y, len(X), known=True)
        if y.mask.all():
            raise ValueError(f"{type(self).__name__}: expected labelled rows, got none.")
        return X[~y.mask], y.compressed()


class StackedClassifier(StackedPredictor):
    """A deep network with a softmax on top, pretrained as a stack of autoencoders on all rows, labelled or not.

    sizes                  widths of the hidden layers
    pretrain               False: start from random weights instead, for comparison
    pretrain_epochs        passes over all rows for each layer's own autoencoder
    pretrain_learning_rate a float or a schedule; None: `learning_rate`
    pretrain_loss          of the reconstruction of X: "mse", or "bce" for X in [0, 1]
    corruption             of each layer's input while that layer is pretrained (GaussianNoise, MaskingNoise, ...)
    penalty                on each layer's code while that layer is pretrained (L1Sparsity, KLSparsity, Contractive)
    tied_weights           each layer's decoder in the pretraining uses its encoder's matrix, transposed
    activation             of the hidden layers
    dropout                share of each hidden layer's units left out at each step of the training as a whole; or two
                           shares: (of the inputs, of each hidden layer's units)
    freeze                 so many layers, from the input on, stay as they were pretrained, to the bit
    epochs                 passes over the labelled rows, through the whole network
    and optimizer, learning_rate, weight_decay, batch_size, initializer, bias_initializer, validation_fraction,
    patience, callbacks, processes, backend, dtype, random_state, verbose: as in `Autoencoder`.

    pretrain_epochs, corruption and penalty are one for all layers, or a list of one for each. Callbacks are called in
    the pretraining, too, with row["layer"] = 1, 2, ...

    Labels are whole numbers, truth values or texts, all of one kind. A row has none where y is -1, NaN, None, NA,
    masked (numpy.ma), or an empty text; `score` and `evaluate` leave such rows out. Only -1 and 1 with no others are
    two classes, which a warning tells; call a class -1 otherwise.

    After fit: classes_ (K,), network_, history_ (the cross-entropy), pretrain_history_ (of each layer's autoencoder, a
    list), n_features_in_, interrupted_. `transform` gives the last hidden layer.
    """

    _kind = "classifier"
    classes_: np.ndarray

    def _n_outputs(self):
        return len(self.classes_)

    def _criterion(self):
        return SoftmaxCrossEntropy()

    def _read_labels(self, y, known):
        return class_labels(y, type(self).__name__, self.classes_ if known else None)

    def _learn_targets(self, y):
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__}: expected labels of two classes or more, got {len(classes)} class(es): "
                f"{classes.tolist()}. y = -1 marks a row without a label."
            )
        self.classes_ = classes

    def _targets(self, y):
        unknown = ~np.isin(y, self.classes_)
        if unknown.any():
            raise ValueError(
                f"{type(self).__name__}: expected labels out of {self.classes_.tolist()}, got {y[unknown][0]!r}."
            )
        return np.searchsorted(self.classes_, y)

    def predict_proba(self, X) -> np.ndarray:
        """The probability of each class (N, K), in the order of classes_."""
        return self._predicted(X)

    def predict(self, X) -> np.ndarray:
        """The most probable class of each row (N,)."""
        best = self._predicted(X).argmax(axis=1)
        return self.classes_[best]

    def evaluate(self, X, y) -> dict[str, float]:
        """{"loss": the cross-entropy, "error": the share of wrong classes} over the labelled rows of X (N, D)."""
        self.check_fitted()
        X, y = self._with_labels(X, y)
        p, t = self._predicted(X).astype(np.float64), self._targets(y)
        likelihood = p[np.arange(len(t)), t].clip(np.finfo(self.network_.dtype).tiny)
        return {"loss": float(-np.log(likelihood).mean()), "error": float(np.mean(p.argmax(axis=1) != t))}

    def score(self, X, y) -> float:
        """The share of the labelled rows whose class is predicted."""
        self.check_fitted()
        X, y = self._with_labels(X, y)
        return float(np.mean(self.predict(X) == y))

    def to_file(self):
        facts, arrays = super().to_file()
        return {**facts, "classes": self.classes_.tolist()}, arrays

    def from_file(self, header, arrays):
        self.classes_ = np.array(header["classes"])
        super().from_file(header, arrays)


class StackedRegressor(StackedPredictor):
    """A deep network with a linear output, pretrained as a stack of autoencoders on all rows, labelled or not.

    The parameters are `StackedClassifier`'s. A row has no label where y is NaN, None, NA or masked (numpy.ma); `score`
    and `evaluate` leave such rows out.

    The network learns (y - mean) / std of the labelled rows; afterwards its head takes over std and mean, exactly.

    After fit: network_, history_ (mean squared errors of the scaled y), pretrain_history_ (of each layer's autoencoder,
    a list), n_features_in_, interrupted_. `transform` gives the last hidden layer.
    """

    _kind = "regressor"

    def _n_outputs(self):
        return 1

    def _criterion(self):
        return MSE()

    def _read_labels(self, y, known):
        return numeric_labels(y, type(self).__name__)

    def _learn_targets(self, y):
        if not len(y):
            raise ValueError(f"{type(self).__name__}: expected labelled rows, got y with NaN only.")
        self._mean, self._std = float(y.mean()), float(y.std()) or 1.0

    def _targets(self, y):
        return ((y - self._mean) / self._std).astype(self.as_built.dtype)[:, None]

    def _train(self, X, t, validation):
        super()._train(X, t, validation)
        ops, head = self.network_.ops, self.network_.layers[-1].params
        ops.scale_inplace(head["W"], self._std)  # y = mean + std (h W + b) = h (std W) + (std b + mean)
        ops.scale_inplace(head["b"], self._std)
        ops.add_inplace(head["b"], self._mean)

    def predict(self, X) -> np.ndarray:
        """y of each row (N,)."""
        return self._predicted(X)[:, 0]

    def evaluate(self, X, y) -> dict[str, float]:
        """{"loss": the mean squared error, "r2": as `score`} over the labelled rows of X (N, D)."""
        self.check_fitted()
        X, y = self._with_labels(X, y)
        return {"loss": float(((y - self.predict(X)) ** 2).mean()), "r2": self.score(X, y)}

    def score(self, X, y) -> float:
        """R² = 1 - Σ (y - predicted)² / Σ (y - mean of y)² over the labelled rows: 1 at best, 0 for always giving the
        mean. Where all y are the same, 1 if they are predicted, else 0."""
        self.check_fitted()
        X, y = self._with_labels(X, y)
        unexplained, spread = ((y - self.predict(X)) ** 2).sum(), ((y - y.mean()) ** 2).sum()
        return 1 - float(unexplained / spread) if spread else float(unexplained == 0)
