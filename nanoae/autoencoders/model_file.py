"""Model files: an .npz with a JSON header and plain arrays. No pickle: opening an untrusted file runs no code.

header    {"format": 1, "class": "Autoencoder", "params": {...}, ...}, as UTF-8 bytes
arrays    named float arrays (the network's theta and running statistics, PCA's components)
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from nanoae.autoencoders.estimator import Estimator
from nanoae.autoencoders.plan import AUTO
from nanoae.autoencoders.saved import Packed, Saved
from nanoae.backend import BackendError, available
from nanoae.backend.allowance import ALLOWANCE
from nanoae.configurable import name_of, to_config
from nanoae.data.archive import Archive, open_archive
from nanoae.data.dataset import BadFile
from nanoae.data.far_rows import ColumnRanges
from nanoae.data.field import fits, parse, promised
from nanoae.warning import warn
from nanoae.whole_file import whole_file

FORMAT = 1
KIND = "nanoae model (.npz, or .safetensors)"
LEAST_LIMIT = 32 << 20  # bytes that any file may unpack to, however small
# Memory for building a network, in bytes, in addition to twice the unpacked size: gradients and moments
ROOM = 64 << 20
HEADER_LIMIT = 16 << 20  # bytes: a history of 100,000 epochs takes 6 MB
LONGEST = 400  # maximum length of the quoted error about an inconsistent file
# Former defaults of parameters whose default is now "auto", with the same effect
FORMER = {
    "bias_initializer": "zeros",
    "validation_fraction": 0.0,
    "patience": None,
    "code_activation": "tanh",
    "weight_decay": 1e-5,
}
MOST_LAYERS = 1000  # maximum length of a list of layers or sizes: 100,000 take minutes


def save_model(
    model: Estimator, path: Any, notes: dict[str, Any] | None = None, training: Packed | None = None
) -> None:
    """Write a fitted model atomically: `path` holds either the old file or the complete new one.

    notes      further contents by name, for `read_notes`: JSON-ready data or models
    training   the optimiser's state (`optimizer_state.py`)
    """
    if getattr(model, "callbacks", None):
        warn(f"{type(model).__name__}.save: callbacks are code and are not saved")
    header, arrays = pack_with_notes(model, notes)
    if training is not None:
        header["training"], own = training
        arrays |= {f"training.{name}": array for name, array in own.items()}
    text = json.dumps(header).encode()
    arrays = {"header": np.frombuffer(text, np.uint8), **arrays}
    with whole_file(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def pack_with_notes(model: Estimator, notes: dict[str, Any] | None) -> Packed:
    """Return the contents of a model file: (header, arrays by name)."""
    header, arrays = pack(model)
    header = {"format": FORMAT, **header, "notes": dict(notes or {})}
    for name, note in header["notes"].items():
        if isinstance(note, Estimator):
            header["notes"][name], own = pack(note)
            arrays |= {f"notes.{name}.{key}": value for key, value in own.items()}
    return header, arrays


def pack(model: Estimator) -> Packed:
    """Return (header as JSON-ready data, arrays by name) of a fitted model."""
    config = model.as_built.config()
    open_yet = getattr(model, "_left_open", {})
    params = {name: open_yet.get(name, value) for name, value in config.items()}
    params.pop("callbacks", None)
    if not isinstance(params.get("random_state", 0), (int, np.integer)):
        params["random_state"] = None  # the generator's state is not saved
    facts, arrays = model.to_file()
    names = getattr(model, "feature_names_in_", None)
    header = {
        "class": name_of(type(model)),
        "says_auto": True,
        "params": {
            key: to_config(value, among=params.get("encoder")) for key, value in params.items()
        },
        "input_shape": list(model.input_shape_),
        "feature_names": None if names is None else list(names),
        "units": list(model._units_in),
        "scale_in": model._scale_in,
        "ends_in": model._ranges_in.ends.tolist(),
        **facts,
    }
    return header, arrays


def load_model(
    path: Any, backend: str | None = None, parts: Sequence[type] = (), limit: int | None = None
) -> Estimator:
    """Load the model in `path` on `backend` (None: the backend it was saved with, or "auto" if that is unavailable).

    parts   classes of your own that the model contains: layers, losses, scores. Only these and nanoae's own classes can
            be named by a file, and no code in it is run
    limit   maximum number of bytes to unpack; None: 32 MiB, or four times the file size if that is more

    Raises FileNotFoundError, or ValueError for a file that is not a model, is truncated or corrupt, or has a newer
    format.
    """
    with open_model(path, parts, limit) as (header, arrays):
        return unpack(header, arrays, backend)


def read_notes(path: Any, limit: int | None = None) -> dict[str, Any]:
    """Return the `notes` that `save_model` stored with the model, {} if none. limit: as in `load_model`."""
    with open_model(path, (), limit) as (header, arrays):
        notes = promised(header, "notes", dict, None) or {}
        for name, note in notes.items():
            if isinstance(note, dict) and "class" in note:
                notes[name] = unpack(note, arrays.under(f"notes.{name}"))
        return notes


@contextmanager
def open_model(
    path: Any, parts: Sequence[type], limit: int | None
) -> Iterator[tuple[dict[str, Any], Saved]]:
    """Yield (header, arrays) of a model file: an .npz, or a .safetensors written by `export`."""
    import nanoae.pyod  # noqa: F401 - a file may name its detectors

    size = os.stat(path).st_size
    limit = max(LEAST_LIMIT, 4 * size) if limit is None else limit
    if str(path).endswith(".safetensors"):
        from nanoae.interchange.safetensors import read

        if size > limit:  # its arrays are not compressed
            raise BadFile(path, f"at most {limit} bytes", size, "Allow more with --limit 8GB.")
        text, arrays = read(path)
        with consistent(path, limit):
            yield parsed(path, text), Saved(arrays, parts)
        return
    if str(path).endswith(".onnx"):
        hint = "ONNX files are for other programs: load the original model file."
        raise BadFile(path, f"a {KIND}", "an ONNX graph", hint)
    with open_archive(path, limit, KIND) as archive, consistent(path, limit):
        yield parsed(path, header_of(archive)), Saved(archive, parts)


@contextmanager
def consistent(path: Any, limit: int) -> Iterator[None]:
    """Turn errors about inconsistent contents into BadFile with the file's name, and limit the memory that objects
    described in the file may take to that of a model of its size."""
    try:
        with ALLOWANCE.of(2 * limit + ROOM):
            yield
    except (BadFile, BackendError, ImportError):
        raise
    except Exception as error:  # corrupt contents may raise anything
        raise BadFile(
            path, "a whole nanoae model", f"one that does not fit together: {error!s:.{LONGEST}}"
        ) from error


def header_of(archive: Archive) -> bytes:
    """Return the text of the header, b"" if there is none."""
    if "header" not in archive:
        return b""
    shape, dtype = archive.header("header")
    if len(shape) != 1 or shape[0] > HEADER_LIMIT or dtype != np.uint8:
        wanted = f"a nanoae model (.npz with a JSON header of at most {HEADER_LIMIT} bytes)"
        raise BadFile(archive.path, wanted, f"{dtype} of shape {shape}")
    return archive["header"].tobytes()


def parsed(path: Any, text: bytes) -> dict[str, Any]:
    """Parse the header; raise BadFile if it is invalid or nested more deeply than in any saved model."""
    try:
        header: dict[str, Any] = parse(text)
        found = promised(header, "format", int)
    except (ValueError, RecursionError) as error:
        raise BadFile(path, "a nanoae model (arrays with a JSON header)", repr(error)) from error
    if found != FORMAT:
        raise BadFile(
            path, f"model format {FORMAT}", found, "Update nanoae: pip install -U nanoae."
        )
    return header


def unpack(header: dict[str, Any], arrays: Saved, backend: str | None = None) -> Estimator:
    """Rebuild the model from the output of `pack`; backend as in `load_model`."""
    params = promised(header, "params", dict)
    shape = tuple(promised(header, "input_shape", [int]))
    names = promised(header, "feature_names", ([str], None), None)
    lists = [value for value in params.values() if isinstance(value, list)]
    longest = max(map(len, lists), default=0)
    if longest > MOST_LAYERS:
        raise ValueError(f"expected at most {MOST_LAYERS} layers, got {longest}.")
    misnamed = names is not None and len(names) != math.prod(shape)
    if not shape or min(shape) < 1 or misnamed:
        raise ValueError(
            f"expected an input_shape and either a name for each feature or none, got {shape} and {names}."
        )
    model = arrays.from_config({**params, "type": promised(header, "class", str)}, Estimator)
    given = model.get_params(deep=False)
    if "says_auto" not in header:
        open_yet = (name for name, value in FORMER.items() if given.get(name, AUTO) == value)
        left = {name: AUTO for name in open_yet if getattr(type(model), name) == AUTO}
        model.set_params(**left)
    made_on = given.get("backend")
    if made_on:
        model.set_params(backend=backend or available(made_on))
    model.settle()
    model.from_file(header, arrays)
    units = promised(header, "units", [(str, None)], ())
    model.record_schema(shape, names, units)
    scale = promised(header, "scale_in", ([(float, str)], None), None)
    if scale and not (fits(scale[:2], [float]) and fits(scale[2:], [str])):
        raise ValueError(f"expected scale_in, two numbers and a text, got {scale}.")
    model._scale_in = scale
    ends = promised(header, "ends_in", [[float]], [])
    model._ranges_in = ColumnRanges(np.reshape(ends, (2, *shape)) if any(ends) else ends)
    return model  # type: ignore[no-any-return]
