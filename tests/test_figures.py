"""Does every figure become a PNG that shows its arrays, and nothing else in the process change?"""

import os
import struct
import subprocess
import sys

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")

from nanoae.report import (  # noqa: E402
    code_histogram,
    code_scatter,
    error_maps,
    image_grid,
    image_rows,
    loss_curves,
    panels,
    roc_curves,
    share_bars,
    weight_images,
)

RNG = np.random.default_rng(0)
GREY = RNG.random((12, 8, 8))
RGB = RNG.random((3, 3, 8, 8))
CODES = RNG.standard_normal((60, 6))
DIGITS = np.arange(60) % 10
WORDS = np.array(["boot", "bag", "coat"])[np.arange(60) % 3]
MANY_WORDS = np.array([f"word {i}" for i in range(60)])

FIGURES = {
    "rows": lambda path: image_rows(path, {"original": GREY, "reconstruction": GREY * 0.5}),
    "rows-flat": lambda path: image_rows(
        path, {"original": GREY.reshape(12, 64)}, shape=(8, 8), n=5
    ),
    "rows-channel": lambda path: image_rows(
        path, {"x": GREY.reshape(12, 64), "y": GREY[:, None]}, shape=(1, 8, 8)
    ),
    "rows-colour": lambda path: image_rows(path, {"original": RGB, "cleaned": RGB}, vmin=0, vmax=1),
    "rows-single-constant": lambda path: image_rows(
        path, {"original": np.ones((1, 8, 8), dtype=np.uint8)}
    ),
    "profiles": lambda path: image_rows(path, {"original": CODES, "cleaned": CODES * 0.9}, n=7),
    "profile-single-feature": lambda path: image_rows(
        path, {"original": CODES[:1, :1]}, vmin=0, vmax=1
    ),
    "grid": lambda path: image_grid(path, GREY),
    "grid-columns": lambda path: image_grid(path, GREY.reshape(12, 64), shape=(8, 8), columns=100),
    "grid-large": lambda path: image_grid(path, np.zeros((1, 1000, 900))),
    "weights": lambda path: weight_images(path, RNG.standard_normal((64, 20)), shape=(8, 8), n=9),
    "weights-few-zero": lambda path: weight_images(path, np.zeros((64, 2)), shape=(1, 8, 8)),
    "weights-colour": lambda path: weight_images(
        path, RNG.standard_normal((192, 4)), shape=(3, 8, 8)
    ),
    "errors": lambda path: error_maps(path, GREY, GREY - 0.5, n=4),
    "errors-none": lambda path: error_maps(
        path, GREY.reshape(12, 64), np.zeros((12, 64)), shape=(8, 8)
    ),
    "shares": lambda path: share_bars(path, CODES[0], list("abcdef"), n=4),
    "shares-single": lambda path: share_bars(path, CODES[0, :1]),
    "roc": lambda path: roc_curves(path, {"a": CODES[:, 0], "b": CODES[:, 1]}, CODES[:, 0] > 1),
    "loss": lambda path: loss_curves(
        path, {"loss": [3.0, 2.0, 1.5], "val_loss": [3.1, 2.2, 1.8]}, "mse"
    ),
    "loss-log": lambda path: loss_curves(path, {"loss": [100.0, 1.0, 0.01]}, "mse"),
    "loss-one-epoch": lambda path: loss_curves(path, {"loss": [0.5], "val_loss": []}, "mse"),
    "loss-diverged": lambda path: loss_curves(path, {"loss": [1.0, np.inf, np.nan]}, "mse"),
    "codes-1": lambda path: code_scatter(path, CODES[:, :1]),
    "codes-1-classes": lambda path: code_scatter(path, CODES[:, :1], WORDS),
    "codes-1-scale": lambda path: code_scatter(path, CODES[:, :1], CODES[:, 1]),
    "codes-2": lambda path: code_scatter(path, CODES[:, :2]),
    "codes-2-digits": lambda path: code_scatter(path, CODES[:, :2], DIGITS),
    "codes-2-words": lambda path: code_scatter(path, CODES[:, :2], WORDS),
    "codes-2-many-words": lambda path: code_scatter(path, CODES[:, :2], MANY_WORDS),
    "codes-2-scale": lambda path: code_scatter(path, CODES[:, :2], CODES[:, 0]),
    "codes-3": lambda path: code_scatter(path, CODES[:, :3], DIGITS == 3),
    "codes-many": lambda path: code_scatter(path, np.tile(CODES, (200, 1)), np.tile(DIGITS, 200)),
    "codes-constant": lambda path: code_scatter(path, np.ones((5, 4)), DIGITS[:5]),
    "codes-single": lambda path: code_scatter(path, CODES[:1], DIGITS[:1]),
    "histogram": lambda path: code_histogram(
        path, {"plain": CODES, "sparse": np.maximum(CODES, 0)}
    ),
    "histogram-constant": lambda path: code_histogram(path, {"zero": np.zeros((5, 2))}),
    "panels": lambda path: panels(
        path, {"PCA": CODES[:, :2], "autoencoder": CODES[:, 2:4]}, CODES[:, 0]
    ),
    "panels-plain": lambda path: panels(path, {"PCA": CODES[:, :2]}),
}

WRONG = {
    "no rows": lambda path: image_rows(path, {}),
    "n = 0": lambda path: image_rows(path, {"original": GREY}, n=0),
    "shape does not fit": lambda path: image_rows(
        path, {"original": GREY.reshape(12, 64)}, shape=(8, 9)
    ),
    "two shapes": lambda path: image_rows(
        path, {"original": GREY, "reconstruction": GREY.reshape(12, 64)}
    ),
    "no images": lambda path: image_rows(path, {"original": GREY[:0]}),
    "two channels": lambda path: image_grid(path, np.zeros((2, 2, 8, 8))),
    "channels last": lambda path: image_grid(path, np.zeros((2, 8, 8, 3)), shape=(3, 8, 8)),
    "flat without a shape": lambda path: image_grid(path, GREY.reshape(12, 64)),
    "no columns": lambda path: image_grid(path, GREY, columns=0),
    "transposed weights": lambda path: weight_images(path, np.zeros((20, 64)), shape=(8, 8)),
    "one-dimensional weights": lambda path: weight_images(path, np.zeros(64), shape=(8, 8)),
    "not trained": lambda path: loss_curves(path, {"loss": []}),
    "nested history": lambda path: loss_curves(path, {"loss": [[1.0, 2.0]]}),
    "one-dimensional codes": lambda path: code_scatter(path, CODES[:, 0]),
    "no codes": lambda path: code_scatter(path, CODES[:0]),
    "too few labels": lambda path: code_scatter(path, CODES, DIGITS[:-1]),
    "no batches": lambda path: code_histogram(path, {}),
    "no panels": lambda path: panels(path, {}),
    "panels of three dimensions": lambda path: panels(path, {"PCA": CODES[:, :3]}),
    "panels of two lengths": lambda path: panels(
        path, {"PCA": CODES[:, :2], "autoencoder": CODES[1:, :2]}
    ),
}


def global_state():
    """Is pyplot loaded, and every setting: by dict's own items, because rcParams["backend"] would load pyplot."""
    return "matplotlib.pyplot" in sys.modules, dict(dict.items(matplotlib.rcParams))


def pixels(path):
    """The picture as integers (H, W, 3)."""
    from matplotlib.image import imread

    return np.round(imread(path)[..., :3] * 255).astype(int)


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
@pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")
def test_writes_one_png_and_touches_no_global_state(draw, tmp_path):
    before = global_state()
    path = tmp_path / "figure.png"
    path.write_bytes(b"an older figure")
    assert draw(path) is path
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", header[16:])
    assert 90 <= width <= 2000 and 60 <= height <= 1800
    assert os.listdir(tmp_path) == ["figure.png"]
    assert global_state() == before


@pytest.mark.parametrize("draw", WRONG.values(), ids=WRONG)
def test_wrong_input_says_what_was_expected_and_writes_nothing(draw, tmp_path):
    with pytest.raises(ValueError, match=r"^\w+: .*expected .*, got "):
        draw(tmp_path / "figure.png")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["rows", "codes-3", "codes-many", "histogram"])
def test_the_same_arrays_give_the_same_file(name, tmp_path):
    one, two = FIGURES[name](str(tmp_path / "one.png")), FIGURES[name](str(tmp_path / "two.png"))
    with open(one, "rb") as first, open(two, "rb") as second:
        assert first.read() == second.read()


def test_the_first_row_sets_black_and_white(tmp_path):
    original = np.zeros((2, 8, 8))
    original[:, :, 4:] = 2.0
    picture = pixels(
        image_rows(
            tmp_path / "rows.png", {"": original, " ": original / 2, "  ": original * 9}, title=""
        )
    )
    found = set(np.unique(picture))
    # black, half, frame, white: nothing blurred
    assert found <= {0, 127, 128, 204, 255} and found & {127, 128}


def test_weights_are_white_at_zero_red_above_blue_below(tmp_path):
    weights = np.repeat([[0.0, 5.0, -0.1]], 64, axis=0)
    picture = pixels(weight_images(tmp_path / "weights.png", weights, shape=(8, 8)))
    (top, left), (bottom, right) = (
        (size // 4 for size in picture.shape[:2]),
        (-size // 4 for size in picture.shape[:2]),
    )
    zero, above, below = picture[top, left], picture[top, right], picture[bottom, left]
    assert zero.min() > 240
    assert above[0] > above[2] + 50 and below[2] > below[0] + 50


def test_principal_plane_keeps_the_variance_it_claims():
    from nanoae.plot.scatter import principal_plane

    codes = CODES * [5, 3, 1, 1, 0.5, 0.1]
    plane, shares = principal_plane(codes)
    assert np.allclose(plane.var(axis=0) / codes.var(axis=0).sum(), shares)
    assert np.allclose(np.cov(plane.T)[0, 1], 0) and 1 > shares[0] > shares[1] > 0


def test_a_failed_write_keeps_the_older_figure(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    def fail(self, path, **options):
        path.write(b"half a figure")
        raise OSError("disk full")

    path = tmp_path / "figure.png"
    path.write_bytes(b"an older figure")
    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        image_grid(path, GREY)
    assert path.read_bytes() == b"an older figure" and os.listdir(tmp_path) == ["figure.png"]


def test_without_matplotlib_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'figures need matplotlib: pip install "nanoae\[cli\]"'):
        image_grid(tmp_path / "grid.png", GREY)


def test_importing_the_report_does_not_import_matplotlib():
    command = "import sys, nanoae.report; sys.exit('matplotlib' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", command], env=environment).returncode == 0
