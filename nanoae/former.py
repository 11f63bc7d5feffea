"""Former names: names used by an earlier version. Each works for one more version, with a warning."""

from __future__ import annotations

import functools
from collections.abc import Callable

from nanoae.warning import warn

CLASSES = {  # also used in model files, which must always load
    "EachStep": "TimeDistributed",
    "LastStep": "LastTimestep",
    "Teacher": "TeacherForcing",
    "Condition": "ConcatLabel",
    "Conditioned": "ConcatSharedLabel",
    "RowBlocks": "open_rows",
}
NAMES = {  # class -> {former name: current name} of arguments (used in files, too), attributes and methods
    "Layer": {"resolve": "infer_shape"},
    "Loss": {"output": "predict"},
    "Embedding": {"n_words": "n_tokens", "words": "ids"},
    "KFAC": {
        "trust": "kl_clip",
        "memory": "ema_decay",
        "measure_every": "factor_every",
        "invert_every": "inverse_every",
    },
}


def former_names(kind: type) -> dict[str, str]:
    """Return {former name: current name} of a class and its nanoae base classes."""
    found: dict[str, str] = {}
    for base in kind.__mro__:
        if base.__module__.startswith("nanoae."):
            found |= NAMES.get(base.__name__, {})
    return found


def warn_former(old: str, new: str) -> None:
    """Warn that a name is deprecated, pointing at the caller's caller."""
    warn(
        f"{old} was renamed to {new}; the old name will be removed in the next version",
        FutureWarning,
    )


def former(old: str, method: Callable) -> Callable:
    """Return the method under its former name, with a warning when it is called."""

    @functools.wraps(method)
    def renamed(*arguments, **named):
        warn_former(old, method.__name__)
        return method(*arguments, **named)

    return renamed


def alias(old: str, new: str) -> property:
    """Return an attribute under its former name, with a warning when it is used."""

    def read(self):
        warn_former(f"{type(self).__name__}.{old}", new)
        return getattr(self, new)

    def write(self, value):
        warn_former(f"{type(self).__name__}.{old}", new)
        setattr(self, new, value)

    return property(read, write)
