"""NetworkEstimator: a network with a `fit`, the base of autoencoders and of the classifiers built on them."""

from __future__ import annotations

import copy
import functools
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from nanoae.autoencoders import optimizer_state
from nanoae.autoencoders.examples import Examples, weigh
from nanoae.autoencoders.model_file import save_model
from nanoae.autoencoders.own_layers import check_layers, layer_settings
from nanoae.autoencoders.parameters import estimator
from nanoae.autoencoders.plan import AUTO, Plan
from nanoae.autoencoders.saved import Fact, Packed
from nanoae.autoencoders.shown import Shown
from nanoae.autoencoders.weights import weighted_rows
from nanoae.backend import Shape, get_ops
from nanoae.backend.array_ops import float_type
from nanoae.blocks import blocks
from nanoae.data.field import NOT_FINITE, promised
from nanoae.data.frame import framed
from nanoae.engine.layers import Layer
from nanoae.engine.losses import Loss
from nanoae.engine.network import Sequential
from nanoae.guard import guarded
from nanoae.rows import Rows
from nanoae.training.divergence import NotFiniteError
from nanoae.training.evaluation import evaluate, rows_at_a_time
from nanoae.training.inference import inference
from nanoae.training.kfac import KFAC, KFACTrainer
from nanoae.training.loop import Trainer
from nanoae.training.process_group import process_group
from nanoae.warning import warn

HISTORY = {str: [(float, NOT_FINITE)]}


@estimator
class NetworkEstimator(Shown):
    """An estimator around one network_: an encoder, followed by a decoder or a head.

    A subclass defines the layers (`_layers`) and the loss (`new_loss`).

    network_   a Sequential; its first `_n_encoder` layers are the encoder
    """

    _plan: ClassVar[Plan] = Plan()
    _facts: ClassVar[tuple[Fact, ...]] = (Fact("history_", "history", HISTORY),)

    def settle(self) -> None:
        super().settle()
        self._left_open = {}

    # ---------------------------------------------------------------- building

    def _layers(self, input_shape: Shape) -> tuple[list[Layer], list[Layer]]:
        """Return new layers: (the encoder, which ends in the code; the decoder or head)."""
        raise NotImplementedError

    def _network_input(self, input_shape: Shape) -> Shape:
        """Return the shape of the network's input for an example: here that of the example itself."""
        return input_shape

    def new_loss(self) -> Loss:
        """Return a new instance of the training loss."""
        raise NotImplementedError

    def _trainable(self) -> list[slice] | None:
        """Return the slices of theta to train; None: all of theta."""
        return None

    def _build(self, input_shape: Shape, state: list[np.ndarray] | None = None) -> None:
        """Build encoder, decoder and loss: untrained, or with the learned arrays `state` of the same shapes."""
        self.check_parameters()
        encoder, decoder = self._layers(input_shape)
        network_seed, self._order_seed = np.random.SeedSequence(self.entropy()).spawn(2)
        only_numpy = isinstance(self.optimizer, KFAC)
        ops = get_ops("numpy" if only_numpy and self.backend == "auto" else self.backend)
        network = Sequential([*encoder, *decoder])
        shape = self._network_input(input_shape)
        self.network_ = network.build(shape, ops, self.dtype, network_seed, state)
        self._layer_settings = layer_settings(network)
        self._loss = self.as_built.new_loss().build(ops, self.network_.dtype)
        self._n_encoder = len(encoder)
        self.code_size_ = int(np.prod(encoder[-1].out_shape))
        if state is None:
            self.history_ = {"loss": [], "seconds": []}
        self._optimizer_state: Any = None  # set when loaded from a file

    # ---------------------------------------------------------------- training

    def _weighted_rows(
        self, X: Any, sample_weight: Any, most: int = 0, least: int = 1
    ) -> tuple[slice | np.ndarray, np.ndarray | None]:
        """Return (indices of the rows of X with positive weight, their weights or None): see `weighted_rows`."""
        return weighted_rows(sample_weight, len(X), type(self).__name__, most, least)

    def _pretrain(self, examples: Examples) -> None:
        """Train parts of the network before the whole: nothing here."""

    def _rows_and_labels(self, validation_data: Any, what: str) -> tuple[Any, ...]:
        """Return validation_data as (rows, labels); ValueError if it is anything else. what: the name of the labels."""
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
            raise ValueError(
                f"{type(self).__name__}: expected validation_data=(rows, their {what}), got a "
                f"{type(validation_data).__name__}."
            )
        return tuple(validation_data)

    def _planned(self, rows: int, watched: bool) -> dict[str, Any]:
        columns = getattr(self, "n_features_in_", 1)
        return self._plan.settings(self.as_built, rows, columns, watched)

    def _settle_plan(self, rows: int, watched: bool) -> None:
        """Replace each "auto" by a value chosen from the rows, as if the estimator was built with it."""
        found = self._planned(rows, watched)
        if self.as_built.scaling == AUTO:
            found["scaling"] = self.scaling_
        self._rate_falls = "epochs" in found
        self._settle(**found)

    def planned(self, name: str, rows: int) -> Any:
        """Return the value of a parameter that may be "auto", for this number of rows."""
        return self._planned(rows, True).get(name, getattr(self.as_built, name))

    def resolved_batch_size(self, rows: int) -> int:
        """Return the batch size for this number of rows."""
        return self.planned("batch_size", rows)  # type: ignore[no-any-return]

    @property
    def _patience(self) -> int | None:
        patience = self.as_built.patience
        return None if patience == AUTO else patience

    def _hold_out(self, n: int, X: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Split n rows at random; return (training indices, validation indices). For a table X that does not fit in
        memory, boolean masks, with no more validation rows than fit."""
        held = max(1, round(self.as_built.validation_fraction * n))
        if held >= n:
            raise ValueError(
                f"{type(self).__name__}: validation_fraction leaves no rows to learn from ({n} in all)."
            )
        random = np.random.default_rng(self._order_seed)
        if isinstance(X, Rows) and not X.fits:
            kept = np.ones(n, bool)
            drawn = random.choice(n, min(held, X.most), replace=False, shuffle=False)
            kept[drawn] = False
            return kept, ~kept
        order = random.permutation(n)
        return order[held:], order[:held]

    def _divided(
        self, examples: Examples, watched: Examples | None
    ) -> tuple[Examples, Examples | None]:
        """Return (training, validation) examples, after settling the plan for their number. Without validation data
        from the user, a fraction of the examples is held out."""
        n = len(examples.inputs)
        self._settle_plan(n, watched=watched is not None)
        if watched is not None or not self.as_built.validation_fraction:
            return examples, watched
        kept, held = self._hold_out(n, examples.inputs)
        return examples.take(kept), examples.take(held)

    def _train(self, examples: Examples, watched: Examples | None) -> None:
        """Train network_ on `examples` and measure the validation loss on `watched`."""
        built = self.as_built
        falling = self._rate_falls
        if built.patience is not None and watched is None:
            raise ValueError(
                f"{type(self).__name__}: expected validation rows with patience={built.patience}, got none. "
                "Pass validation_data=... to fit, or set validation_fraction=0.1."
            )
        self._trainer = trainer = self.new_trainer(len(examples.inputs), built.epochs, falling)
        validation = None
        if watched is not None:
            validation = self._to_device(watched.inputs), self._to_device(watched.targets)
            measure = trainer.measure or functools.partial(
                evaluate, trainer.fast, self._loss, batch_size=trainer.batch_size
            )
            trainer.measure = functools.partial(measure, weights=watched.weights)
        targets = weigh(trainer, self._loss, examples)
        self.history_ = trainer.history  # set now, since callbacks may save the model
        data = self._to_device(examples.inputs), self._to_device(targets)
        try:
            trainer.fit(*data, validation=validation, checkpoints=self.open_checkpoints)
        except NotFiniteError as error:
            self.interrupted_ = True
            error.model = copy.copy(self) if trainer.recovered else None
            raise
        self.interrupted_ = trainer.interrupted
        if falling:
            # its rate has fallen to 0; `partial_fit` starts from the initial rate
            del self._trainer

    def _to_device(self, array: Any) -> Any:
        return None if array is None else self.network_.ops.dataset(array)

    def new_trainer(self, rows: int, epochs: int, falling: bool = False) -> Trainer:
        """Return a trainer of network_ for this number of rows, with the estimator's optimiser, batch size and
        callbacks."""
        kind: Callable[..., Trainer] = Trainer
        built = self.as_built
        if built.processes != 1:
            warn(
                f"{type(self).__name__}: processes={built.processes} is ignored, and the parameter will be removed in "
                "the next version: one process uses all cores.",
                FutureWarning,
            )
        if isinstance(built.optimizer, KFAC):
            kind = KFACTrainer
        usual = built.learning_rate == type(self).learning_rate
        twice = usual and rows >= self._plan.many
        group = process_group()
        extra: dict[str, Any] = {}
        if group is not None:
            from nanoae.training.distributed import DistributedKFACTrainer, DistributedTrainer

            kind = DistributedKFACTrainer if kind is KFACTrainer else DistributedTrainer
            extra = {"group": group}
        trainer = kind(
            self.network_,
            self._loss,
            built._optimizer(falling * (1 + twice)),
            batch_size=self.resolved_batch_size(rows),
            epochs=epochs,
            rows=rows,
            seed=self._order_seed,
            patience=self._patience,
            on_divergence=built.on_divergence,
            callbacks=tuple(self.callbacks),
            verbose=built.verbose,
            trainable=self._trainable(),
            **extra,
        )
        trainer.model = weakref.proxy(self)
        return trainer

    def _float(self) -> np.dtype[Any]:
        return float_type(self.as_built.dtype)

    def _read(self, X: Any) -> np.ndarray:
        return self.scaled(self._check_X(X))

    def _inputs(self, X: Any) -> np.ndarray:
        """Return the network's input for X, including conditions in a conditional model."""
        return self._read(X)

    # ---------------------------------------------------------------- using

    @framed
    def transform(self, X: Any) -> np.ndarray:
        """Return the codes (N, K) of X (N, D), or of images if the estimator takes them."""
        return self._encode(X)

    def _encode(self, X: Any, **condition: Any) -> np.ndarray:
        """As `transform`, but always returns an array, regardless of `set_output`."""
        return self._run(self._inputs(X, **condition), 0, self._n_encoder)

    def _run(self, X: np.ndarray, start: int, stop: int | None) -> np.ndarray:
        """Apply layers start .. stop-1 to X in blocks of rows; return a new host array."""
        net = self.network_
        ops = self.network_.ops
        infer = inference(net, start, stop, self._loss if stop is None else None)
        shape = net.output_shape if stop is None else net.layers[stop - 1].out_shape
        result = np.empty((len(X), *shape), net.dtype)
        for block in blocks(len(X), rows_at_a_time(net)):
            infer(ops.to_device(X[block]), out=result[block])
        return result

    @property
    def n_code_layers_(self) -> int:
        """Number of layers of network_ that form the encoder; the rest is a decoder or a head."""
        return self._n_encoder

    @property
    def loss_(self) -> Loss:
        """The training loss of network_; its `predict` interprets the network's outputs."""
        return self._loss  # type: ignore[no-any-return]

    @property
    def _n_features_out(self) -> int:
        return self.code_size_

    # ---------------------------------------------------------------- keeping

    @guarded
    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle, without the trainer and the loss: partial_fit then starts a new optimiser.

        State that partial_fit changes in place is copied, since pickle reads it after this returns.
        """
        state = super().__getstate__()
        for name in ("_trainer", "_loss", "_optimizer_state"):
            state.pop(name, None)
        for name in state.keys() & {"network_", "history_"}:
            state[name] = copy.deepcopy(state[name])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if "network_" in state:
            loss = self.as_built.new_loss()
            self._loss = loss.build(self.network_.ops, self.network_.dtype)

    def check_weights(self) -> None:
        if not self.network_.finite:
            raise ValueError(
                f"{type(self).__name__}: expected finite weights, got NaN or infinity. Fit it again with "
                "a lower learning rate or scaled data."
            )

    def save(self, path: Any, optimizer: bool = False) -> None:
        """Write the model to `path` (.npz with JSON, no pickle); `nanoae.load` opens it on any backend.

        optimizer   True to save the optimizer's state, too: on the same backend, `partial_fit` then continues exactly
                    as it would have without saving. ValueError if there is no such state
        """
        self.check_fitted()
        save_model(self, path, training=optimizer_state.packed(self) if optimizer else None)

    def to_file(self) -> Packed:
        """Return (facts, arrays) for the model file."""
        self.check_weights()  # loading requires finite weights
        check_layers(self)
        facts, arrays = super().to_file()
        state = {f"state{i}": array for i, array in enumerate(self.network_.arrays())}
        return {**facts, "patience": self._patience}, arrays | state

    def from_file(self, header: dict[str, Any], arrays: Any) -> None:
        """Restore the state from `to_file`."""
        self.settle()
        self._settings_from_file(header, arrays)
        dtypes = (float_type(self.dtype).name,)
        count = sum(name.startswith("state") for name in arrays)
        state = [arrays.take(f"state{i}", dtypes=dtypes) for i in range(count)]
        for fact in self._facts:  # the layers may depend on them
            setattr(self, fact.attribute, fact.read(header))
        # Older files lack the planned patience; any value will do, since it only says that the best weights were kept.
        before = len(self.history_["loss"]) if self.epochs == AUTO else self._patience
        self._settle(patience=promised(header, "patience", (int, None), before))
        self._build(tuple(header["input_shape"]), state)
        self._optimizer_state = optimizer_state.read(header, arrays)
        row = np.zeros((1, *self.network_.input_shape), self.network_.dtype)
        self._run(row, 0, None)  # raises if the parts are inconsistent
