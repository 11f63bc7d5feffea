"""Specimens: a small valid file of every format that nanoae reads, with its reader, for `benchmarks.mutations`."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import nanoae
from nanoae.cli.resume import read_command
from nanoae.data.files import read_lines

FIT = {"epochs": 2, "random_state": 0, "backend": "numpy"}
COLOURS = ("'red'", '"blue, or green"', "grey")


class Specimen(NamedTuple):
    """A format.

    name      of the file, in a folder of its own
    make      its content
    read      what nanoae has for it
    command   the words after `nanoae` that read it; FILE is its path, OUT a path to write to
    header    the array of a .npz file that is JSON, whose text alone is to be damaged
    """

    name: str
    make: Callable[[], bytes]
    read: Callable[[Path], Any]
    command: str
    header: str = ""


# ---------------------------------------------------------------- contents


def digits() -> tuple[np.ndarray, np.ndarray]:
    data = nanoae.load_data("digits")
    return data.x_train[:20], data.y_train[:20]


def rows() -> np.ndarray:
    return digits()[0].reshape(20, -1)[:, 18:24] / np.float32(16)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(save: Callable[..., None] = np.savez, **arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    save(file, **arrays)
    return file.getvalue()


def members(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of an archive, also of one that begins behind other bytes, where np.load looks for no archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        names = [name.removesuffix(".npy") for name in file.namelist()]
        return dict(zip(names, (read_npy(file, name) for name in file.namelist()), strict=True))


def read_npy(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def written(name: str, write: Callable[[Path], Any]) -> bytes:
    """What `write` puts into a file of that name."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, name))
        return Path(folder, name).read_bytes()


def network() -> Any:
    return nanoae.Autoencoder(2, (4,), **FIT)


def detector() -> Any:
    return nanoae.AnomalyDetector(network(), random_state=0).fit(rows())


def checkpoint() -> bytes:
    """The last one of a fit that went well."""
    with tempfile.TemporaryDirectory() as folder:
        network().fit(rows(), checkpoint_dir=folder)
        return max(Path(folder).glob("checkpoint-*.npz")).read_bytes()


def idx() -> bytes:
    return b"\0\0\x08\x03" + struct.pack(">3L", 20, 8, 8) + digits()[0].astype("u1").tobytes()


def numbers() -> bytes:
    return "\n".join(["a,b,c", *(f"{n},{n / 7:.3f},{-n}e-2" for n in range(40))]).encode()


def table() -> bytes:
    lines = [f"{n},{n / 7:.3f},{COLOURS[n % 3]},-{n}" for n in range(40)]
    return "\n".join(["id,size,colour,depth", *lines]).encode()


def slogans() -> bytes:
    return "".join(f"{word}\ttea for {word}\n" for word in ("red", "blue", "grün") * 5).encode()


def columnar(path: Path) -> None:
    import pyarrow.feather
    import pyarrow.parquet

    found = pyarrow.table({name: rows()[:, j] for j, name in enumerate("abcdef")})
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(found, path)
    else:
        pyarrow.feather.write_feather(found, path, compression="uncompressed")


def image() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(digits()[0][0].astype(np.uint8) * 15).save(file, "PNG")
    return file.getvalue()


# ---------------------------------------------------------------- readers


def load(path: Path) -> Any:
    return nanoae.load(path, backend="numpy")


def data(path: Path) -> Any:
    return nanoae.load_data(path, random_state=None)


def resumed(path: Path) -> Any:
    """The fit that goes on from it."""
    return network().fit(rows(), checkpoint_dir=path.parent, resume=True)


TRAIN = "train --data FILE --epochs 1 --code-size 1 --hidden none --no-figures --quiet --out OUT"
OPEN = "evaluate FILE --data digits"
DETECT = "detect --train FILE --save OUT.npz --members 0"  # told after the file is read
SPECIMENS = {
    "a model": Specimen("m.npz", lambda: written("m.npz", network().fit(rows()).save), load, OPEN),
    "a detector": Specimen("m.npz", lambda: written("m.npz", detector().save), load, OPEN),
    "a model in .safetensors": Specimen(
        "m.safetensors", lambda: written("m.safetensors", network().fit(rows()).export), load, OPEN
    ),
    "a checkpoint": Specimen("checkpoint-00000001.npz", checkpoint, resumed, ""),
    "a command": Specimen(
        "checkpoints/command.json",
        lambda: json.dumps(["train", "--data", "gone.csv", "--epochs", "1"]).encode(),
        read_command,
        "train --resume FOLDER/..",
    ),
    ".npz": Specimen(
        "d.npz", lambda: npz(np.savez_compressed, X=digits()[0], y=digits()[1]), data, TRAIN
    ),
    ".npy": Specimen("d.npy", lambda: npy(digits()[0]), data, TRAIN),
    "IDX": Specimen("d-idx3-ubyte", idx, data, TRAIN),
    "IDX in .gz": Specimen("d-idx3-ubyte.gz", lambda: gzip.compress(idx()), data, TRAIN),
    ".csv": Specimen("d.csv", numbers, data, TRAIN),
    ".csv in .gz": Specimen("d.csv.gz", lambda: gzip.compress(numbers()), data, TRAIN),
    ".csv of detect": Specimen("t.csv", table, nanoae.read_table, DETECT),
    "lines of text": Specimen(
        "d.txt", slogans, read_lines, "text train FILE --epochs 1 --quiet --out OUT"
    ),
    "Parquet": Specimen("d.parquet", lambda: written("d.parquet", columnar), data, TRAIN),
    "Arrow": Specimen("d.arrow", lambda: written("d.arrow", columnar), data, TRAIN),
    "a PNG": Specimen(
        "d/a.png", image, lambda path: data(path.parent), TRAIN.replace("FILE", "FOLDER")
    ),
}
for kind in ("a model", "a detector", "a checkpoint"):
    SPECIMENS[f"{kind}'s header"] = SPECIMENS[kind]._replace(header="header")
