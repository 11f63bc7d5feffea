"""safetensors: a model's arrays in a file that every framework maps into memory, and that holds no code.

The weights of a network stand in it by PyTorch's names and in its layout, "0.weight" the first layer's, so that
`module.load_state_dict(safetensors.torch.load_file(path))` takes them where PyTorch has the same layers. The metadata
"nanoae" is the header of a model file (`model_file.py`), JSON, and "layout" says how the weights lie in the network.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from nanoae.autoencoders.model_file import load_model, pack_with_notes
from nanoae.data.regular_file import open_regular
from nanoae.engine.network import Sequential
from nanoae.interchange.weights import network_of, set_weights, state_dict, views


def content_of(model: Any, notes: dict[str, Any] | None = None) -> bytes:
    """The file of a fitted model, or of a Sequential, whose weights alone are in it."""
    if isinstance(model, Sequential):
        return _package().save(state_dict(model))
    header, arrays = pack_with_notes(model, notes)
    metadata = {"nanoae": json.dumps(header)}
    if hasattr(model, "network_"):
        arrays = {name: array for name, array in arrays.items() if not is_state(name)}
        arrays |= state_dict(model)
        metadata["layout"] = json.dumps(layout(network_of(model)))
    return _package().save(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata
    )


def layout(network: Sequential) -> list[list[Any]]:
    """The names of the weights of each array of `network.state()`, in its order, and whether they are transposed."""
    named = iter(views(network).items())
    theta: list[Any] = []
    state: list[Any] = []
    for layer in network.layers:
        for kept in [theta] * len(layer.params) + [state] * len(layer.state):
            name, view = next(named)
            kept.append([name, not view.flags.c_contiguous])
    return [theta, *([each] for each in state)]


def is_state(name: str) -> bool:
    return name.removeprefix("state").isdigit()


def read(path: Any) -> tuple[bytes, dict[str, np.ndarray]]:
    """(header as JSON, arrays as a model file has them); ValueError for a file that is damaged, or not from nanoae."""
    arrays, metadata = read_tensors(path)
    if "nanoae" not in metadata:
        raise ValueError(
            f"{path}: expected a model that nanoae exported, got weights alone. from_safetensors(path, model) fills a "
            "model of yours with them."
        )
    try:
        theta, *state = json.loads(metadata.get("layout", "[[]]"))
        parts = [(arrays.pop(name), transposed) for name, transposed in theta]
        if parts:
            arrays["state0"] = np.concatenate(
                [(a.T if transposed else a).reshape(-1) for a, transposed in parts]
            )
        arrays |= {f"state{i}": arrays.pop(name) for i, [(name, _)] in enumerate(state, 1)}
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}: expected weights laid out as its header says, got {error!r}."
        ) from error
    return metadata["nanoae"].encode(), arrays


def read_tensors(path: Any) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """(arrays by name, metadata) of any .safetensors file; ValueError for a damaged one."""
    package = _package("safetensors")
    with open_regular(path):  # so that a missing file, or a pipe, is told as everywhere
        pass
    try:
        with package.safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
            return arrays, file.metadata() or {}
    except (package.SafetensorError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected a sound .safetensors file of numbers, got: {error}"
        ) from error


def from_safetensors(path: Any, model: Any = None) -> Any:
    """The model in a .safetensors file that nanoae exported; or `model`, built, filled with the weights in any one.

    model   a built model or Sequential whose layers are those of the file, which has them by PyTorch's names

    Raises FileNotFoundError; ValueError for a file that is damaged, or does not fit the model; ImportError, which names
    the extra, without the package.
    """
    if model is None:
        return load_model(path)
    set_weights(model, read_tensors(path)[0])
    return model


def _package(name: str = "safetensors.numpy") -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            'expected the package safetensors. pip install "nanoae[safetensors]"'
        ) from error
