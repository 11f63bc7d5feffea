"""safetensors: a model's arrays in a file that every framework maps into memory, and that holds no code.

The weights of a network stand in it by PyTorch's names and in its layout, "0.weight" the first layer's, so that
`module.load_state_dict(safetensors.torch.load_file(path))` takes them where PyTorch has the same layers. The metadata
"nanoae" is the header of a model file (`model_file.py`), JSON, and "layout" says how the weights lie in the network.
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


def content_of(model: Any, notes: dict[str, Any] | None = None) -> bytes:
    """The file of a fitted model, or of a Sequential, whose weights alone are in it."""
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


def read(path: Any) -> tuple[bytes, Mapping[str, np.ndarray]]:
    """(header as JSON, arrays as a model file has them); ValueError for a file that is damaged, or not from nanoae."""
    arrays, metadata = read_tensors(path)
    if "nanoae" not in metadata:
        raise ValueError(
            f"{path}: expected a model that nanoae exported, got weights alone. from_safetensors(path, model) fills a "
            "model of yours with them."
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
    """The arrays of an open file, each of which is read when it is asked for."""

    def __init__(self, path: Any, file: Any):
        self.path, self.file, self.names = path, file, set(file.keys())

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.names:
            raise KeyError(name)
        with decoding(self.path, ".safetensors file of numbers"):  # which bfloat16 is not, to NumPy
            return self.file.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def read_tensors(path: Any) -> tuple[Mapping[str, np.ndarray], dict[str, str]]:
    """(arrays by name, metadata) of any .safetensors file; ValueError for a damaged one."""
    package = extra("safetensors")
    with opened(path, ".safetensors file of numbers"):
        # closed when the last array is gone
        file = package.safe_open(path, framework="numpy")
        return Tensors(path, file), file.metadata() or {}


def from_safetensors(path: Any, model: Any = None) -> Any:
    """The model in a .safetensors file that nanoae exported; or `model`, built, filled with the weights in any one.

    model   a built model or Sequential whose layers are those of the file, which has them by PyTorch's names

    Raises FileNotFoundError; ValueError for a file that is damaged, or does not fit the model; ImportError, which names
    the extra, without the package.
    """
    if model is None:
        return load_model(path)
    set_weights(model, dict(read_tensors(path)[0]))
    return model
