"""Model files: an .npz with a JSON header and plain arrays. No pickle: opening a stranger's file runs no code.

header    {"format": 1, "class": "Autoencoder", "params": {...}, ...}, as UTF-8 bytes
arrays    named float arrays (the network's theta and running statistics, PCA's components)
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np

from nanoae.autoencoders.contract import Estimator
from nanoae.data.files import read_arrays
from nanoae.engine.part import construct, describe, known_parts

FORMAT = 1


def save_model(model: Estimator, path) -> None:
    """Write a fitted model, atomically: a file of that name is either the old one or the whole new one."""
    params = model.get_params(deep=False)
    if params.pop("callbacks", None):
        warnings.warn(f"{type(model).__name__}.save: callbacks are code and are not saved", stacklevel=3)
    facts, arrays = model.to_file()
    header = {"format": FORMAT, "class": type(model).__name__, "params": describe_params(params), **facts}
    arrays = {"header": np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays}
    path = Path(path)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        try:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.close()
            os.chmod(file.name, 0o666 & ~_umask())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def load_model(path, backend: str | None = None) -> Estimator:
    """The model in `path`, on `backend` (None: the one it was made with, or "auto" where that is not to be had).

    Raises FileNotFoundError; ValueError for a file that is no model, is cut, corrupt, or of a newer format.
    """
    arrays = read_arrays(path)
    try:
        header = json.loads(bytes(arrays.pop("header")))
        found = header["format"]
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: expected a nanoae model (.npz with a JSON header), got {error!r}.") from error
    if found != FORMAT:
        raise ValueError(
            f"{path}: expected model format {FORMAT}, got {found!r}. Update nanoae: pip install -U nanoae."
        )
    classes = {name: cls for name, cls in known_parts().items() if issubclass(cls, Estimator)}
    if header.get("class") not in classes:
        raise ValueError(
            f"{path}: expected a model class out of {', '.join(sorted(classes))}, got {header.get('class')!r}."
        )
    try:
        model = classes[header["class"]](**{k: construct(v) for k, v in header["params"].items()})
        if backend is not None and "backend" in model.get_params(deep=False):
            model.set_params(backend=backend)
        model.from_file(header, arrays)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected a whole nanoae model, got one that does not fit together: {error}"
        ) from error
    return model


def describe_params(params: dict) -> dict:
    return {key: describe(value) for key, value in params.items()}


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
