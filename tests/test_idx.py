"""Are IDX files read whatever they are called: one's own, and MNIST's in every usual spelling?"""

import gzip
import struct

import numpy as np
import pytest

from nanoae import load_data
from nanoae.cli import main
from nanoae.data import BadFile, catalogue

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 4, 3), np.uint8)
LABELS = np.arange(20, dtype=np.uint8) % 3
CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def write(path, x, packed=False):
    header = struct.pack(f">HBB{x.ndim}I", 0, CODES[x.dtype.str[1:]], x.ndim, *x.shape)
    content = header + x.astype(x.dtype.newbyteorder(">")).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


def rows(data):
    return np.concatenate([data.x_train, data.x_test])


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("my-images-idx3-ubyte", "my-labels-idx1-ubyte"),
        ("my-images-idx3-ubyte.gz", "my-labels-idx1-ubyte.gz"),
        ("my-images.idx3-ubyte", "my-labels.idx1-ubyte"),
        ("my-images.idx3-ubyte.gz", "my-labels-idx1-ubyte"),
        ("emnist-letters-train-images-idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte.gz"),
        ("MY-IMAGES-IDX3-UBYTE", "my-labels.idx1-ubyte.GZ"),
    ],
)
def test_images_of_ones_own_with_their_labels(tmp_path, images, labels):
    write(tmp_path / images, IMAGES, images.endswith(".gz"))
    assert load_data(tmp_path / images).y_train is None
    write(tmp_path / labels, LABELS, labels.lower().endswith(".gz"))
    data = load_data(tmp_path / images, random_state=None)
    np.testing.assert_array_equal(rows(data), IMAGES)
    np.testing.assert_array_equal(np.concatenate([data.y_train, data.y_test]), LABELS)
    assert data.maximum == 255 and data.name == images and len(data.x_train) == 16
    shuffled = load_data(str(tmp_path / images), random_state=1)
    for pixels, label in zip(
        rows(shuffled), np.concatenate([shuffled.y_train, shuffled.y_test]), strict=True
    ):
        assert label == LABELS[(pixels == IMAGES).all(axis=(1, 2))][0]


@pytest.mark.parametrize(
    "name", ["a.idx", "a.idx.gz", "faces", "faces.ubyte", "a.idx2-float", "b.bin"]
)
def test_the_first_bytes_say_what_it_is_not_the_name(tmp_path, name):
    write(tmp_path / name, IMAGES, name.endswith(".gz"))
    np.testing.assert_array_equal(rows(load_data(tmp_path / name, random_state=None)), IMAGES)


@pytest.mark.parametrize("dtype", CODES)
def test_numbers_of_other_types_come_as_they_are(tmp_path, dtype):
    x = (np.random.default_rng(0).standard_normal((10, 3, 2)) * 50).astype(dtype)
    data = load_data(write(tmp_path / "x-idx3-any", x), random_state=None)
    np.testing.assert_array_equal(rows(data), x)
    assert data.x_train.dtype == x.dtype and data.maximum == (255 if dtype == "u1" else None)


def test_a_folder_of_them_tells_to_name_one(tmp_path):
    write(tmp_path / "a-images-idx3-ubyte", IMAGES)
    with (
        pytest.warns(UserWarning, match="no images"),
        pytest.raises(BadFile, match=r"pass its own path: .*a-images-idx3"),
    ):
        load_data(tmp_path)


def test_labels_that_do_not_fit_are_told(tmp_path):
    path = write(tmp_path / "a-images-idx3-ubyte", IMAGES)
    write(tmp_path / "a-labels-idx1-ubyte", LABELS[:7])
    with pytest.raises(
        BadFile,
        match=r"a-labels-idx1-ubyte: expected 20 labels, .* of a-images-idx3-ubyte, got .*\(7,\)",
    ):
        load_data(path)
    (tmp_path / "a-labels-idx1-ubyte").write_bytes(b"\0\0\x08\1damaged")
    with pytest.raises(BadFile, match="a-labels-idx1-ubyte: expected"):
        load_data(path)
    with pytest.raises(ValueError, match="or IDX file"):
        load_data(tmp_path / "b-images-idx3-ubyte")


def test_the_command_reads_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "my-images-idx3-ubyte.gz", IMAGES, True)
    write(tmp_path / "my-labels-idx1-ubyte", LABELS)
    short = ["--epochs", "1", "--no-figures", "--out", "run"]
    assert (
        main(["train", "--data", "my-images-idx3-ubyte.gz", "--classify", "--stacked", "4", *short])
        == 0
    )
    assert "16 training and 4 test rows of 4 x 3, uint8" in capsys.readouterr().out


# ---------------------------------------------------------------- MNIST and Fashion-MNIST under other names

FILES = {"train-images": (3, IMAGES), "train-labels": (1, LABELS), "t10k-images": (3, IMAGES[:5])}
FILES["t10k-labels"] = (1, LABELS[:5])
SPELLINGS = {
    "official": "{}-idx{}-ubyte",
    "dotted": "{}.idx{}-ubyte",
    "dotted and packed": "{}.idx{}-ubyte.gz",
    "official and packed": "{}-idx{}-ubyte.gz",
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """No data anywhere but in tmp_path/data, no network, and any content is the official one."""
    monkeypatch.delenv("NANOAE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(catalogue, "read_official", lambda path, file: catalogue_read(path))
    return tmp_path / "data"


def catalogue_read(path):
    from nanoae.data import read_idx

    return read_idx(path)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_official_sets_in_every_spelling(home, name, spelling, upper):
    for stem, (axes, x) in FILES.items():
        file = SPELLINGS[spelling].format(stem, axes)
        write(home / name / (file.upper() if upper else file), x, file.endswith(".gz"))
    data = load_data(name, home, download=False)
    np.testing.assert_array_equal(data.x_train, IMAGES)
    np.testing.assert_array_equal(data.y_test, LABELS[:5])
    assert data.maximum == 255
    if spelling == "dotted":
        looked = catalogue.places(name, home)
        assert any(catalogue.complete(name, *place) for place in looked)  # what `nanoae info` tells


def test_spellings_may_be_mixed(home):
    for (stem, (axes, x)), spelling in zip(FILES.items(), SPELLINGS.values(), strict=True):
        write(home / spelling.format(stem, axes), x, spelling.endswith(".gz"))
    np.testing.assert_array_equal(load_data("mnist", home, download=False).x_test, IMAGES[:5])
