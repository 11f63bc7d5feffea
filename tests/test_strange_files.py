"""Does a file that was made to do harm do any? Each is refused, or is what it says, in a second and little memory."""

import gzip
import io
import json
import os
import re
import shutil
import struct
import sys
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

import nanoae
from benchmarks.mutations import batch
from benchmarks.specimens import SPECIMENS
from nanoae import (
    Adversarial,
    AnomalyDetector,
    Autoencoder,
    BatchNorm,
    Gaussian,
    Linear,
    StackedClassifier,
    VariationalAutoencoder,
)
from nanoae.cli import main

X = np.random.default_rng(0).random((60, 6)).astype(np.float32)
SMALL = {"epochs": 1, "random_state": 0}


def layers(*encoder):
    return {"encoder": list(encoder), "decoder": [Linear(6)]}


MODELS = {
    "plain": lambda: Autoencoder(2, (4,), **SMALL).fit(X),
    "norm": lambda: Autoencoder(**layers(Linear(8), BatchNorm(), Linear(2)), **SMALL).fit(X),
    "first norm": lambda: Autoencoder(**layers(BatchNorm(), Linear(2)), **SMALL).fit(X),
    "gaussian": lambda: Autoencoder(**layers(Linear(4)), bottleneck=Gaussian(), **SMALL).fit(X),
    "adversary": lambda: Autoencoder(2, (4,), bottleneck=Adversarial(hidden=(8, 8)), **SMALL).fit(
        X
    ),
    "vae": lambda: VariationalAutoencoder(2, (4,), **SMALL).fit(X),
    "classifier": lambda: StackedClassifier((3,), pretrain=False, **SMALL).fit(X, [0, 1] * 30),
    "detector": lambda: AnomalyDetector(Autoencoder(2, (4,), epochs=1), random_state=0).fit(X),
    "pca": lambda: nanoae.PCA(2).fit(X),
    "labels": lambda: nanoae.ClusterLabelDetector(nanoae.PCA(2), n_clusters=4).fit(X),
}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """kind of model -> (header, arrays) of its file."""
    found = {}

    def of(kind):
        if kind not in found:
            path = tmp_path_factory.mktemp("models") / "m.npz"
            MODELS[kind]().save(path)
            with np.load(path) as file:
                found[kind] = {name: file[name] for name in file.files}
        arrays = dict(found[kind])
        return json.loads(bytes(arrays.pop("header"))), arrays

    return of


def put(header, *keys):
    *path, last, value = keys
    for key in path:
        header = header[key]
    header[last] = value


def write(path, header, arrays):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    np.savez_compressed(path, header=np.frombuffer(text, np.uint8), **arrays)


def npy(header, content=b""):
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def add_zeros(path, name, n):
    """A member of n bytes, all zeros, which take a thousandth of it in the file."""
    header = npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({n // 4},), }}")
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w", force_zip64=True) as file,
    ):
        file.write(header)
        for _ in range(n >> 20):
            file.write(bytes(1 << 20))


MILLION, BILLION = 10**6, 10**9
WIDE = {  # a header that asks for gigabytes: (kind of model, where, what)
    "units before a BatchNorm": ("norm", "params", "encoder", 0, "n_out", BILLION),
    "features of a BatchNorm": ("first norm", "input_shape", [BILLION]),
    "units of the code": ("plain", "params", "code_size", BILLION),
    "hidden units": ("plain", "params", "hidden", [BILLION]),
    "a Gaussian code": ("gaussian", "params", "encoder", 0, "n_out", 24_000),
    "the code of a VAE": ("vae", "params", "code_size", 12_000),
    "an adversary": ("adversary", "params", "bottleneck", "hidden", [16_000, 16_000]),
    "an adversary of many layers": ("adversary", "params", "bottleneck", "hidden", [900] * 300),
    "the features of PCA": ("pca", "input_shape", [BILLION]),
    "members": ("detector", "folds", BILLION),
    "an input of images": ("plain", "input_shape", [MILLION, MILLION, MILLION]),
}
NONSENSE = {  # values that are of no kind that was promised
    "clusters without a spread": ("labels", "spread", 0),
    "a variance of less than 0": ("norm", "params", "encoder", 1, "eps", -1),
    "history": ("plain", "history", 5),
    "a history of texts": ("plain", "history", {"loss": ["a"]}),
    "a history of lists": ("plain", "history", {"loss": [[1.0]]}),
    "no params": ("plain", "params", []),
    "a class that is a list": ("plain", "class", ["Autoencoder"]),
    "a class that is a layer": ("plain", "class", "Linear"),
    "a class that is none of nanoae's": ("plain", "class", "Popen"),
    "a class of megabytes": ("plain", "class", "A" * (8 << 20)),
    "a class that cannot be fitted": ("plain", "class", "Estimator"),
    "a layer that is none": ("norm", "params", "encoder", 0, "type", "Adam"),
    "format true": ("plain", "format", True),
    "format 1.0": ("plain", "format", 1.0),
    "an input of no features": ("plain", "input_shape", [0]),
    "negative features": ("plain", "input_shape", [-6]),
    "true features": ("plain", "input_shape", [True]),
    "features that are text": ("plain", "input_shape", ["6"]),
    "names of other features": ("plain", "feature_names", ["a"]),
    "names that are numbers": ("plain", "feature_names", [1, 2, 3, 4, 5, 6]),
    "units that are numbers": ("plain", "units", [1]),
    "a prior that is a layer": ("vae", "prior", {"type": "Linear", "n_out": 3}),
    "a prior of other codes": ("vae", "prior", {"type": "Mixture", "weights": [1], "means": [[0]],
                                                "covariances": [[[1]]]}),
    "classes of lists": ("classifier", "classes", [[1], [2]]),
    "classes of three": ("classifier", "classes", [0, 1, 2]),
    "classes 5": ("classifier", "classes", 5),
    "a threshold of NaN": ("detector", "threshold", float("nan")),
    "a threshold of text": ("detector", "threshold", "1"),
    "a threshold of true": ("detector", "threshold", True),
    "no members": ("detector", "members", []),
    "members that are numbers": ("detector", "members", [1, 2]),
    "a scaler that is a score": ("detector", "members", 0, "scaler", {"type": "Mahalanobis"}),
    "scores that are layers": ("detector", "members", 0, "scores", [{"type": "ReLU"}]),
    "a calibration of text": ("detector", "calibration", "None"),
    "a layer by a number that is none": ("norm", "params", "decoder", [{"part": -1}]),
    "an activation of no kind": ("plain", "params", "activation", {"type": "Elementwise"}),
    "a bottleneck of no kind": ("plain", "params", "bottleneck", {"type": "Summing"}),
    "a schedule that is a number": ("plain", "params", "learning_rate", {"type": "WarmUp", "schedule": 1, "steps": 1}),
    "a schedule of text": ("plain", "params", "learning_rate", {"type": "Cosine", "lr": "1e-3"}),
    "a flag of text": ("plain", "params", "optimizer", {"type": "SGD", "lr": 1, "nesterov": "no"}),
    "a scale of text": ("plain", "scale_in", ["0", 1, ""]),
    "epochs of text": ("plain", "params", "epochs", "many"),
    "hidden of dicts": ("plain", "params", "hidden", {"dict": [[1, 2]]}),
    "a dict of lists": ("plain", "params", "loss", {"dict": [[[1], 2]]}),
}  # fmt: skip


def nested(depth):
    layer = {"type": "Linear", "n_out": 2}
    for _ in range(depth):
        layer = {"type": "TimeDistributed", "layer": layer}
    return layer


ARRAYS = {  # what a weight may not be: (kind of model, its name, the array made of the sound one)
    "bool": ("plain", "state0", lambda a: a > 0),
    "int8": ("plain", "state0", lambda a: a.astype(np.int8)),
    "float16": ("plain", "state0", lambda a: a.astype(np.float16)),
    "float64 in a model of float32": ("plain", "state0", lambda a: a.astype(np.float64)),
    "big-endian": ("plain", "state0", lambda a: a.astype(">f4")),
    "datetime": ("plain", "state0", lambda a: a.astype(np.int64).astype("M8[s]")),
    "complex": ("plain", "state0", lambda a: a.astype(np.complex64)),
    "text": ("plain", "state0", lambda a: a.astype("U8")),
    "NaN": (
        "plain",
        "state0",
        lambda a: np.where(np.arange(a.size) == 5, np.nan, a).astype(a.dtype),
    ),
    "infinity": (
        "plain",
        "state0",
        lambda a: np.where(np.arange(a.size) == 5, np.inf, a).astype(a.dtype),
    ),
    "two axes": ("plain", "state0", lambda a: a[None]),
    "one number": ("plain", "state0", lambda a: a[:1]),
    "one number for many": ("norm", "state1", lambda a: a[:1]),
    "one more": ("plain", "state1", lambda a: np.ones(3, np.float32)),
    "another mean": ("pca", "mean_", lambda a: a[:1]),
    "components of NaN": ("pca", "components_", lambda a: a * np.nan),
    "a standing of NaN": ("detector", "standing.0", lambda a: a * np.nan),
    "a standing of five": ("detector", "standing.0", lambda a: np.ones(5)),
    "scores of NaN": ("detector", "tested_scores", lambda a: a * np.nan),
    "weights of folds": ("detector", "seen.weights", lambda a: a[:, :1]),
    "an attribute of a scaler": ("detector", "0.scaler.transform", lambda a: np.ones(6)),
    "a private attribute": ("detector", "0.scaler.__class__", lambda a: np.ones(6)),
    "an attribute that is not declared": ("detector", "0.score0.more_", lambda a: np.ones(6)),
    "a setting of a score": ("detector", "0.score0.k", lambda a: np.ones(6)),
    "a scale of another table": ("detector", "0.scaler.scale_", lambda a: np.ones(7)),
}


DEEP = {
    "layers within layers": ("norm", "params", "encoder", [nested(200)]),
    "lists within lists": ("plain", "params", "hidden", json.loads("[" * 500 + "]" * 500)),
}
HEADERS = WIDE | NONSENSE | DEEP


@pytest.mark.parametrize("name", HEADERS)
def test_headers(parts, tmp_path, name):
    kind, *change = HEADERS[name]
    header, arrays = parts(kind)
    put(header, *change)
    write(tmp_path / "m.npz", header, arrays)
    refused(tmp_path / "m.npz")


@pytest.mark.parametrize(("kind", "name", "made"), ARRAYS.values(), ids=ARRAYS)
def test_arrays(parts, tmp_path, kind, name, made):
    header, arrays = parts(kind)
    arrays[name] = made(arrays.get(name))
    write(tmp_path / "m.npz", header, arrays)
    if name == "state1" and kind == "plain":  # one that nobody asks for
        return
    refused(tmp_path / "m.npz")


@pytest.mark.parametrize(
    "text",
    [
        b" " * (40 << 20),
        b"[" * 100_000,
        b'{"format": 1, "a": [' + b"{}," * 4_000_000 + b"1]}",
        b"1" * 10_000_000,
        b"",
    ],
    ids=["spaces", "brackets", "objects", "digits", "nothing"],
)
def test_texts_in_place_of_a_header(parts, tmp_path, text):
    write(tmp_path / "m.npz", text, parts("plain")[1])
    refused(tmp_path / "m.npz")


def test_a_checkpoint_of_a_million_objects_is_refused_unread(tmp_path):
    text = b'{"trainings": [' + b"[]," * (1 << 20) + b"[]]}"
    np.savez(tmp_path / "checkpoint-00000001.npz", header=np.frombuffer(text, np.uint8))
    with pytest.raises(ValueError, match="more than 200000 objects"):
        Autoencoder(2, **SMALL).fit(X, checkpoint_dir=tmp_path, resume=True)


def refused(path):
    """One error that names the file, and less memory than would hurt."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=path.name) as error:
            nanoae.load(path)
        assert "\n" not in str(error.value) and len(str(error.value)) < 1000
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def test_members_that_nobody_asked_for_are_not_read(parts, tmp_path):
    header, arrays = parts("plain")
    write(tmp_path / "m.npz", header, arrays)
    add_zeros(tmp_path / "m.npz", "more.npy", 1 << 27)
    assert nanoae.load(tmp_path / "m.npz").transform(X).shape == (60, 2)


def test_a_weight_of_gigabytes_is_refused_unread(parts, tmp_path):
    header, arrays = parts("plain")
    del arrays["state0"]
    write(tmp_path / "m.npz", header, arrays)
    add_zeros(tmp_path / "m.npz", "state0.npy", 1 << 27)
    refused(tmp_path / "m.npz")


def test_a_name_that_stands_twice_is_refused(parts, tmp_path):
    header, arrays = parts("plain")
    write(tmp_path / "m.npz", header, arrays)
    with (
        zipfile.ZipFile(tmp_path / "m.npz", "a") as archive,
        pytest.warns(UserWarning, match="Duplicate"),
    ):
        archive.writestr(
            "state0.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }")
        )
    refused(tmp_path / "m.npz")


def test_a_name_that_the_directory_changes_is_refused(parts, tmp_path):
    header, arrays = parts("detector")
    write(tmp_path / "m.npz", header, arrays)
    content = (tmp_path / "m.npz").read_bytes()
    at = content.rindex(b"0.scaler.limit_.npy")  # an array that files from before did not have
    (tmp_path / "m.npz").write_bytes(content[:at] + b"7" + content[at + 1 :])
    refused(tmp_path / "m.npz")


def test_a_directory_of_any_length_is_refused(tmp_path):
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"a"
    n = 100_000
    end = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, n & 0xFFFF, n & 0xFFFF, n * len(entry), 0, 0)
    (tmp_path / "m.npz").write_bytes(entry * n + end)
    refused(tmp_path / "m.npz")


@pytest.mark.parametrize("read", [nanoae.load, nanoae.read_table])
def test_a_folder_is_no_file(tmp_path, read):
    told = f"{tmp_path}: expected a regular file, got a folder. Name a file."
    with pytest.raises(ValueError, match=re.escape(told)):
        read(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", ["m.npz", "m.npy", "m.csv", "m.csv.gz", "m-idx3-ubyte"])
def test_pipes_and_devices_are_refused_at_once(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises((ValueError, FileNotFoundError)):
        nanoae.load_data(tmp_path / name)
    with pytest.raises(ValueError, match="a regular file, got a pipe"):
        nanoae.load(tmp_path / name)
    with pytest.raises(ValueError, match="a regular file, got a device"):
        nanoae.load("/dev/zero")
    with pytest.raises(ValueError, match="a regular file, got a device"):
        nanoae.read_table("/dev/zero")


def png(width, height):
    """An image that says how large it is, of zeros."""

    def chunk(kind, content):
        return (
            struct.pack(">L", len(content))
            + kind
            + content
            + struct.pack(">L", zlib.crc32(kind + content))
        )

    head = struct.pack(">2L5B", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("name", "content", "limit"),
    [
        ("a.npz", lambda: saved(X=np.zeros((1000, 1000))), 1 << 20),
        ("a.csv.gz", lambda: gzip.compress(b"1,2\n" * 300_000), 1 << 20),
        (
            "a-idx2-ubyte",
            lambda: b"\0\0\x08\x02" + struct.pack(">2L", 2000, 1000) + bytes(2_000_000),
            1 << 20,
        ),
    ],
)
def test_the_limit_is_said_and_can_be_raised(tmp_path, name, content, limit):
    path = tmp_path / name
    path.write_bytes(content())
    with pytest.raises(ValueError, match=rf"{name}: .*1048576|{name}: expected 1 to 1048576"):
        nanoae.load_data(path, limit=limit)
    assert len(nanoae.load_data(path, random_state=None, limit=1 << 24).x_train)


def saved(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def test_images_larger_than_the_limit_are_refused(tmp_path):
    pytest.importorskip("PIL")
    (tmp_path / "a").mkdir()
    for n in range(3):
        (tmp_path / "a" / f"{n}.png").write_bytes(png(3000, 3000))
    with pytest.raises(ValueError, match="at most 1048576 bytes of pixels"):
        nanoae.load_data(tmp_path / "a", limit=1 << 20)
    # three of 9,000,000 bytes, each of which would do
    with pytest.raises(
        ValueError, match="at most 20000000 bytes of pixels in all, got 3 images of 9000000"
    ):
        nanoae.load_data(tmp_path / "a", limit=20_000_000)


def test_the_command_line_tells_one_line(parts, tmp_path, monkeypatch, capsys):
    header, arrays = parts("norm")
    put(header, "params", "encoder", 0, "n_out", BILLION)
    write(tmp_path / "m.npz", header, arrays)
    np.savetxt(tmp_path / "x.csv", X, delimiter=",")
    code, told = run(tmp_path, "evaluate m.npz --data x.csv", monkeypatch, capsys)
    assert code == 2 and told.startswith("nanoae: error: m.npz: expected a whole nanoae model")
    assert told.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of POSIX")
@pytest.mark.filterwarnings("default")  # what is read of a damaged file may be odd
@pytest.mark.parametrize("kind", SPECIMENS)
def test_damaged_files_are_refused_by_name_or_read(kind):
    """As `python -m benchmarks.faults` does it, with 20,000 of each."""
    for package in ("PIL", "pyarrow", "safetensors"):
        pytest.importorskip(package)
    found = batch(kind, 7, 12)
    assert not [outcome for outcome in found if outcome.startswith("FAULT")]
    assert found["refused"] + found.get("read", 0) == 12
    told = found.get("refused by the command", 0) + found.get("done", 0)
    assert told == (1 if SPECIMENS[kind].command else 0)


COMMANDS = {
    "evaluate": "evaluate MODEL --data x.csv",
    "encode": "encode MODEL --data x.csv --out codes.csv",
    "reconstruct": "reconstruct MODEL --data x.csv --out again.csv",
    "generate": "generate MODEL --mixture 2 --data x.csv --out new.csv",
    "export": "export MODEL --out m.safetensors",
    "report": "report MODEL --data x.csv --out r.html",
    "gradcheck": "gradcheck --model MODEL",
    "detect": "detect --model DETECTOR --score x.csv --out s.csv",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with x.csv, a model of its columns, and a detector of it."""
    folder = tmp_path_factory.mktemp("models")
    names = ",".join("abcdef")
    np.savetxt(folder / "x.csv", X, delimiter=",", header=names, comments="")
    MODELS["plain"]().save(folder / "m.npz")
    table = nanoae.read_table(folder / "x.csv")
    AnomalyDetector(Autoencoder(2, (4,), epochs=1), random_state=0).fit(table).save(
        folder / "d.npz"
    )
    return folder


def run(folder, words, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    code = main(words.replace("MODEL", "m.npz").replace("DETECTOR", "d.npz").split())
    return code, capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_a_limit_for_its_model(models, command, monkeypatch, capsys):
    code, told = run(models, f"{COMMANDS[command]} --limit 100", monkeypatch, capsys)
    assert code == 2 and ".npz: expected at most 100 bytes when unpacked" in told


@pytest.mark.parametrize(
    "notes", [{"name": 5}, {"baseline": 5}, {"ignore": 5}, {"ignore": [5]}, {"more": 5}]
)
@pytest.mark.parametrize("command", ["evaluate", "encode", "generate", "report", "detect"])
def test_notes_of_a_stranger(models, tmp_path, command, notes, monkeypatch, capsys):
    for path in models.glob("*.npz"):
        with np.load(path) as file:
            arrays = dict(file)
        header = json.loads(bytes(arrays.pop("header")))
        write(tmp_path / path.name, {**header, "notes": notes}, arrays)
    shutil.copy(models / "x.csv", tmp_path)
    code, told = run(tmp_path, COMMANDS[command], monkeypatch, capsys)
    unused = command == "detect" and "ignore" not in notes
    assert code == (0 if unused else 2), told
    assert unused or (".npz: expected a valid nanoae model" in told and told.count("\n") == 1)


@pytest.mark.parametrize(
    ("value", "told"),
    [([4] * 100_000, "expected at most 1000 layers, got 100000"), ("9" * 5000, "expected hidden")],
    ids=["layers", "digits"],
)
def test_settings_without_end_are_refused_in_a_line(
    models, tmp_path, value, told, monkeypatch, capsys
):
    with np.load(models / "m.npz") as file:
        arrays = dict(file)
    header = json.loads(bytes(arrays.pop("header")))
    header["params"]["hidden"] = value
    write(tmp_path / "m.npz", header, arrays)
    shutil.copy(models / "x.csv", tmp_path)
    code, said = run(tmp_path, COMMANDS["evaluate"], monkeypatch, capsys)
    assert code == 2 and told in said and said.count("\n") == 1 and len(said) < 1000


def test_a_link_to_itself_is_told(models, tmp_path, monkeypatch, capsys):
    (tmp_path / "d.npz").symlink_to("d.npz")
    code, told = run(tmp_path, COMMANDS["detect"], monkeypatch, capsys)
    assert code == 2 and told.count("\n") == 1 and "d.npz" in told


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_a_pipe_or_a_large_file_in_the_place_of_safetensors(tmp_path):
    pytest.importorskip("safetensors")
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(ValueError, match="expected a regular file, got a pipe"):
        nanoae.load(tmp_path / "pipe.safetensors")
    MODELS["plain"]().export(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"m\.safetensors: expected at most 100 bytes"):
        nanoae.load(tmp_path / "m.safetensors", limit=100)


def test_an_unwanted_array_of_a_safetensors_file_is_not_read(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "m.safetensors"
    MODELS["plain"]().export(path)
    content = path.read_bytes()
    n = int.from_bytes(content[:8], "little")
    header, arrays = json.loads(content[8 : 8 + n]), safetensors.load(content)
    more = {**arrays, "more": np.zeros(1 << 24, np.float32)}
    path.write_bytes(safetensors.save(more, header["__metadata__"]))
    tracemalloc.start()
    assert nanoae.load(path).n_features_in_ == 6
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 24
