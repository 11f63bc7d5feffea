"""Sameness: is it the fit that was stopped? What has to be the same for a fit to go on, and what differs, in words."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nanoae.configurable import config_snapshot

NOT_COMPARED = ("callbacks", "verbose")


def versions() -> dict[str, str]:
    """Of what has to be the same for results to be, to the bit."""
    return {"nanoae": sys.modules["nanoae"].__version__, "numpy": np.__version__}


def comparable(value: Any) -> Any:
    """The settings of parts, or of lists of them, that results follow from, as JSON gives them back."""
    text = json.dumps(
        config_snapshot(value), default=lambda kind: getattr(kind, "__name__", str(kind))
    )
    return json.loads(
        text, object_hook=lambda found: {k: v for k, v in found.items() if k not in NOT_COMPARED}
    )


def check_same(folder: Path, there: Any, here: Any) -> None:
    """ValueError that names what differs."""
    found = list(differences("", there, here))
    if found:
        raise ValueError(
            f"{folder}: expected the fit that was stopped, got another: {'; '.join(found[:5])}. Give it the same "
            "settings and data, or another checkpoint_dir."
        )


def differences(name: str, there: Any, here: Any) -> Iterator[str]:
    """What differs, in words: "epochs was 10, is 20"."""
    dicts = isinstance(there, dict) and isinstance(here, dict)
    lists = isinstance(there, list) and isinstance(here, list)
    if dicts and there.keys() == here.keys():
        for key, value in here.items():
            yield from differences(f"{name}.{key}" if name else key, there[key], value)
    elif lists and len(there) == len(here):
        for i, value in enumerate(here):
            yield from differences(f"{name}[{i}]", there[i], value)
    elif there != here:
        yield f"{name} was {there!r:.60}, is {here!r:.60}"


def fingerprint(ops: Any, data: tuple[Any, ...]) -> str:
    """Of arrays (N, ...), on the device or not, or None."""
    import hashlib  # here: `import nanoae` would pay for it

    digest = hashlib.blake2b(digest_size=8)
    for x in data:
        if x is None:
            digest.update(b"none")
            continue
        digest.update(f"{x.dtype} {x.shape}".encode())
        for start in range(0, len(x), 4096):
            block = ops.to_numpy(x[start : start + 4096])
            digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()
