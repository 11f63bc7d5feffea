"""Sameness: checks that a resumed fit is the one that was stopped, and describes what differs."""

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
    """Return the versions that must be equal for bit-identical results."""
    return {"nanoae": sys.modules["nanoae"].__version__, "numpy": np.__version__}


def comparable(value: Any) -> Any:
    """Return the settings of parts, or of lists of them, on which results depend, after a round trip through JSON."""
    text = json.dumps(
        config_snapshot(value), default=lambda kind: getattr(kind, "__name__", str(kind))
    )
    return json.loads(
        text, object_hook=lambda found: {k: v for k, v in found.items() if k not in NOT_COMPARED}
    )


def check_same(folder: Path, saved: Any, current: Any) -> None:
    """Raise a ValueError that names the differences, if any."""
    found = list(differences("", saved, current))
    if found:
        raise ValueError(
            f"{folder}: expected the fit that was stopped, got another: {'; '.join(found[:5])}. Use the same "
            "settings and data, or another checkpoint_dir."
        )


def differences(name: str, saved: Any, current: Any) -> Iterator[str]:
    """Yield descriptions of the differences: "epochs was 10, is 20"."""
    dicts = isinstance(saved, dict) and isinstance(current, dict)
    lists = isinstance(saved, list) and isinstance(current, list)
    if dicts and saved.keys() == current.keys():
        for key, value in current.items():
            yield from differences(f"{name}.{key}" if name else key, saved[key], value)
    elif lists and len(saved) == len(current):
        for i, value in enumerate(current):
            yield from differences(f"{name}[{i}]", saved[i], value)
    elif saved != current:
        yield f"{name} was {saved!r:.60}, is {current!r:.60}"


def fingerprint(ops: Any, data: tuple[Any, ...]) -> str:
    """Return a hash of arrays (N, ...), on host or device, or None."""
    import hashlib  # keeps `import nanoae` fast

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
