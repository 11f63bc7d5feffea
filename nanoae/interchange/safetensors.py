"""safetensors: a model's arrays in a file that every framework can map into memory, and that contains no code.

The weights of a network have PyTorch's names and layout ("0.weight" belongs to the first layer), so that
`module.load_state_dict(safetensors.torch.load_file(path))` works if PyTorch has the same layers. The metadata "nanoae"
is the header of a model file (`model_file.py`) as JSON, and "layout" maps the weights to the network.
"""

from __future__ import annotations

import json
from collections import ChainMap
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nanoae.autoencoders.model_file import load_model, pack_with_notes
from nanoae.data.regular_file import decoding, opened
from nanoae.engine.network import Sequential
from nanoae.extra import extra
from nanoae.interchange.weights import network_of, set_weights, state_dict, views


def content_of(model: Any, notes: dict[str, Any] | None) -> bytes:
    """The file content of a fitted model; for a Sequential, only its weights."""
    if isinstance(model, Sequential):
        return extra("safetensors.numpy").save(state_dict(model))
    header, arrays = pack_with_notes(model, notes)
    metadata = {"nanoae": json.dumps(header)}
    if hasattr(model, "network_"):
        arrays = {name: array for name, array in arrays.items() if not is_state(name)}
        arrays |= state_dict(model)
        metadata["layout"] = json.dumps(layout(network_of(model)))
    return extra("safetensors.numpy").save(
        {name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata
    )


def layout(network: Sequential) -> list[list[Any]]:
    """The names of the weights in each array of `network.state()`, in order, and whether they are transposed."""
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


def read(path: Any) -> tuple[bytes, Mapping[str, np.ndarray]]:
    """(header as JSON, arrays as in a model file); ValueError for a file that is damaged, or not from nanoae."""
    arrays, metadata = read_tensors(path)
    if "nanoae" not in metadata:
        raise ValueError(
            f"{path}: expected a model exported by nanoae, got only weights. from_safetensors(path, model) loads them "
            "into a model."
        )
    with decoding(path, "layout of weights"):
        theta, *state = json.loads(metadata.get("layout", "[[]]"))
        parts = [(arrays[name], transposed) for name, transposed in theta]
        own = {f"state{i}": arrays[name] for i, [(name, _)] in enumerate(state, 1)}
        if parts:
            flat = [(a.T if transposed else a).reshape(-1) for a, transposed in parts]
            own["state0"] = np.concatenate(flat)
    return metadata["nanoae"].encode(), ChainMap(own, arrays)  # type: ignore[arg-type]


class Tensors(Mapping[str, np.ndarray]):
    """The arrays of an open file, read on access."""

    def __init__(self, path: Any, file: Any):
        self.path, self.file, self.names = path, file, set(file.keys())

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.names:
            raise KeyError(name)
        with decoding(self.path, ".safetensors file of numbers"):  # NumPy has no bfloat16
            return self.file.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def read_tensors(path: Any) -> tuple[Mapping[str, np.ndarray], dict[str, str]]:
    """(arrays by name, metadata) of any .safetensors file; ValueError for a damaged one."""
    package = extra("safetensors")
    with opened(path, ".safetensors file of numbers"):
        # closed when the last array is released
        file = package.safe_open(path, framework="numpy")
        return Tensors(path, file), file.metadata() or {}


def from_safetensors(path: Any, model: Any = None) -> Any:
    """Load a model from a .safetensors file exported by nanoae; or load the weights of any such file into `model`.

    model   a built model or Sequential with the layers of the file, whose weights have PyTorch's names

    Raises FileNotFoundError; ValueError for a file that is damaged or does not fit the model; ImportError, which names
    the extra, without the package.
    """
    if model is None:
        return load_model(path)
    set_weights(model, dict(read_tensors(path)[0]))
    return model
