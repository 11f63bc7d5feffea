"""State: how a training stands. Taken from a trainer, and given to another one of the same kind, which then goes on to
the same weights, to the bit: all arrays that training changes, where the random generators stand, and what was counted.
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
    """Epochs done, steps done of the next one and their seconds; the lowest validation loss so far, epochs since then;
    whether the training has ended."""

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: float = math.inf
    waited: int = 0
    finished: bool = False


def device(network: Sequential) -> str:
    """Where it is, and whether with kernels."""
    return f"{network.ops.backend}, {type(network.ops).__name__}"


def identity(trainer: Trainer) -> Facts:
    """What has to be the same for a training to go on."""
    network = trainer.network
    facts = {
        "backend": device(network),
        "dtype": network.dtype.name,
        "seed": network.seed,
        "layers": network.layers,
    }
    return facts | {name: getattr(trainer, name) for name in SETTINGS}


def below(prefix: str, arrays: Arrays) -> Arrays:
    """Those whose names begin so, by the rest of their names."""
    start = len(prefix)
    return {name[start:]: array for name, array in arrays.items() if name.startswith(prefix)}


def take(trainer: Trainer) -> tuple[Facts, Arrays]:
    """How things stand, copied."""
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
    """What the next epoch follows from beside the network's own arrays, and nothing of the epochs before."""
    trainer.at = Position()
    facts, arrays = take(trainer)
    facts |= {"history": {"loss": [], "seconds": []}, "callbacks": []}
    own = {name: a for name, a in arrays.items() if not name.startswith(("network.", "best."))}
    return facts, own


def restore(trainer: Trainer, facts: Facts, arrays: Arrays) -> None:
    """Go on from there. KeyError, TypeError or ValueError for what is no state of such a trainer."""
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
        whole = place.dtype.kind == "i"  # which count something
        right = array.dtype == place.dtype and array.shape == place.shape
        if not right or not (array >= 0 if whole else np.isfinite(array)).all():
            wanted = f"{'counts' if whole else 'finite'} {place.dtype} {place.shape}"
            got = f"{array.dtype} {array.shape} from {array.min()} to {array.max()}"
            raise ValueError(f"expected {name}, {wanted}, got {got}")
    for name, array in arrays.items():
        ops.copy(ops.to_device(array), out=places[name])
    if at.step:
        # As `take` finds it, before a step is done: rank 0 tells the other ranks where it goes on from.
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
    """The numbers that a callback keeps, as how many epochs it has waited for a better loss."""
    own = getattr(inner(callback), "__dict__", {})
    return {name: value for name, value in own.items() if type(value) in (bool, int, float)}


def inner(callback: Any) -> Any:
    """What a stacked model's callback is before it is told which layer is trained."""
    return callback.args[0] if isinstance(callback, functools.partial) else callback


def check(facts: Facts) -> None:
    """KeyError, TypeError, ValueError or AttributeError where something is not of the kind that it has to be."""
    at = Position(**facts["at"])
    sound = [type(value) is type(getattr(Position, name)) for name, value in vars(at).items()]
    for values in facts["history"].values():
        kinds = {type(value) for value in values}
        complete = isinstance(values, list) and len(values) == at.epoch
        sound.append(complete and kinds <= {float})
    match facts:
        case {
            "t": int(t),
            "lr": float() | None,
            "rate_scale": float(scale),
            "history": {"loss": _, "seconds": _},
        }:
            counted = min(t, at.epoch, at.step, at.waited) >= 0
            sound.append(0 < scale <= 1 and counted)
        case _:
            sound.append(False)
    if not all(sound):
        got = {name: facts.get(name) for name in ("at", "t", "lr", "rate_scale", "history")}
        raise ValueError(f"expected counts, rates and losses of each epoch, got {got!r:.300}")
