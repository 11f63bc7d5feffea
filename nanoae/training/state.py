"""State: the full state of a training, taken from a trainer and restored in another one of the same kind, which then
continues to bit-identical weights: all arrays that training changes, the random generators, and the counters.
"""

from __future__ import annotations

import functools
import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from nanoae.engine.network import Sequential
    from nanoae.training.loop import Trainer

Facts = dict[str, Any]  # JSON-ready
Arrays = dict[str, np.ndarray]
SETTINGS = ("batch_size", "epochs", "patience", "loss", "optimizer")


@dataclass
class Position:
    """Epochs done; steps done of the next one, and the seconds they took; the lowest validation loss so far, and the
    epochs since then; True if the training has ended."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: float = math.inf
    waited: int = 0
    finished: bool = False


def device(network: Sequential) -> str:
    """Return the backend and the class of its Ops, which tells whether kernels are used."""
    return f"{network.ops.backend}, {type(network.ops).__name__}"


def identity(trainer: Trainer) -> Facts:
    """Return the settings that must be equal for a training to be resumed."""
    network = trainer.network
    facts = {
        "backend": device(network),
        "dtype": network.dtype.name,
        "seed": network.seed,
        "layers": network.layers,
    }
    return facts | {name: getattr(trainer, name) for name in SETTINGS}


def below(prefix: str, arrays: Arrays) -> Arrays:
    """Return the arrays whose names begin with `prefix`, keyed by the rest of their names."""
    start = len(prefix)
    return {name[start:]: array for name, array in arrays.items() if name.startswith(prefix)}


def take(trainer: Trainer) -> tuple[Facts, Arrays]:
    """Return a copy of the trainer's state."""
    ops = trainer.ops
    lr = trainer.optimizer.lr
    within = trainer.at.step > 0
    arrays = {name: np.array(ops.to_numpy(array)) for name, array in trainer.arrays().items()}
    if within:
        trainer.at.seconds = time.perf_counter() - trainer.started
        arrays["total"] = np.array(ops.to_numpy(trainer.total))
    good = trainer.good if within else None
    if good is not None:
        arrays |= {f"good.{name}": array for name, array in good[1].items()}
    facts = {
        "at": asdict(trainer.at),
        "history": {name: list(values) for name, values in trainer.history.items()},
        "t": trainer.optimizer.t,
        "lr": None if callable(lr) else float(lr),
        "rate_scale": trainer.updates.rate_scale,
        "order": trainer.drawn_from if within else ops.generator_state(trainer.order),
        "noise": ops.generator_state(trainer.network.layers[0].generator),
        "good": good and good[0],
        "callbacks": [counts(callback) for callback in trainer.callbacks],
    }
    return facts, arrays


def between_epochs(trainer: Trainer) -> tuple[Facts, Arrays]:
    """Return the state that the next epoch depends on, without the network's arrays and the history."""
    trainer.at = Position()
    facts, arrays = take(trainer)
    facts |= {"history": {"loss": [], "seconds": []}, "callbacks": []}
    own = {name: a for name, a in arrays.items() if not name.startswith(("network.", "best."))}
    return facts, own


def restore(trainer: Trainer, facts: Facts, arrays: Arrays) -> None:
    """Restore a trainer's state. Raises KeyError, TypeError or ValueError if it does not belong to such a trainer."""
    check(facts)
    ops = trainer.ops
    optimizer = trainer.optimizer
    at = trainer.at = Position(**facts["at"])
    if facts["good"] is not None:
        check(facts["good"])
        trainer.good = facts["good"], below("good.", arrays)
    arrays = {name: array for name, array in arrays.items() if not name.startswith("good.")}
    if "best.0" in arrays:
        trainer.best_state = [array.copy() for array in trainer.network.state()]
    places = trainer.arrays()
    if at.step:
        places["total"] = total = np.zeros((), arrays["total"].dtype)
    needed = {name for name in places if not at.finished or name.startswith("network.")}
    if not needed <= arrays.keys() <= places.keys():
        raise ValueError(f"expected the arrays {sorted(needed)}, got {sorted(arrays)}")
    for name, array in arrays.items():
        place = places[name]
        whole = place.dtype.kind == "i"  # counters
        right = array.dtype == place.dtype and array.shape == place.shape
        if not right or not (array >= 0 if whole else np.isfinite(array)).all():
            wanted = f"{'counts' if whole else 'finite'} {place.dtype} {place.shape}"
            got = f"{array.dtype} {array.shape} from {array.min()} to {array.max()}"
            raise ValueError(f"expected {name}, {wanted}, got {got}")
    for name, array in arrays.items():
        ops.copy(ops.to_device(array), out=places[name])
    if at.step:
        # `take` may read it before the next step: rank 0 broadcasts its state to the other ranks.
        trainer.total = total[()]
        trainer.entered = at.step, trainer.total
        trainer.drawn_from = facts["order"]
        trainer.started = time.perf_counter() - at.seconds
    trainer.history.clear()
    trainer.history.update(facts["history"])
    optimizer.t = facts["t"]
    trainer.updates.rate_scale = facts["rate_scale"]
    if facts["lr"] is not None:
        optimizer.lr = facts["lr"]
    ops.set_generator_state(trainer.order, facts["order"])
    ops.set_generator_state(trainer.network.layers[0].generator, facts["noise"])
    for callback, kept in zip(trainer.callbacks, facts["callbacks"], strict=False):
        own = {
            name: value
            for name, value in kept.items()
            if type(value) is type(counts(callback).get(name))
        }
        getattr(inner(callback), "__dict__", {}).update(own)


def counts(callback: Any) -> Facts:
    """Return the numbers that a callback stores, such as the epochs it has waited for a better loss."""
    own = getattr(inner(callback), "__dict__", {})
    return {name: value for name, value in own.items() if type(value) in (bool, int, float)}


def inner(callback: Any) -> Any:
    """Return the user's callback, unwrapping that of a stacked model."""
    return callback.args[0] if isinstance(callback, functools.partial) else callback


def check(facts: Facts) -> None:
    """Raise KeyError, TypeError, ValueError or AttributeError if a fact has the wrong type or range."""
    at = Position(**facts["at"])
    valid = [type(value) is type(getattr(Position, name)) for name, value in vars(at).items()]
    for values in facts["history"].values():
        kinds = {type(value) for value in values}
        complete = isinstance(values, list) and len(values) == at.epoch
        valid.append(complete and kinds <= {float})
    match facts:
        case {
            "t": int(t),
            "lr": float() | None,
            "rate_scale": float(scale),
            "history": {"loss": _, "seconds": _},
        }:
            counted = min(t, at.epoch, at.step, at.waited) >= 0
            valid.append(0 < scale <= 1 and counted)
        case _:
            valid.append(False)
    if not all(valid):
        got = {name: facts.get(name) for name in ("at", "t", "lr", "rate_scale", "history")}
        raise ValueError(f"expected counts, rates and losses of each epoch, got {got!r:.300}")
