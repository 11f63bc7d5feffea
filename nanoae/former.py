"""Former names: what an earlier version called things. Each works for one version more, with a warning."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable

CLASSES = {  # also in files, whose models load for ever
    "EachStep": "TimeDistributed",
    "LastStep": "LastTimestep",
    "Teacher": "TeacherForcing",
    "Condition": "ConcatLabel",
    "Conditioned": "ConcatSharedLabel",
    "RowBlocks": "open_rows",
}
NAMES = {  # class -> former name: name now, of arguments, which stand in files too, attributes and methods
    "Layer": {"resolve": "infer_shape"},
    "Loss": {"output": "predict", "free": "neutral"},
    "KFAC": {
        "trust": "kl_clip",
        "memory": "ema_decay",
        "measure_every": "factor_every",
        "invert_every": "inverse_every",
    },
}


def former_names(kind: type) -> dict[str, str]:
    """Former name -> name now, of a class and its bases that are nanoae's."""
    found: dict[str, str] = {}
    for base in kind.__mro__:
        if base.__module__.startswith("nanoae."):
            found |= NAMES.get(base.__name__, {})
    return found


def warn_former(old: str, new: str) -> None:
    """The warning, where the caller's caller has used the old name."""
    warnings.warn(
        f"{old} is called {new} now; the old name will go in the next version",
        FutureWarning,
        stacklevel=3,
    )


def former(old: str, method: Callable) -> Callable:
    """A method by its former name."""

    @functools.wraps(method)
    def renamed(*arguments, **named):
        warn_former(old, method.__name__)
        return method(*arguments, **named)

    return renamed


def alias(old: str, new: str) -> property:
    """An attribute by its former name."""

    def read(self):
        warn_former(f"{type(self).__name__}.{old}", new)
        return getattr(self, new)

    def write(self, value):
        warn_former(f"{type(self).__name__}.{old}", new)
        setattr(self, new, value)

    return property(read, write)
