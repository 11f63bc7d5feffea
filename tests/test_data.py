"""Does every reader give what is in the file, or one clear error?"""

import contextlib
import csv
import email.message
import functools
import gzip
import hashlib
import http.server
import io
import os
import pickle
import struct
import subprocess
import sys
import threading
import tracemalloc
import types
import urllib.request
import urllib.response
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoae.data import BadFile, Dataset, catalogue, load_data, read_idx, swiss_roll, xor
from nanoae.data import download as downloads
from nanoae.data.download import SOURCES, File, Source

X = np.random.default_rng(1).integers(0, 256, (10, 4, 3), np.uint8)
Y = np.arange(10, dtype=np.uint8)
CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
NAMES = [file.name for file in SOURCES["mnist"].files]


def idx(x, shape=None):
    """The bytes of an IDX file; `shape` is what the header claims, whatever x holds."""
    shape = x.shape if shape is None else shape
    return (
        struct.pack(f">HBB{len(shape)}I", 0, CODES[x.dtype.str[1:]], len(shape), *shape)
        + x.astype(x.dtype.newbyteorder(">")).tobytes()
    )


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def npy(x, shape=None):
    file = io.BytesIO()
    header = {
        "descr": x.dtype.str,
        "fortran_order": False,
        "shape": x.shape if shape is None else shape,
    }
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + x.tobytes()


def zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def everything(data):
    """All rows of a split set, sorted, so that two shuffles of one set are equal."""
    x = np.concatenate([data.x_train, data.x_test])
    return x[np.lexsort(x.reshape(len(x), -1).T)]


# --- IDX


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("dtype", CODES)
def test_idx_gives_what_is_in_the_file(tmp_path, dtype, pack):
    x = (np.random.default_rng(0).standard_normal((5, 3, 2)) * 50).astype(dtype)
    got = read_idx(write(tmp_path / "any.name", pack(idx(x))))
    assert got.dtype == x.dtype and got.dtype.isnative
    np.testing.assert_array_equal(got, x)
    got[0] = 0  # the caller's own, not a view of read-only bytes


@pytest.mark.parametrize(
    ("content", "match"),
    {
        "empty": (b"", "got first bytes none"),
        "other format": (b"\x89PNG....", "expected an IDX file .*, got first bytes 89 50"),
        "unknown type": (b"\0\0\x07\x01\0\0\0\x01.", "got first bytes 00 00 07 01"),
        "no axes": (b"\0\0\x08\0", "got first bytes 00 00 08 00"),
        "header cut": (idx(X)[:9], "expected the lengths of 3 axes, got the end"),
        "cut": (idx(X)[:-1], r"expected 120 bytes of numbers, shape \(10, 4, 3\), got fewer"),
        "trailing": (idx(X) + b"!", "expected 120 bytes of numbers, .* got more"),
        "gzip trailing": (gzip.compress(idx(X) + b"!"), "expected 120 bytes .* got more"),
        "gzip cut": (gzip.compress(idx(X))[:-9], "expected a valid IDX file"),
        "gzip garbage": (gzip.compress(idx(X)) + b"garbage", "expected a valid IDX file"),
        "no examples": (idx(X[:0]), "expected 1 to .* bytes"),
        "size lies": (idx(X, (2**31, 1, 1)), "expected 2147483648 bytes .* got fewer"),
        "gzip size lies": (
            gzip.compress(idx(X, (2**31, 1, 1))),
            "expected 2147483648 bytes .* got fewer",
        ),
        "absurd size": (idx(X, (2**32 - 1,) * 3), "expected 1 to 4294967296 bytes"),
        "bomb": (gzip.compress(idx(X[:1]) + bytes(32 << 20)), "expected 12 bytes .* got more"),
    }.values(),
)
def test_idx_refuses(tmp_path, content, match):
    path = write(tmp_path / "bad-idx", content)
    tracemalloc.start()
    with pytest.raises(BadFile, match=f"bad-idx: .*{match}"):
        read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20, "a lying header or a bomb was believed"
    tracemalloc.stop()


def test_idx_checks_the_content_not_the_gz_bytes(tmp_path):
    digest = hashlib.sha256(idx(X)).hexdigest()
    for level in (1, 9):
        read_idx(write(tmp_path / "x.gz", gzip.compress(idx(X), level)), sha256=digest)
    other = X.copy()
    other[3, 2, 1] ^= 1
    with pytest.raises(BadFile, match=f"SHA-256 {digest}, got"):
        read_idx(write(tmp_path / "x.gz", gzip.compress(idx(other))), sha256=digest)


# --- hostile files: whatever the damage, the right numbers or one error that names the file

TABLE = "a,b\n" + "".join(f"{n % 7},{n * n % 11}\n" for n in range(20))
WHOLE = {
    "h.gz": gzip.compress(idx(X)),
    "h.idx": idx(X),
    "h.npz": npz(X=X, y=Y),
    "h.npy": npy(X),
    "h.csv": TABLE.encode(),
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damage_is_an_error_that_names_the_file(folder, name, data):
    content = bytearray(WHOLE[name])
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    start = data.draw(st.integers(0, len(content)))
    content[start : start + data.draw(st.sampled_from([0, 0, 1, 7, 1000]))] = data.draw(
        st.binary(max_size=4)
    )
    path = write(folder / name, bytes(content))
    try:
        got = read_idx(path) if name in ("h.gz", "h.idx") else everything(load_data(path))
    except (ValueError, OSError) as error:
        assert name in str(error)
    else:
        if name in ("h.gz", "h.npz"):  # these carry checksums: no damage may give other numbers
            want = X if name == "h.gz" else everything(Dataset.split("", X))
            np.testing.assert_array_equal(got, want)


# --- users' files


@pytest.mark.parametrize("dtype", ["u1", ">f4", "f8", "i8", "?"])
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_arrays_come_back_as_stored(tmp_path, suffix, dtype):
    x = X.astype(dtype)
    data = load_data(write(tmp_path / f"a.{suffix}", npy(x) if suffix == "npy" else npz(X=x, y=Y)))
    assert data.x_train.dtype == x.dtype and data.shape == (4, 3) and len(data.x_train) == 8
    assert data.maximum == {"u1": 255, "?": 1}.get(dtype)
    np.testing.assert_array_equal(everything(data), x[np.lexsort(x.reshape(10, -1).T)])
    if suffix == "npz":
        np.testing.assert_array_equal(data.x_train, x[data.y_train])  # each row kept its label
        np.testing.assert_array_equal(data.x_test, x[data.y_test])


def test_the_split_is_fixed_by_the_seed(tmp_path):
    path = write(tmp_path / "a.npz", npz(x=np.arange(100.0)[:, None]))
    one, same, other = (
        load_data(str(path), random_state=seed).x_test.ravel() for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert len(one) == 20 and set(one) != set(other) and list(one) != sorted(one)


def test_npy_stays_on_disk_in_order(tmp_path):
    path = write(tmp_path / "a.npy", npy(X.astype("f4")))
    data = load_data(path, random_state=None)
    assert isinstance(data.x_train, np.memmap) and not data.x_train.flags.owndata
    assert isinstance(data.flat()[0], np.memmap), "flat() copied float32 data"
    np.testing.assert_array_equal(data.x_train, X[:8])
    np.testing.assert_array_equal(data.x_test, X[8:])


def test_npz_with_an_official_split(tmp_path):
    data = load_data(
        write(tmp_path / "a.npz", npz(x_train=X[:7], y_train=Y[:7], x_test=X[7:], y_test=Y[7:]))
    )
    np.testing.assert_array_equal(data.x_train, X[:7])
    np.testing.assert_array_equal(data.x_test, X[7:])
    np.testing.assert_array_equal(data.y_test, Y[7:])


class Bang:
    def __reduce__(self):
        return os._exit, (3,)


F8 = np.ones((10, 2))


@pytest.mark.parametrize(
    ("name", "content", "match"),
    {
        "npy cut": ("b.npy", npy(F8)[:-1], r"b.npy of 288 bytes for float64 \(10, 2\), got 287"),
        "npy trailing": (
            "b.npy",
            npy(F8) + b"!",
            r"b.npy of 288 bytes for float64 \(10, 2\), got 289",
        ),
        "npy size lies": (
            "b.npy",
            npy(F8, (2**40, 2)),
            r"b.npy of \d+ bytes for float64 .*, got 288",
        ),
        "npy not": ("b.npy", b"hello", "expected a valid .npy file"),
        "npy flat": ("b.npy", npy(np.ones(9)), r"expected x of shape \(N, ...\) .* got \(9,\)"),
        "npy one": ("b.npy", npy(np.ones((1, 9))), r"N >= 2"),
        "npy text": ("b.npy", npy(np.full((9, 2), "a")), "real numbers, got dtype <U1"),
        "npy complex": ("b.npy", npy(F8 + 0j), "real numbers, got dtype complex128"),
        "npy narrow": ("b.npy", npy(np.ones((9, 0))), "b.npy: expected"),
        "npz not": ("b.npz", b"hello", "expected a valid .npz file"),
        "npz cut": ("b.npz", npz(X=F8)[:-30], "expected a valid .npz file"),
        "npz keys": (
            "b.npz",
            npz(a=F8, c=F8),
            r"x_train and x_test, or X, .* got the members \['a', 'c'\]",
        ),
        "npz labels": (
            "b.npz",
            npz(X=F8, y=Y[:9]),
            "expected y of 10 labels, one per example, got \\(9,\\)",
        ),
        "npz test": (
            "b.npz",
            npz(x_train=F8, x_test=F8[:, :1]),
            r"x_test with examples of shape \(2,\), as in x_train, got \(10, 1\)",
        ),
        "npz test labels": (
            "b.npz",
            npz(x_train=F8, x_test=F8, y_test=Y[:3]),
            "expected y_test of 10 labels",
        ),
        "npz pickle": (
            "b.npz",
            zipped(X=npy(np.ones(1, "O"), (9, 2))[:-8] + pickle.dumps(Bang())),
            "pickled objects",
        ),
        "npz size lies": (
            "b.npz",
            zipped(X=npy(F8, (2**40, 2))),
            r"X.npy of \d+ bytes for float64 .* got \d+",
        ),
        "npz version": (
            "b.npz",
            zipped(X=b"\x93NUMPY\x09\x00" + bytes(99)),
            "version 1.0 or 2.0, got",
        ),
        "npz bomb": (
            "b.npz",
            npz(X=np.zeros((1 << 14, 64))),
            "at most 4194304 bytes when unpacked, got X.npy of 8388",
        ),
        "csv empty": ("b.csv", "", "rows of cells, got none"),
        "csv blank": ("b.csv", "\n\n", "rows of cells, got none"),
        "csv header only": ("b.csv", "a,b\n", "rows of cells, got none"),
        "csv text": (
            "b.csv",
            "age,size\n1,2\n3,tall\n",
            "a number in row 3, column 'size', got 'tall'",
        ),
        "csv missing": ("b.csv", "1,2\n3,\n", "a number in row 2, column 2, got ''"),
        "csv missing first": ("b.csv", "1,\n3,4\n", "a number in row 1, column 2, got ''"),
        "csv text first": ("b.csv", "1.5,tall\n3,4\n", "a number in row 1, column 2, got 'tall'"),
        "csv underscore": ("b.csv", "1,2\n3,20_24\n", "a number in row 2, column 2, got '20_24'"),
        "csv two decimal marks": (
            "b.csv",
            "a;b\n1,5;2\n1.5;3\n",
            "one decimal mark in column 'a', got '1.5' and",
        ),
        "csv short": ("b.csv", "1,2\n3\n", "2 cells in row 2, got 1"),
        "csv long": ("b.csv", "a,b\n1,2\n3,4,5\n", "2 cells in row 3, got 3"),
        "csv latin-1": ("b.csv", b"gr\xf6sse\n1\n2\n", "CSV table in UTF-8, got 'utf-8' codec"),
        "csv binary": ("b.csv", b"1,2\n\0\0,1\n", "b.csv: expected"),
        "csv giant cell": (
            "b.csv",
            "1,2\n" + "3" * 200_000 + ",4\n",
            "field larger than field limit",
        ),
    }.values(),
)
def test_users_files_refused(tmp_path, name, content, match):
    with pytest.raises(ValueError, match=f"b.{name[-3:]}: .*{match}|{match}"):
        load_data(write(tmp_path / name, content), limit=4 << 20)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("header", [None, ["a", "b, or c", "2024"]])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_gives_what_is_in_the_file(tmp_path, mark, header, end):
    x = np.random.default_rng(0).standard_normal((12, 3)) * 1e3
    file = io.StringIO()
    writer = csv.writer(file, delimiter=mark, lineterminator=end)
    writer.writerows([header] * bool(header) + x.tolist())
    for start in ("", "\ufeff", end):  # plain, with a byte-order mark, after a blank line
        data = load_data(write(tmp_path / "a.csv", start + file.getvalue()), random_state=None)
        np.testing.assert_array_equal(np.concatenate([data.x_train, data.x_test]), x)
        assert data.columns == (tuple(header) if header else None) and data.y_train is None


@pytest.mark.parametrize(
    ("labels", "want"),
    [
        (["1", "0", "2"], np.array([1, 0, 2])),
        (["1", ".5", "2"], np.array([1, 0.5, 2])),
        (list("abc"), np.array(list("abc"))),
    ],
)
def test_csv_label_becomes_y(tmp_path, labels, want):
    table = "a,kind,b\n" + "".join(f"{n},{label},{-n}\n" for n, label in enumerate(labels))
    path = write(tmp_path / "a.csv", table)
    data = load_data(path, random_state=None, label="kind")
    y = np.concatenate([data.y_train, data.y_test])
    np.testing.assert_array_equal(y, want)
    assert y.dtype == want.dtype and data.columns == ("a", "b")
    np.testing.assert_array_equal(data.x_train, [[0, 0], [1, -1]])
    with pytest.raises(BadFile, match=r"a column named 'no', got columns \['a', 'kind', 'b'\]"):
        load_data(path, label="no")
    with pytest.raises(
        ValueError, match=r"expected a .csv file to take the column 'kind' from, got 'digits'"
    ):
        load_data("digits", label="kind")


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)], ids=["grey", "rgb"])
def test_images_come_back_as_stored(tmp_path, shape):
    image = pytest.importorskip("PIL.Image")
    x = np.random.default_rng(0).integers(0, 256, (6, *shape), np.uint8)
    for n, pixels in enumerate(x):
        image.fromarray(pixels).save(tmp_path / f"{n}.PNG")
    write(tmp_path / "notes.txt", "not an image")
    with pytest.warns(UserWarning, match="no images are left out: notes.txt"):
        data = load_data(tmp_path, random_state=None)
    np.testing.assert_array_equal(np.concatenate([data.x_train, data.x_test]), x)
    assert data.shape == shape and data.maximum == 255


def test_images_refused(tmp_path):
    image = pytest.importorskip("PIL.Image")
    with pytest.raises(BadFile, match=r"a folder of images \(PNG, .*\), got none"):
        load_data(tmp_path)
    image.fromarray(np.zeros((5, 7), np.uint8)).save(tmp_path / "0.png")
    cases = {
        "1.png": (np.zeros((7, 5), np.uint8), r"shape \(5, 7\) like 0.png, got \(7, 5\)"),
        "2.jpg": (np.zeros((5, 7, 3), np.uint8), r"shape \(5, 7\) like 0.png, got \(5, 7, 3\)"),
        "3.png": (np.zeros((5, 7, 4), np.uint8), "an image without transparent pixels, got some"),
        "4.png": (np.zeros((5, 7), np.uint16), "uint8 like 0.png, got uint16"),
    }
    for name, (pixels, match) in cases.items():
        image.fromarray(pixels).save(tmp_path / name)
        with pytest.raises(BadFile, match=f"{name}: expected .*{match}"):
            load_data(tmp_path)
        (tmp_path / name).unlink()
    for name, content in {
        "5.png": b"hello",
        "6.png": (tmp_path / "0.png").read_bytes()[:-30],
    }.items():
        write(tmp_path / name, content)
        with pytest.raises(BadFile, match=rf"{name}: expected a valid image \(PNG, .*\), got"):
            load_data(tmp_path)
        (tmp_path / name).unlink()


def test_without_pillow_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install pillow"):
        load_data(tmp_path)


def test_importing_needs_numpy_only():
    check = "import sys, nanoae.data; assert not {'PIL', 'tqdm', 'sklearn', 'scipy', 'pandas'} & set(sys.modules)"
    root = Path(catalogue.__file__).parents[2]
    subprocess.run([sys.executable, "-c", check], check=True, cwd=root)


# --- names


@pytest.mark.parametrize(
    ("name", "error", "match"),
    [
        (
            "mnits",
            ValueError,
            "expected one of digits, mnist, .*, got 'mnits'. Did you mean 'mnist'",
        ),
        ("MNIST", ValueError, "Did you mean 'mnist'"),
        (
            "a.xml",
            ValueError,
            "a path to a .npy, .npz, .csv or IDX file or to a folder of images, got 'a.xml'",
        ),
        (
            "no/such.tsv.gz",
            FileNotFoundError,
            "expected a .tsv.gz file, got 'no/such.tsv.gz', and no such file exists",
        ),
        (
            "no/such.npz",
            FileNotFoundError,
            "expected a .npz file, got 'no/such.npz', and no such file exists",
        ),
    ],
)
def test_unknown_names(name, error, match):
    with pytest.raises(error, match=match):
        load_data(name)


def test_digits_are_the_real_ones():
    data = load_data("digits")
    assert (data.x_train.shape, data.x_test.shape, data.maximum) == ((1437, 8, 8), (360, 8, 8), 16)
    assert (
        data.x_train.dtype == np.uint8
        and Path(catalogue.__file__).with_name("digits.npz").stat().st_size < 100_000
    )
    real = pytest.importorskip("sklearn.datasets").load_digits()
    order = np.random.default_rng(0).permutation(1797)
    np.testing.assert_array_equal(np.concatenate([data.x_train, data.x_test]), real.images[order])
    np.testing.assert_array_equal(np.concatenate([data.y_train, data.y_test]), real.target[order])


def test_flat_scales_images_and_leaves_real_data():
    images = Dataset("images", X, Y, X[:2], Y[:2], maximum=255)
    before = X.copy()
    flat, test = images.flat()
    assert flat.shape == (10, 12) and test.shape == (2, 12) and flat.dtype == np.float32
    np.testing.assert_array_equal(flat, X.reshape(10, 12).astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(X, before)
    real = Dataset("real", F8 * 1e3, None, F8, None)
    np.testing.assert_array_equal(real.flat()[0], np.full((10, 2), 1e3, np.float32))


def test_swiss_roll_is_the_formula():
    x, t = swiss_roll(500, noise=0)
    assert x.shape == (500, 3) and 1.5 <= t.min() / np.pi < 1.6 and 4.4 < t.max() / np.pi < 4.5
    np.testing.assert_allclose(x[:, 0], t * np.cos(t))
    np.testing.assert_allclose(x[:, 2], t * np.sin(t))
    assert 0 <= x[:, 1].min() < 1 and 20 < x[:, 1].max() < 21
    noise = swiss_roll(5000, noise=0.3)[0] - swiss_roll(5000, noise=0)[0]
    np.testing.assert_allclose(noise.std(axis=0), 0.3, rtol=0.05)
    data = load_data("swiss-roll", random_state=3)
    assert data.x_train.shape == (1600, 3) and data.y_test.shape == (400,) and data.maximum is None
    with pytest.raises(ValueError, match="expected n >= 1"):
        swiss_roll(0)


def test_xor_is_the_truth_table():
    x, y = xor(6)
    assert x.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [0, 0], [0, 1]] and y.tolist() == [
        0,
        1,
        1,
        0,
        0,
        1,
    ]
    assert load_data("xor").x_test.shape == (4, 2)


# --- MNIST and Fashion-MNIST: folders, checksums, downloads. Their stand-ins have ten images.


def official(x=X, y=Y):
    """The four files of a small set, unpacked and packed, and the registry entry that describes them."""
    content = dict(zip(NAMES, map(idx, (x, y, x[:4], y[:4])), strict=True))
    packed = {name: gzip.compress(raw, mtime=0) for name, raw in content.items()}
    entries = tuple(File(name, hashlib.sha256(raw).hexdigest()) for name, raw in content.items())
    return content, packed, entries


def no_route(url, start=0):
    raise OSError(f"no route to {url}")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A machine with no data on it, and no way to the internet."""
    monkeypatch.delenv("NANOAE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(downloads, "open_url", no_route)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "places", "found"),
    [
        ("mnist", ["arg/mnist", "env/mnist", "cache/nanoae/mnist"], 0),
        ("mnist", ["arg", "env"], 0),
        ("mnist", ["env/mnist", "cache/nanoae/mnist"], 0),
        ("mnist", ["env", "cache/nanoae/mnist"], 0),
        ("mnist", ["cache/nanoae/mnist"], 0),
        ("fashion-mnist", ["arg", "env/fashion-mnist"], 0),
        ("fashion-mnist", ["env", "cache/nanoae/fashion-mnist"], 1),
        ("fashion-mnist", ["env/mnist", "cache/nanoae/fashion-mnist"], 1),
    ],
)
def test_folders_are_searched_in_order(home, monkeypatch, name, places, found):
    monkeypatch.setenv("NANOAE_DATA", str(home / "env"))
    for n, place in enumerate(places):
        _, packed, entries = official(X ^ n)
        if n == found:
            monkeypatch.setitem(SOURCES, name, Source((), entries))
        for file, content in packed.items():
            write(home / place / f"{file}.gz", content)
    data = load_data(
        name, data_dir=home / "arg" if places[0].startswith("arg") else None, download=False
    )
    np.testing.assert_array_equal(data.x_train, X ^ found)
    np.testing.assert_array_equal(data.y_test, Y[:4])
    assert data.maximum == 255 and data.name == name


def test_bare_unpacked_mnist_is_never_taken_for_fashion(home):
    for file, content in official()[0].items():
        write(home / file, content)
    with pytest.raises(FileNotFoundError):
        load_data("fashion-mnist", data_dir=home, download=False)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("packed", [False, True])
def test_another_set_under_the_name_is_refused(home, monkeypatch, name, packed):
    monkeypatch.setitem(SOURCES, name, Source((), official()[2]))
    for file, content in official(X ^ 1)[packed].items():
        write(home / name / (f"{file}.gz" if packed else file), content)
    with pytest.raises(BadFile, match=r"train-images-idx3-ubyte(.gz)?: expected .*SHA-256.*, got"):
        load_data(name, home)


def test_images_and_labels_must_be_as_many(home, monkeypatch):
    content, _, entries = official(X, Y[:9])
    monkeypatch.setitem(SOURCES, "mnist", Source((), entries))
    for file, raw in content.items():
        write(home / "mnist" / file, raw)
    with pytest.raises(
        ValueError, match="expected y_train of 10 labels, one per example, got \\(9,\\)"
    ):
        load_data("mnist", home)


@pytest.fixture
def server(home, monkeypatch):
    """Two mirrors on this machine: its folders good/ and bad/. Only here is plain HTTP let through."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(home / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{httpd.server_port}"
        real = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        monkeypatch.setattr(
            downloads,
            "open_url",
            lambda url, start=0: real.open(
                urllib.request.Request(url, headers={"Range": f"bytes={start}-"}), timeout=5
            ),
        )
        yield address
        httpd.shutdown()


def spoil(content):
    return {
        "absent": None,
        "cut": content[:-9],
        "another": gzip.compress(idx(X ^ 1), mtime=0),
        "page": b"<html>log in to the hotel</html>",
        "too large": bytes(2000),
    }


@pytest.mark.parametrize("damage", spoil(b""))
@pytest.mark.parametrize("bar", [True, False], ids=["tqdm", "no tqdm"])
def test_download_takes_the_sound_mirror_and_leaves_nothing_partial(
    server, home, monkeypatch, damage, bar
):
    _, packed, entries = official()
    monkeypatch.setitem(SOURCES, "mnist", Source((f"{server}/bad/", f"{server}/good/"), entries))
    monkeypatch.setattr(downloads, "DOWNLOAD_LIMIT", 1000)
    if not bar:
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    for file, content in packed.items():
        if (bad := spoil(content)[damage]) is not None:
            write(home / "www/bad" / f"{file}.gz", bad)

    target = home / "cache/nanoae/mnist"
    with pytest.raises(FileNotFoundError) as offline:
        load_data("mnist")
    assert list(target.iterdir()) == []
    for part in (
        f"{server}/bad/{NAMES[0]}.gz: ",
        f"{server}/good/{NAMES[0]}.gz: HTTP Error 404",
        str(target),
        "by hand",
    ):
        assert part in str(offline.value)

    for file, content in packed.items():
        write(home / "www/good" / f"{file}.gz", content)
    data = load_data("mnist")
    np.testing.assert_array_equal(data.x_train, X)
    assert sorted(path.name for path in target.iterdir()) == sorted(f"{name}.gz" for name in NAMES)
    monkeypatch.setattr(downloads, "open_url", None)
    np.testing.assert_array_equal(load_data("mnist").x_test, X[:4])  # from the cache now


def test_download_fetches_only_what_is_missing_into_data_dir(server, home, monkeypatch):
    content, packed, entries = official()
    monkeypatch.setitem(SOURCES, "mnist", Source((f"{server}/",), entries))
    write(home / "mine/mnist" / NAMES[0], content[NAMES[0]])
    for file in NAMES[1:]:
        write(home / "www" / f"{file}.gz", packed[file])
    load_data("mnist", home / "mine")
    assert len(list((home / "mine/mnist").iterdir())) == 4 and not (home / "cache").exists()


def test_an_interrupted_download_leaves_nothing(home, monkeypatch):
    def read(size):
        raise KeyboardInterrupt

    response = types.SimpleNamespace(headers={}, read=read, close=lambda: None)
    monkeypatch.setattr(downloads, "open_url", lambda url, start=0: contextlib.closing(response))
    with pytest.raises(KeyboardInterrupt):
        load_data("mnist")
    assert list((home / "cache/nanoae/mnist").iterdir()) == []


def test_offline_the_error_says_what_was_tried_and_what_to_do(home):
    with pytest.raises(FileNotFoundError) as error:
        load_data("fashion-mnist")
    for url in SOURCES["fashion-mnist"].mirrors:
        assert f"no route to {url}" in str(error.value)
    assert f"into {home / 'cache/nanoae/fashion-mnist'} by hand" in str(error.value)
    with pytest.raises(FileNotFoundError, match="download=False"):
        load_data("fashion-mnist", download=False)


def test_downloads_are_https_only(monkeypatch):
    assert all(
        mirror.startswith("https://") for source in SOURCES.values() for mirror in source.mirrors
    )
    with pytest.raises(ValueError, match="expected an HTTPS address, got http://a/"):
        downloads.open_url("http://a/")
    handler = urllib.request.HTTPRedirectHandler.redirect_request
    monkeypatch.setattr(urllib.request.HTTPSHandler, "https_open", sent_on("http://b/"))
    with pytest.raises(ValueError, match="expected an HTTPS address, got http://b/"):
        downloads.open_url("https://a/")
    assert handler is urllib.request.HTTPRedirectHandler.redirect_request


def sent_on(address):
    """A server that sends everybody on to that address."""

    def answer(self, request):
        headers = email.message.Message()
        headers["Location"] = address
        found = urllib.response.addinfourl(io.BytesIO(), headers, request.full_url, 302)
        found.msg = "Found"
        return found

    return answer


class Part:
    """A response of some bytes that ends too early."""

    status = 206

    def __init__(self, content, promised):
        self.content, self.headers = io.BytesIO(content), {"Content-Length": promised}

    def read(self, n):
        return self.content.read(n)

    def close(self):
        pass


def test_a_download_that_is_cut_goes_on_from_there(home, monkeypatch):
    _, packed, entries = official()
    monkeypatch.setitem(SOURCES, "mnist", Source(("https://a/",), entries))
    asked = []

    def answer(url, start=0):
        content = packed[url.rsplit("/", 1)[1].removesuffix(".gz")]
        asked.append(start)
        stop = len(content) if start else 10
        return contextlib.closing(Part(content[start:stop], len(content) - start))

    monkeypatch.setattr(downloads, "open_url", answer)
    np.testing.assert_array_equal(load_data("mnist").x_train, X)
    assert asked == [0, 10] * 4


def test_a_download_ends_in_time(home, monkeypatch):
    monkeypatch.setattr(downloads, "SECONDS", -1)
    monkeypatch.setattr(
        downloads, "open_url", lambda url, start=0: contextlib.closing(Part(b"a", 2))
    )
    with pytest.raises(FileNotFoundError, match="expected it within -1 seconds"):
        load_data("mnist")


def test_mnist_is_mnist(tmp_path):
    folder = os.environ.get("NANOAE_DATA", "")
    if not folder or not catalogue.complete("mnist", Path(folder) / "mnist", ("", ".gz")):
        pytest.skip("NANOAE_DATA holds no mnist/")
    data = load_data("mnist", download=False)  # the SHA-256 of each file is checked on the way
    assert data.x_train.shape == (60000, 28, 28) and data.x_test.shape == (10000, 28, 28)
    assert np.bincount(data.y_train).tolist() == [
        5923,
        6742,
        5958,
        6131,
        5842,
        5421,
        5918,
        6265,
        5851,
        5949,
    ]
    assert np.bincount(data.y_test).tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]
    np.testing.assert_allclose(data.x_train.mean() / 255, 0.1307, atol=5e-5)
    file = SOURCES["mnist"].files[3]
    raw = bytearray(idx(data.y_test))
    assert hashlib.sha256(raw).hexdigest() == file.sha256
    raw[-1] ^= 1
    with pytest.raises(BadFile, match=f"SHA-256 {file.sha256}"):
        downloads.read_official(write(tmp_path / file.name, bytes(raw)), file)
