"""Model files: an .npz with a JSON header and plain arrays. No pickle: opening a stranger's file runs no code.

header    {"format": 1, "class": "Autoencoder", "params": {...}, ...}, as UTF-8 bytes
arrays    named float arrays (the network's theta and running statistics, PCA's components)
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from nanoae.autoencoders.estimator import Estimator
from nanoae.backend import available
from nanoae.data.files import read_arrays
from nanoae.engine.part import construct, describe, known_parts
from nanoae.spelling import one_of
from nanoae.whole_file import whole_file

FORMAT = 1


def save_model(model: Estimator, path, notes: dict[str, Any] | None = None) -> None:
    """Write a fitted model: a file of that name is either the old one or the whole new one.

    notes   what else the file is to keep, for `read_notes`: JSON-ready data, or models, by name
    """
    if getattr(model, "callbacks", None):
        warnings.warn(f"{type(model).__name__}.save: callbacks are code and are not saved", stacklevel=4)
    header, arrays = pack_with_notes(model, notes)
    arrays = {"header": np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays}
    with whole_file(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def pack_with_notes(model: Estimator, notes: dict[str, Any] | None) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """All that a file of the model holds: (header, arrays by name)."""
    header, arrays = pack(model)
    header = {"format": FORMAT, **header, "notes": dict(notes or {})}
    for name, note in header["notes"].items():
        if isinstance(note, Estimator):
            header["notes"][name], own = pack(note)
            arrays |= {f"notes.{name}.{key}": value for key, value in own.items()}
    return header, arrays


def pack(model: Estimator) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(header as JSON-ready data, arrays by name) of a fitted model."""
    params = model.as_built.config()
    params.pop("callbacks", None)
    if not isinstance(params.get("random_state", 0), (int, np.integer)):
        params["random_state"] = None  # a generator: its numbers are spent
    facts, arrays = model.to_file()
    names = getattr(model, "feature_names_in_", None)
    header = {
        "class": type(model).__name__,
        "params": {key: describe(value, among=params.get("encoder")) for key, value in params.items()},
        "input_shape": list(model.input_shape_),
        "feature_names": None if names is None else list(names),
        "units": list(model._units_in),
        **facts,
    }
    return header, arrays


def load_model(path, backend: str | None = None) -> Estimator:
    """The model in `path`, on `backend` (None: the one it was made with, or "auto" where that is not to be had).

    Raises FileNotFoundError; ValueError for a file that is no model, is cut, corrupt, or of a newer format.
    """
    header, arrays = read_model(path)
    with whole(path):
        return unpack(header, {name: value for name, value in arrays.items() if not name.startswith("notes.")}, backend)


def read_notes(path) -> dict[str, Any]:
    """What `save_model` was given to note beside the model; nothing where it was given nothing."""
    header, arrays = read_model(path)
    notes = header.get("notes") or {}
    with whole(path):
        for name, note in notes.items():
            if isinstance(note, dict) and "class" in note:
                start = f"notes.{name}."
                own = {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}
                notes[name] = unpack(note, own)
        return dict(notes)


def read_model(path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(header, arrays) of a model file, an .npz, or what `export` wrote as .safetensors."""
    if str(path).endswith(".safetensors"):
        from nanoae.interchange.safetensors import read

        text, arrays = read(path)
    else:
        arrays = read_arrays(path)
        text = bytes(arrays.pop("header", np.empty(0, np.uint8)))
    try:
        header = json.loads(text)
        found = header["format"]
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path}: expected a nanoae model (arrays with a JSON header), got {error!r}.") from error
    if found != FORMAT:
        raise ValueError(
            f"{path}: expected model format {FORMAT}, got {found!r}. Update nanoae: pip install -U nanoae."
        )
    return header, arrays


@contextmanager
def whole(path) -> Iterator[None]:
    """Tells what does not fit together in a file by its name."""
    try:
        yield
    except (KeyError, TypeError, IndexError, ValueError, AttributeError, ArithmeticError, MemoryError) as error:
        raise ValueError(
            f"{path}: expected a whole nanoae model, got one that does not fit together: {error}"
        ) from error


def unpack(header: dict[str, Any], arrays: dict[str, np.ndarray], backend: str | None = None) -> Estimator:
    """The model that `pack` took apart; backend as in `load_model`."""
    classes = {name: cls for name, cls in known_parts().items() if issubclass(cls, Estimator) and hasattr(cls, "fit")}
    kind = classes[one_of("model class", header["class"], sorted(classes))]
    model = construct({**header["params"], "type": kind})
    if made_on := model.get_params(deep=False).get("backend"):
        model.set_params(backend=backend or available(made_on))
    model.settle()
    model.from_file(header, arrays)
    model.record_schema(tuple(header["input_shape"]), header["feature_names"], header.get("units", ()))
    return model
