"""StackedClassifier: a softmax on top of pretrained layers."""

from __future__ import annotations

import numpy as np

from nanoae.autoencoders.predictor import StackedPredictor
from nanoae.data.labels import class_labels
from nanoae.engine.losses import SoftmaxCrossEntropy
from nanoae.spelling import did_you_mean


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
    class_weight           how much a row of each class counts, once the layers are pretrained: {class: weight}, 1 for
                           those not named; "balanced": N / (K · the rows of its class), so that all classes count
                           alike; None: 1
    epochs                 passes over the labelled rows, through the whole network
    and optimizer, learning_rate, weight_decay, batch_size, initializer, bias_initializer, validation_fraction,
    patience, callbacks, processes, backend, dtype, random_state, verbose: as in `Autoencoder`.

    pretrain_epochs, corruption and penalty are one for all layers, or a list of one for each. Callbacks are called in
    the pretraining, too, with row["layer"] = 1, 2, ...

    Labels are whole numbers, truth values or texts, all of one kind. A row has none where y is -1, NaN, None, NA,
    masked (numpy.ma), or an empty text; `score` and `evaluate` leave such rows out, which scikit-learn's metrics do
    not: a search over such rows goes by `score`, scoring=None. Only -1 and 1 with no others are two classes, which a
    warning tells; call a class -1 otherwise.

    After fit: classes_ (K,), network_, history_ (the cross-entropy), pretrain_history_ (of each layer's autoencoder, a
    list), n_features_in_, interrupted_. `transform` gives the last hidden layer.
    """

    _kind = "classifier"
    classes_: np.ndarray

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
        class_weight=None,
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
        self.class_weight = class_weight
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

    def _n_outputs(self):
        return len(self.classes_)

    def _criterion(self):
        return SoftmaxCrossEntropy()

    def _read_labels(self, y, known):
        return class_labels(y, type(self).__name__, self.classes_ if known else None)

    def _learn_targets(self, y, weights):
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__}: expected labels of two classes or more, got {len(classes)} class(es): "
                f"{classes.tolist()}. y = -1 marks a row without a label."
            )
        self.classes_ = classes
        self._class_weights = self._weights_of_classes(np.searchsorted(classes, y), weights)

    def _weights_of_classes(self, t: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
        """How much a row of each class counts, (K,), given the rows' class numbers t (N,); None: all alike."""
        name, classes, given = type(self).__name__, self.classes_.tolist(), self.class_weight
        if given is None:
            return None
        if isinstance(given, str) and given == "balanced":
            count = np.bincount(t, weights)
            return count.sum() / (len(classes) * count)
        if not isinstance(given, dict):
            hint = did_you_mean(given, ["balanced"])
            raise ValueError(
                f'{name}: expected class_weight=None, "balanced" or {{class: weight}}, got {given!r}.{hint}'
            )
        for label, weight in given.items():
            if label not in classes:
                raise ValueError(f"{name}: expected class_weight of classes out of {classes}, got one of {label!r}.")
            self._check_number(**{f"class_weight[{label!r}]": weight})
        found = np.array([given.get(label, 1.0) for label in classes], np.float64)
        if not found.any():
            raise ValueError(f"{name}: expected class_weight with some class above zero, got {given!r}.")
        return found

    def _label_weights(self, y, weights):
        if self._class_weights is None:
            return weights
        of_class = self._class_weights[self._targets(y)]
        return of_class if weights is None else of_class * weights

    def _targets(self, y):
        unknown = ~np.isin(y, self.classes_)
        if unknown.any():
            name, got = type(self).__name__, y[unknown].tolist()[0]
            raise ValueError(f"{name}: expected labels out of {self.classes_.tolist()}, got {got!r}.")
        return np.searchsorted(self.classes_, y)

    def predict_proba(self, X) -> np.ndarray:
        """The probability of each class (N, K), in the order of classes_."""
        return self._predicted(X)

    def predict(self, X) -> np.ndarray:
        """The most probable class of each row (N,)."""
        best = self._predicted(X).argmax(axis=1)
        return self.classes_[best]

    def evaluate(self, X, y, sample_weight=None) -> dict[str, float]:
        """{"loss": the cross-entropy, "error": the share of wrong classes} over the labelled rows of X (N, D), of which
        row n counts sample_weight[n] times."""
        self.check_fitted()
        X, y, weights = self._with_labels(X, y, sample_weight)
        p, t = self._predicted(X).astype(np.float64), self._targets(y)
        likelihood = p[np.arange(len(t)), t].clip(np.finfo(self.network_.dtype).tiny)
        wrong = p.argmax(axis=1) != t
        return {
            "loss": float(np.average(-np.log(likelihood), weights=weights)),
            "error": float(np.average(wrong, weights=weights)),
        }

    def score(self, X, y, sample_weight=None) -> float:
        """The share of the labelled rows whose class is predicted."""
        self.check_fitted()
        X, y, weights = self._with_labels(X, y, sample_weight)
        return float(np.average(self.predict(X) == y, weights=weights))

    def to_file(self):
        facts, arrays = super().to_file()
        return {**facts, "classes": self.classes_.tolist()}, arrays

    def from_file(self, header, arrays):
        self.classes_ = np.array(header["classes"])
        super().from_file(header, arrays)
