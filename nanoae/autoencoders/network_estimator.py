"""NetworkEstimator: a network with a `fit`. Autoencoders, and classifiers built on them, differ in their layers."""

from __future__ import annotations

import copy
import functools
import warnings
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

HISTORY = {str: [(float, NOT_FINITE)]}


@estimator
class NetworkEstimator(Shown):
    """An estimator around one network_: the layers that make the code, then the rest, a decoder or a head.

    A subclass says which layers (`_layers`) and which loss (`new_loss`).

    network_   a Sequential; its first `_n_encoder` layers are the ones that make the code
    """

    _facts: ClassVar[tuple[Fact, ...]] = (Fact("history_", "history", HISTORY),)
    _plan: ClassVar[Plan] = Plan()

    def settle(self) -> None:
        super().settle()
        self._left_open = {}

    # ---------------------------------------------------------------- building

    def _layers(self, input_shape: Shape) -> tuple[list[Layer], list[Layer]]:
        """(the encoder, whose end is the code, and the decoder or head behind it), new layers."""
        raise NotImplementedError

    def _network_input(self, input_shape: Shape) -> Shape:
        """The shape of what the network reads of an example: the example, or more than that."""
        return input_shape

    def new_loss(self) -> Loss:
        """The loss that the network is trained on, a new one."""
        raise NotImplementedError

    def _trainable(self) -> list[slice] | None:
        """The slices of theta that learn; None: all of it."""
        return None

    def _build(self, input_shape: Shape, state: list[np.ndarray] | None = None) -> None:
        """Encoder, decoder and loss, untrained, or with `state`, what others of the same shape had learned."""
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
        self._optimizer_state: Any = None  # of a file

    # ---------------------------------------------------------------- training

    def _weighted_rows(
        self, X: Any, sample_weight: Any, most: int = 0, least: int = 1
    ) -> tuple[slice | np.ndarray, np.ndarray | None]:
        """(the numbers of the rows of X that count, their weights or None): see `weighted_rows`."""
        return weighted_rows(sample_weight, len(X), type(self).__name__, most, least)

    def _pretrain(self, examples: Examples) -> None:
        """What is learned before the network is trained as a whole: here, nothing."""

    def _rows_and_labels(self, validation_data: Any, what: str) -> tuple[Any, ...]:
        """(rows, their labels), given as validation_data; ValueError for anything else. what: the labels' name."""
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
            raise ValueError(
                f"{type(self).__name__}: expected validation_data=(rows, their {what}), got a "
                f"{type(validation_data).__name__}."
            )
        return tuple(validation_data)

    def _settle_plan(self, rows: int, watched: bool) -> None:
        """Numbers for what is "auto", by the number of rows: from here on the estimator was built with these."""
        built = self.as_built
        found = self._plan.settings(built, rows, watched)
        if isinstance(built.scaling, str) and built.scaling == AUTO:
            found["scaling"] = self.scaling_
        self._rate_falls = "epochs" in found
        self._settle(**found)

    def planned(self, name: str, rows: int) -> Any:
        """A parameter that may be "auto", for so many rows."""
        built = self.as_built
        return self._plan.settings(built, rows, watched=True).get(name, getattr(built, name))

    def resolved_batch_size(self, rows: int) -> int:
        """Rows per training step, of so many."""
        return int(self.planned("batch_size", rows))

    @property
    def _patience(self) -> int | None:
        patience = self.as_built.patience
        return None if patience == AUTO else patience

    def _hold_out(self, n: int, X: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the rows to learn from, and of those to watch the loss on, out of n in random order. Of a
        table X that does not fit in memory as bool, of the latter no more than do."""
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
        """(those to learn from, those to watch the loss on), once the plan is settled by how many there are: a share of
        the examples is held out where the user has given none to watch."""
        n = len(examples.inputs)
        self._settle_plan(n, watched=watched is not None)
        if watched is not None or not self.as_built.validation_fraction:
            return examples, watched
        kept, held = self._hold_out(n, examples.inputs)
        return examples.take(kept), examples.take(held)

    def _train(self, examples: Examples, watched: Examples | None) -> None:
        """Train network_ on the examples, measuring the loss of those `watched`."""
        built = self.as_built
        falling = self._rate_falls
        if built.patience is not None and watched is None:
            raise ValueError(
                f"{type(self).__name__}: expected rows to watch with patience={built.patience}, got none. "
                "Pass validation_data=... to fit, or set validation_fraction=0.1."
            )
        self._trainer = trainer = self.new_trainer(len(examples.inputs), built.epochs, falling)
        validation = None
        if watched is not None:
            validation = self._to_device(watched.inputs), self._to_device(watched.targets)
            judge = trainer.measure or functools.partial(
                evaluate, trainer.fast, self._loss, batch_size=trainer.batch_size
            )
            trainer.measure = functools.partial(judge, weights=watched.weights)
        targets = weigh(trainer, self._loss, examples)
        self.history_ = trainer.history  # as far as it goes: callbacks may keep the model
        data = self._to_device(examples.inputs), self._to_device(targets)
        try:
            trainer.fit(*data, validation=validation, checkpoints=self.open_checkpoints)
        except NotFiniteError as error:
            self.interrupted_ = True
            error.model = copy.copy(self) if trainer.recovered else None
            raise
        self.interrupted_ = trainer.interrupted
        if falling:
            del self._trainer  # whose rate has fallen to 0: `partial_fit` starts from the whole one

    def _to_device(self, array: Any) -> Any:
        return None if array is None else self.network_.ops.dataset(array)

    def new_trainer(self, rows: int, epochs: int, falling: bool = False) -> Trainer:
        """What trains network_ on so many rows: optimiser, batch size and callbacks are those of the estimator."""
        kind: Callable[..., Trainer] = Trainer
        built = self.as_built
        if built.processes != 1:
            warnings.warn(
                f"{type(self).__name__}: processes={built.processes} is ignored, and the parameter will be removed in "
                "the next version: one process uses all cores.",
                FutureWarning,
                stacklevel=2,
            )
        if isinstance(built.optimizer, KFAC):
            kind = KFACTrainer
        group = process_group()
        extra: dict[str, Any] = {}
        if group is not None:
            from nanoae.training.distributed import DistributedKFACTrainer, DistributedTrainer

            kind = DistributedKFACTrainer if kind is KFACTrainer else DistributedTrainer
            extra = {"group": group}
        trainer = kind(
            self.network_,
            self._loss,
            built._optimizer(falling),
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
        """What the network reads of X; of a model with conditions, under those."""
        return self._read(X)

    # ---------------------------------------------------------------- using

    @framed
    def transform(self, X: Any) -> np.ndarray:
        """The codes (N, K) of X (N, D), or of images where the estimator takes those."""
        return self._encode(X)

    def _encode(self, X: Any, **condition: Any) -> np.ndarray:
        """`transform`, an array whatever `set_output` says."""
        return self._run(self._inputs(X, **condition), 0, self._n_encoder)

    def _run(self, X: np.ndarray, start: int, stop: int | None) -> np.ndarray:
        """Layers start .. stop-1 on X, a block of rows at a time, into a new host array."""
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
        """How many of network_'s layers make the code; the rest is a decoder or a head."""
        return self._n_encoder

    @property
    def loss_(self) -> Loss:
        """The loss that network_ was trained on, which says what the network's outputs mean."""
        return self._loss  # type: ignore[no-any-return]

    @property
    def _n_features_out(self) -> int:
        return self.code_size_

    # ---------------------------------------------------------------- keeping

    @guarded
    def __getstate__(self) -> dict[str, Any]:
        """For pickle: without the trainer and the loss's buffers. partial_fit then starts its optimiser afresh.

        What partial_fit changes in place is a copy: pickle looks at it after this has returned.
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
                f"{type(self).__name__}: expected finite weights, got NaN or infinity among them. Fit it again: with "
                "a lower learning rate, or rows of smaller numbers."
            )

    def save(self, path: Any, optimizer: bool = False) -> None:
        """Write the model to `path` (.npz with JSON inside, no pickle); `nanoae.load` opens it on any backend.

        optimizer   whether to keep the optimizer's state, too: on the backend that it was saved on, `partial_fit` then
                    goes on as if nothing had been saved, to the bit. ValueError where there is none
        """
        self.check_fitted()
        save_model(self, path, training=optimizer_state.packed(self) if optimizer else None)

    def to_file(self) -> Packed:
        """(facts, arrays) for the model file."""
        self.check_weights()  # the file could not be opened again
        check_layers(self)
        facts, arrays = super().to_file()
        state = {
            f"state{i}": self.network_.ops.to_numpy(array)
            for i, array in enumerate(self.network_.state())
        }
        return {**facts, "patience": self._patience}, arrays | state

    def from_file(self, header: dict[str, Any], arrays: Any) -> None:
        """The opposite of `to_file`."""
        self.settle()
        self._settings_from_file(header, arrays)
        dtypes = (float_type(self.dtype).name,)
        count = sum(name.startswith("state") for name in arrays)
        state = [arrays.take(f"state{i}", dtypes=dtypes) for i in range(count)]
        for fact in self._facts:  # which the layers may follow from
            setattr(self, fact.attribute, fact.read(header))
        # In older files the plan's own stands for "auto": any, for what follows is that the best weights were kept.
        before = len(self.history_["loss"]) if self.epochs == AUTO else self._patience
        self._settle(patience=promised(header, "patience", (int, None), before))
        self._build(tuple(header["input_shape"]), state)
        self._optimizer_state = optimizer_state.read(header, arrays)
        row = np.zeros((1, *self.network_.input_shape), self.network_.dtype)
        self._run(row, 0, None)  # an error where parts do not fit together
