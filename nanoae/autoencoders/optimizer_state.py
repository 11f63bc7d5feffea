"""The optimiser's state in a model file: what the next `partial_fit` needs in addition to the weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanoae.autoencoders.saved import FLOATS, WHOLE, Saved
from nanoae.data.field import promised
from nanoae.training import state
from nanoae.training.loop import Trainer
from nanoae.training.state import Arrays, Facts
from nanoae.warning import warn

MOST = 1 << 53  # rows and epochs: larger values in a file are invalid


def packed(model: Any) -> tuple[Facts, Arrays]:
    """Return (facts, arrays) of a fitted model; ValueError if it has no optimiser to continue with."""
    trainer = trainer_of(model) if hasattr(model, "partial_fit") else None
    if trainer is None:
        raise ValueError(
            f"{type(model).__name__}.save: expected a model with an optimizer that partial_fit continues with for "
            'optimizer=True, got none, as after a fit with epochs="auto", whose learning rate has fallen to 0. '
            "Set optimizer=False, or fit with a number of epochs."
        )
    facts, arrays = state.between_epochs(trainer)
    identity = state.identity(trainer)
    facts |= {name: identity[name] for name in ("backend", "seed", "batch_size", "epochs")}
    return {**facts, "rows": trainer.rows}, arrays


def read(header: Facts, arrays: Saved) -> tuple[Facts, Arrays] | None:
    """Return that state from a model file, None if it has none; ValueError if it is invalid."""
    facts = promised(header, "training", dict, None)
    if facts is None:
        return None
    state.check(facts)
    promised(facts, "backend", str)
    rows = promised(facts, "rows", int)
    for name, most in {"rows": MOST, "epochs": MOST, "batch_size": rows}.items():
        if not 1 <= promised(facts, name, int) <= most:
            raise ValueError(f"expected {name} from 1 to {most}, got {facts[name]}.")
    own = arrays.under("training")
    return facts, {name: own.take(name, dtypes=FLOATS + WHOLE) for name in own}


def trainer_of(model: Any) -> Trainer | None:
    """Return the trainer that the next `partial_fit` continues with: that of the last call, or one restored from a
    file. None if there is none for the present layers or, with a warning, if it was saved on another backend, whose
    random numbers differ. ValueError if a file's state does not match the model."""
    found = vars(model).get("_optimizer_state")
    model._optimizer_state = None
    if found is None:
        trainer = getattr(model, "_trainer", None)
        network = model.network_
        same = trainer and trainer.network is network and trainer.layers == network.layers
        return trainer if same else None
    name = type(model).__name__
    device = state.device(model.network_)
    if device != found[0]["backend"]:
        reason = f"its optimizer was saved on {found[0]['backend']}, this is {device}"
        warn(f"{name}: {reason}: partial_fit starts a new one")
        return None
    try:
        model._trainer = trainer_from(model, *found)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"{name}: expected its optimizer's state in the file, got one that does not fit: {error!r:.200}"
        ) from error
    return model._trainer  # type: ignore[no-any-return]


def trainer_from(model: Any, facts: Facts, arrays: Arrays) -> Trainer:
    network = model.network_
    _, noise = np.random.SeedSequence(**facts["seed"]).spawn(2)
    generator = network.ops.generator(noise)
    for layer in network.layers:
        layer.generator = generator
    network.seed = facts["seed"]
    model._settle(batch_size=facts["batch_size"])
    trainer: Trainer = model.new_trainer(facts["rows"], facts["epochs"])
    weights = {name: a for name, a in trainer.arrays().items() if name.startswith("network.")}
    state.restore(trainer, facts, arrays | weights)
    return trainer
