"""Is 1.0 the same in every part and every type of a set: are no pixels divided by 255 twice, or not at all?"""

import numpy as np
import pytest

import nanoae
from nanoae import load_data
from nanoae.cli import main
from nanoae.data import Dataset

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (25, 8, 8)).astype(np.uint8)
BITS = (BYTES > 127).astype(np.uint8)
SHARES = (BYTES / 255).astype(np.float32)
UNIT = BYTES.reshape(25, 64) / 255


def split(tmp_path, train, test, **options):
    np.savez(tmp_path / "set.npz", x_train=train, x_test=test)
    return load_data(tmp_path / "set.npz", **options)


def whole(tmp_path, x, **options):
    np.save(tmp_path / "set.npy", x)
    data = load_data(tmp_path / "set.npy", random_state=None, **options)
    return np.concatenate(data.flat()), data.maximum


@pytest.mark.parametrize(
    ("x", "want", "maximum"),
    {
        "bytes": (BYTES, UNIT, 255),
        # nothing says that 15 is white
        "dark bytes": (BYTES // 16, BYTES.reshape(25, 64) // 16 / 255, 255),
        "black and white": (BITS, BITS.reshape(25, 64), 1),
        "black": (BITS * 0, UNIT * 0, 1),
        "colours": (
            BYTES.reshape(25, 4, 4, 4)[..., :3],
            BYTES.reshape(25, 4, 4, 4)[..., :3].reshape(25, -1) / 255,
            255,
        ),
        "truth values": (BITS.astype(bool), BITS.reshape(25, 64), 1),
        "shares": (SHARES, UNIT, 1),
        "float64 shares": (BYTES / 255, UNIT, 1),
        "float 0 and 1": (BITS.astype(np.float64), BITS.reshape(25, 64), 1),
        "float pixels": (BYTES.astype(np.float32), BYTES.reshape(25, 64), None),
        "from -1 to 1": (SHARES * 2 - 1, UNIT * 2 - 1, None),
        # or 12 bits of a camera
        "16 bits": (BYTES.astype(np.uint16) * 257, BYTES.reshape(25, 64) * 257.0, None),
        "integers": (BYTES.astype(np.int64), BYTES.reshape(25, 64), None),
        "a table of bytes": (BYTES.reshape(25, 64), BYTES.reshape(25, 64), None),
        "a table of shares": (SHARES.reshape(25, 64), UNIT, None),
    }.values(),
)
def test_one_file(tmp_path, x, want, maximum):
    got, found = whole(tmp_path, x)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)
    assert found == maximum


@pytest.mark.parametrize(
    ("train", "test"),
    {
        "bytes": (BYTES, BYTES),
        "bytes, shares": (BYTES, SHARES),
        "shares, bytes": (SHARES, BYTES),
        "bytes, float64 shares": (BYTES, BYTES / 255),
        "bytes, integers": (BYTES, BYTES.astype(np.int64)),
        "integers, bytes": (BYTES.astype(np.int32), BYTES),
        "bytes, float pixels": (BYTES, BYTES.astype(np.float32)),
        "shares of both precisions": (SHARES, BYTES / 255),
        "one white test image": (BYTES, np.full((1, 8, 8), 255, np.uint8)),
        "one black test image": (BYTES, np.zeros((1, 8, 8), np.uint8)),
        "a black one of floats": (BYTES, np.zeros((1, 8, 8))),
    }.values(),
)
def test_both_parts_are_in_one_unit(tmp_path, train, test):
    data = split(tmp_path, train[:20], test[20:] if len(test) > 20 else test)
    x_train, x_test = data.flat()
    np.testing.assert_allclose(x_train, UNIT[:20], rtol=1e-6)
    np.testing.assert_allclose(
        x_test, UNIT[20:] if len(test) > 20 else (test.reshape(1, 64) > 0), rtol=1e-6
    )
    np.testing.assert_allclose(data.flat(black=-1)[1], 2 * x_test - 1, atol=1e-6)


@pytest.mark.parametrize(
    ("train", "test"),
    {
        "bits, bits": (BITS, BITS),
        "bits, truth values": (BITS, BITS.astype(bool)),
        "truth values, floats": (BITS.astype(bool), BITS.astype(np.float32)),
        "truth values, bytes of 0 and 255": (BITS.astype(bool), BITS * 255),
        "bits, float": (BITS, BITS.astype(np.float64)),
    }.values(),
)
def test_black_and_white_parts_are_in_one_unit(tmp_path, train, test):
    x_train, x_test = split(tmp_path, train[:20], test[20:]).flat()
    np.testing.assert_array_equal(np.concatenate([x_train, x_test]), BITS.reshape(25, 64))


@pytest.mark.parametrize(
    ("train", "test"),
    {
        "bits, bytes": (BITS, BYTES),
        "bits, 0 and 255": (BITS, BITS * 255),
        "bytes, bits": (BYTES, BITS),
        "bytes, integer bits": (BYTES, BITS.astype(np.int64)),
        "bytes, 16 bits": (BYTES, BYTES.astype(np.uint16) * 257),
        "bytes, standardised": (BYTES, SHARES * 4 - 2),
        "float pixels, shares": (BYTES.astype(np.float32), SHARES),
        "integers, shares": (BYTES.astype(np.int64), SHARES),
        "16 bits, shares": (BYTES.astype(np.uint16) * 257, SHARES),
        "a table of bytes, of shares": (BYTES.reshape(25, 64), SHARES.reshape(25, 64)),
        "a table of floats, of shares": (BYTES.reshape(25, 64) * 1.0, SHARES.reshape(25, 64)),
        "a table of shares, of integers": (
            SHARES.reshape(25, 64),
            BYTES.reshape(25, 64).astype(np.int64),
        ),
    }.values(),
)
def test_parts_in_two_units_are_refused(tmp_path, train, test):
    with pytest.raises(
        ValueError,
        match=r"set.npz: expected x_train and x_test in one unit, got .* from .* to .*, and",
    ):
        split(tmp_path, train[:20], test[20:])


@pytest.mark.parametrize(
    ("train", "test"),
    {
        # the few test rows may have no 2 and no 3
        "counts": (BYTES.reshape(25, 64) % 4, BITS.reshape(25, 64)),
        "counts of two types": (
            BYTES.reshape(25, 64) % 4,
            (BYTES.reshape(25, 64) % 4).astype(np.int64),
        ),
        "maps of few classes": ((BYTES % 4).astype(np.int64), BITS.astype(np.int64)),
        "measurements": (SHARES * 3 - 1, SHARES),
        "measurements of two precisions": ((SHARES * 3 - 1).astype(np.float64), SHARES),
    }.values(),
)
def test_other_numbers_stay_as_they_are(tmp_path, train, test):
    data = split(tmp_path, train[:20], test[20:])
    assert data.maximum is None
    np.testing.assert_allclose(
        np.concatenate(data.flat()), np.concatenate([train[:20], test[20:]]).reshape(25, 64)
    )


def test_the_maximum_may_be_told(tmp_path):
    twelve = BYTES.astype(np.uint16) * 16
    got, maximum = whole(tmp_path, twelve, maximum=4095)
    np.testing.assert_allclose(got, twelve.reshape(25, 64) / 4095, rtol=1e-6)
    assert maximum == 4095
    np.testing.assert_allclose(whole(tmp_path, BYTES // 16, maximum=15)[0].max(), 1)
    np.testing.assert_allclose(
        whole(tmp_path, BYTES.reshape(25, 64), maximum=255)[0], UNIT, rtol=1e-6
    )
    np.testing.assert_allclose(
        split(tmp_path, BYTES[:20], BITS[20:], maximum=255).flat()[1].max(), 1 / 255
    )
    np.savetxt(tmp_path / "set.csv", BYTES.reshape(25, 64), delimiter=",", fmt="%d")
    got = load_data(tmp_path / "set.csv", random_state=None, maximum=255).flat()
    np.testing.assert_allclose(np.concatenate(got), UNIT, rtol=1e-6)


@pytest.mark.parametrize(
    ("maximum", "match"),
    [
        (100, "expected values from 0 to maximum=100, got uint8 from 0 to 255"),
        (0, "a number > 0, got 0"),
        (-1, "a number > 0, got -1"),
        (float("nan"), "a number > 0, got nan"),
        (True, "a number > 0, got True"),
        ("255", "a number > 0, got '255'"),
    ],
)
def test_a_maximum_that_cannot_be(tmp_path, maximum, match):
    with pytest.raises(ValueError, match=match):
        whole(tmp_path, BYTES, maximum=maximum)
    with pytest.raises(ValueError, match="expected maximum=None for 'digits'"):
        load_data("digits", maximum=maximum)


def test_a_set_of_ones_own_says_its_maximum():
    own = Dataset("own", BYTES, None, BYTES, None, maximum=51)
    np.testing.assert_allclose(own.flat()[0], UNIT * 5, rtol=1e-6)
    real = Dataset("own", SHARES, None, SHARES, None, maximum=1)
    assert np.shares_memory(real.flat()[0], SHARES), "flat() copied float32 data"


def test_the_command_is_told_of_pixels_in_a_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savetxt("set.csv", BYTES.reshape(25, 64), delimiter=",", fmt="%d")
    short = ["--epochs", "1", "--no-figures", "--loss", "bce"]
    assert main(["train", "--data", "set.csv", "--out", "a", *short]) == 2
    assert "expected values in [0, 1]" in capsys.readouterr().err
    assert main(["train", "--data", "set.csv", "--maximum", "255", "--out", "b", *short]) == 0
    assert "from 0 to 255, scaled to 0 to 1" in capsys.readouterr().out
    np.save("bits.npy", BITS.astype(bool))
    assert main(["train", "--data", "bits.npy", "--out", "c", *short]) == 0
    assert "bool from 0 to 1, scaled to 0 to 1" in capsys.readouterr().out
    assert nanoae.load("b/model.npz").n_features_in_ == 64
