"""Is every image read as it is meant to be seen: upright, with its labels, in [0, 1], and none dropped in silence?"""

import io
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoae import load, load_data
from nanoae.cli import main
from nanoae.data import BadFile

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (9, 5, 7), np.uint8)
RGB = RNG.integers(0, 256, (9, 5, 7, 3), np.uint8)
DEEP = RNG.integers(0, 65536, (9, 5, 7)).astype(np.uint16)


def image(pixels, mode=None):
    made = Image.fromarray(np.ascontiguousarray(pixels))
    return made if mode is None else made.convert(mode)


def save(path, pixels, format=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (pixels if isinstance(pixels, Image.Image) else image(pixels)).save(path, format, **options)
    return path


def fill(folder, stack, suffix=".png", **options):
    for n, pixels in enumerate(stack):
        save(folder / f"{n}{suffix}", pixels, **options)
    return folder


def rows(data):
    return np.concatenate([data.x_train, data.x_test])


def read(folder, **options):
    """All images of a folder in their order."""
    return rows(load_data(folder, random_state=None, **options))


def png(pixels, colour_type, depth, *chunks):
    """A PNG of big-endian rows, as Pillow cannot write it."""

    def chunk(name, content):
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], depth, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))
    parts = [
        chunk(b"IHDR", header),
        *(chunk(*each) for each in chunks),
        chunk(b"IDAT", body),
        chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# ---------------------------------------------------------------- upright

STORED = {  # what a camera stores of an image that is meant to be seen as `a`, by the orientation that it notes
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}
LOSSLESS = {
    ".png": {},
    ".tif": {},
    ".tiff": {"compression": "tiff_lzw"},
    ".webp": {"lossless": True},
}


@pytest.mark.parametrize("suffix", [*LOSSLESS, ".jpg"])
def test_images_are_upright_whatever_way_the_camera_was_held(tmp_path, suffix):
    # as JPEG keeps it
    smooth = np.add.outer(np.arange(0, 200, 25), np.arange(0, 50, 4)).astype(np.uint8)
    want = np.repeat(smooth[..., None], 3, axis=2) if suffix == ".jpg" else RGB[0]
    for orientation, stored in STORED.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        options = LOSSLESS.get(suffix, {"quality": 100, "subsampling": 0})
        save(tmp_path / f"{orientation}{suffix}", stored(want), exif=exif, **options)
    got = read(tmp_path).astype(int)
    assert got.shape == (8, *want.shape)
    for each in got:
        np.testing.assert_allclose(each, want, atol=3 if suffix == ".jpg" else 0)


@pytest.mark.parametrize("orientation", [0, 9, 4711])
def test_an_orientation_that_is_none_turns_nothing(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    for n, pixels in enumerate(RGB):
        save(tmp_path / f"{n}.png", pixels, exif=exif)
    np.testing.assert_array_equal(read(tmp_path), RGB)


# ---------------------------------------------------------------- formats

EXACT = {
    ".png": {},
    ".bmp": {},
    ".tif": {},
    ".TIFF": {"compression": "tiff_deflate"},
    ".jp2": {"irreversible": False},
}


@pytest.mark.parametrize("kind", ["grey", "rgb"])
@pytest.mark.parametrize("suffix", [*EXACT, ".pgm", ".Webp", ".BMP"])
def test_every_format_gives_the_pixels_that_were_saved(tmp_path, suffix, kind):
    x = GREY if kind == "grey" else RGB
    suffix = ".ppm" if (suffix, kind) == (".pgm", "rgb") else suffix
    fill(tmp_path, x, suffix, **EXACT.get(suffix, {"lossless": True} if suffix == ".Webp" else {}))
    got = load_data(tmp_path, random_state=None)
    if suffix == ".Webp" and kind == "grey":  # that format has no grey
        x = np.repeat(x[..., None], 3, axis=3)
    np.testing.assert_array_equal(rows(got), x)
    assert got.x_train.dtype == np.uint8 and got.maximum == 255


def test_formats_may_be_mixed_and_suffixes_may_lie_or_miss(tmp_path):
    names = ["0.png", "1.tif", "2.bmp", "3.pgm", "4.jp2", "5.PNG"]
    for name, pixels in zip(names, GREY, strict=False):
        save(tmp_path / name, pixels)
    save(tmp_path / "6.jpg", GREY[6], "PNG")
    save(tmp_path / "7", GREY[7], "TIFF")
    save(tmp_path / "8.dat", GREY[8], "PNG")
    np.testing.assert_array_equal(read(tmp_path), GREY)


def test_gif_of_one_frame_and_palettes_are_colours(tmp_path):
    few = RGB // 128 * 255
    for n, pixels in enumerate(few):
        save(tmp_path / f"{n}{'.gif' if n % 2 else '.png'}", image(pixels).quantize(8, dither=0))
    np.testing.assert_array_equal(read(tmp_path), few)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".pbm"])
def test_one_bit_is_black_and_white(tmp_path, suffix):
    bits = GREY > 127
    fill(tmp_path, bits, suffix)
    data = load_data(tmp_path, random_state=None)
    np.testing.assert_array_equal(rows(data), bits * 255)
    np.testing.assert_array_equal(np.concatenate(data.flat()), bits.reshape(9, -1))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jp2", ".pgm"])
def test_grey_of_16_bits(tmp_path, suffix):
    if suffix == ".pgm":
        for n, pixels in enumerate(DEEP):
            (tmp_path / f"{n}.pgm").write_bytes(
                b"P5\n7 5\n65535\n" + pixels.astype(">u2").tobytes()
            )
    else:
        fill(tmp_path, DEEP, suffix, **EXACT.get(suffix, {}))
    data = load_data(tmp_path, random_state=None)
    np.testing.assert_array_equal(rows(data), DEEP)
    assert data.x_train.dtype == np.uint16 and data.maximum == 65535
    np.testing.assert_allclose(np.concatenate(data.flat()), DEEP.reshape(9, -1) / 65535, rtol=1e-6)
    assert load_data(tmp_path, maximum=2**20).flat()[0].max() < 0.1  # a camera of 20 bits, say


@pytest.mark.parametrize("opaque", [True, False])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "palette", "colour key", "gif"])
def test_transparency_is_read_where_there_is_none(tmp_path, mode, opaque):
    few = RGB[0] // 128 * 255
    alpha = Image.fromarray(np.full((5, 7), 255 if opaque else 254, np.uint8))
    picture, options, suffix = image(few), {}, ".png"
    if mode == "RGBA":
        picture.putalpha(alpha)
    elif mode == "LA":
        picture = image(GREY[0])
        picture.putalpha(alpha)
    elif mode == "colour key":
        options["transparency"] = (1, 2, 3) if opaque else tuple(few[0, 0].tolist())
    else:
        picture, suffix = picture.quantize(8, dither=0), ".gif" if mode == "gif" else ".png"
        used = picture.getpixel((0, 0))
        options["transparency"] = (
            200 if opaque and mode == "gif" else bytes([255] * 8) if opaque else used
        )
    for n in range(2):
        save(tmp_path / f"{n}{suffix}", picture, **options)
    if opaque:
        want = GREY[0] if mode == "LA" else few
        np.testing.assert_array_equal(read(tmp_path), [want, want])
    else:
        with pytest.raises(
            BadFile, match=f"0{suffix}: expected an image without transparent pixels, got some"
        ):
            load_data(tmp_path)


def refused():
    """What has no one meaning as an image of 8 bits, or of grey values of 16: name -> (bytes or image, options)."""
    frames = {"save_all": True, "append_images": [image(RGB[1])]}
    wide = np.repeat(DEEP[0][..., None], 3, axis=2).astype(">u2")
    # of a TIFF, 262: white is 0
    tags = {256: 2, 257: 1, 258: 16, 259: 1, 262: 0, 273: 110, 278: 1, 279: 4}
    ifd = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHIHH", tag, 3, 1, tags[tag], 0) for tag in tags
    )
    return {
        "cmyk.jpg": (image(RGB[0], "CMYK"), {}, "mode CMYK"),
        "cmyk.tif": (image(RGB[0], "CMYK"), {}, "mode CMYK"),
        "lab.tif": (image(RGB[0], "LAB"), {}, "mode LAB"),
        "float.tif": (image(GREY[0].astype(np.float32)), {}, "mode F"),
        "integers.tif": (image(GREY[0].astype(np.int32)), {}, "mode I, 32 bits"),
        "deep.png": (png(wide, 2, 16), {}, "mode RGB, 16 bits"),
        "deep alpha.png": (png(wide[..., :2], 4, 16), {}, "16 bits"),
        "deep.ppm": (b"P6\n7 5\n65535\n" + wide.tobytes(), {}, "mode RGB, 16 bits"),
        "key.png": (
            png(DEEP[0].astype(">u2"), 0, 16, (b"tRNS", b"\0\1")),
            {},
            "without transparent pixels",
        ),
        "white.tif": (
            struct.pack("<2sHI", b"II", 42, 8) + ifd + b"\0\0\0\0" + b"abcd",
            {},
            "one in which it is 0",
        ),
        "stack.tif": (image(RGB[0]), frames, "one image, got 2"),
        "moving.gif": (image(RGB[0]), frames, "one image, got 2"),
        "moving.png": (image(RGB[0]), frames, "one image, got 2"),
        "moving.webp": (image(RGB[0]), frames, "one image, got 2"),
    }


@pytest.mark.parametrize("name", refused())
def test_what_has_no_one_meaning_is_refused_by_name(tmp_path, name):
    content, options, match = refused()[name]
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        save(tmp_path / name, content, **options)
    with pytest.raises(BadFile, match=f"{name}: expected (.* )?{match}|{name}: .*{match}"):
        load_data(tmp_path)


def test_a_photograph_with_a_second_one_for_depth_is_the_first(tmp_path):
    flat = [np.full((8, 8, 3), value, np.uint8) for value in (200, 10)]
    for n in range(2):
        second = {"save_all": True, "append_images": [image(flat[1])]}
        save(tmp_path / f"{n}.jpg", flat[0], "MPO", **second)
    assert (read(tmp_path) >= 198).all()


@pytest.mark.parametrize(
    "suffix", [".png", ".jpg", ".tif", ".bmp", ".gif", ".pgm", ".webp", ".jp2"]
)
def test_a_file_cut_short_is_named(tmp_path, suffix):
    fill(tmp_path, RNG.integers(0, 256, (3, 40, 40), np.uint8), suffix)
    whole = (tmp_path / f"1{suffix}").read_bytes()
    (tmp_path / f"1{suffix}").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadFile, match=rf"1{suffix}: expected a valid image \(PNG, .*\), got"):
        load_data(tmp_path)


WHOLE = {suffix: io.BytesIO() for suffix in ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP", "PPM")}
for _format, _file in WHOLE.items():
    image(RGB[0]).save(_file, _format)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@pytest.mark.parametrize("format", WHOLE)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_damage_is_an_error_that_names_the_file(hostile, format, data):
    content = bytearray(WHOLE[format].getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (hostile / "a.png").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of odd metadata
        try:
            assert load_data(hostile, random_state=None).x_train.ndim in (3, 4)
        except BadFile as error:
            assert "a.png" in str(error)


# ---------------------------------------------------------------- sizes


def test_images_of_different_sizes_are_named(tmp_path):
    fill(tmp_path, GREY)
    save(tmp_path / "3.png", GREY[3, :4])
    with pytest.raises(
        BadFile,
        match=r"3.png: expected shape \(5, 7\) like 0.png, got \(4, 7\). Make .* \(--resize HxW, resize=",
    ):
        load_data(tmp_path)
    save(tmp_path / "3.png", GREY[3].T)
    with pytest.raises(BadFile, match=r"3.png: expected shape \(5, 7\) like 0.png, got \(7, 5\)"):
        load_data(tmp_path)
    save(tmp_path / "3.png", RGB[3])
    with pytest.raises(
        BadFile, match=r"3.png: expected shape \(5, 7\) like 0.png, got \(5, 7, 3\)"
    ):
        load_data(tmp_path)
    save(tmp_path / "3.png", DEEP[3])
    with pytest.raises(
        BadFile,
        match=r"3.png: expected uint8 like 0.png, got uint16. Use 8 bits for all images, or 16",
    ):
        load_data(tmp_path)


def halves(shape, dtype=np.uint8):
    """Black on the left, white on the right."""
    height, width = shape[:2]
    made = np.zeros((height, width, *shape[2:]), dtype)
    made[:, width // 2 :] = np.iinfo(dtype).max
    return made


@pytest.mark.parametrize("size", [(4, 6), [4, 6], np.array([4, 6]), "4x6"])
@pytest.mark.parametrize(("colours", "dtype"), [((), np.uint8), ((3,), np.uint8), ((), np.uint16)])
def test_images_of_any_sizes_are_scaled_to_one(tmp_path, size, colours, dtype):
    shapes = [(8, 12), (4, 6), (40, 60), (20, 6), (4, 600)]
    for n, shape in enumerate(shapes):
        save(tmp_path / f"a{n}.png", halves((*shape, *colours), dtype))
        save(tmp_path / f"b{n}.png", np.full((*shape, *colours), 77, dtype))
    data = load_data(tmp_path, random_state=None, resize=size)
    got = rows(data)
    assert got.shape == (10, 4, 6, *colours) and got.dtype == dtype
    assert data.maximum == np.iinfo(dtype).max
    want = halves((4, 6, *colours), dtype)
    # the two pixels beside the edge see some of its other side
    np.testing.assert_array_equal(got[:5, :, [0, 1, 4, 5]], [want[:, [0, 1, 4, 5]]] * 5)
    np.testing.assert_array_equal(got[1], want)
    assert (got[5:] == 77).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_scaling_skips_no_pixel(tmp_path, dtype):
    most = np.iinfo(dtype).max
    stripes = np.zeros((64, 64), dtype)
    stripes[:, ::2] = most
    save(tmp_path / "0.png", stripes)
    inner = read(tmp_path, resize=(8, 8))[0, :, 1:-1]
    np.testing.assert_allclose(inner, most / 2, rtol=0.03)


def test_images_are_scaled_as_they_are_meant_to_be_seen(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "0.png", np.rot90(halves((8, 12))), exif=exif)
    np.testing.assert_array_equal(read(tmp_path, resize=(8, 12)), [halves((8, 12))])


def test_images_to_scale_are_counted_as_what_is_kept_of_them(tmp_path):
    fill(tmp_path, RNG.integers(0, 256, (6, 50, 50), np.uint8))
    assert read(tmp_path, resize=(5, 5), limit=2500).shape == (6, 5, 5)
    with pytest.raises(BadFile, match="at most 2499 bytes of pixels in all, got 6 images of 2500"):
        load_data(tmp_path, resize=(5, 5), limit=2499)
    with pytest.raises(BadFile, match="bytes of pixels in all, got 6 images of 99999980000001"):
        load_data(tmp_path, resize="9999999x9999999")
    # a photograph among icons
    fill(tmp_path, np.zeros((200, 2, 2), np.uint8))
    save(tmp_path / "large.png", np.zeros((3000, 2000), np.uint8))
    assert read(tmp_path, resize=(5, 5)).shape == (201, 5, 5)


@pytest.mark.parametrize(
    "size", [(0, 3), (3, -1), (3,), (3, 4, 1), 3, (3.5, 4), (), "3", "0x3", "axb", "-3x4", "3x", ""]
)
def test_a_size_that_is_none_is_refused(tmp_path, size):
    fill(tmp_path, GREY)
    with pytest.raises(ValueError, match="resize: expected height and width, such as 64x48, got"):
        load_data(tmp_path, resize=size)


def test_only_images_of_a_folder_are_scaled(tmp_path):
    np.save(tmp_path / "x.npy", GREY)
    for name in ("digits", "mnist", tmp_path / "x.npy"):
        with pytest.raises(ValueError, match="expected a folder of images to resize, got"):
            load_data(name, resize=(3, 4))
    fill(tmp_path / "set", GREY)
    save(tmp_path / "set" / "1.png", RGB[1])
    with pytest.raises(BadFile, match=r"expected shape \(3, 4\) like 0.png, got \(3, 4, 3\)"):
        load_data(tmp_path / "set", resize=(3, 4))


@pytest.mark.parametrize(
    ("suffix", "mode", "side"), [(".png", "1", 7_000), (".webp", "RGB", 3_500)]
)
def test_a_small_file_takes_no_large_memory(tmp_path, suffix, mode, side):
    bomb = save(
        tmp_path / f"a{suffix}",
        Image.new(mode, (side, side)),
        **({"lossless": True} if mode == "RGB" else {}),
    )
    assert bomb.stat().st_size < 60_000
    tracemalloc.start()
    with pytest.raises(
        BadFile, match=f"a{suffix}: expected at most .* bytes of pixels in files so small, got "
    ):
        load_data(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_images_of_one_colour_are_no_bombs(tmp_path):
    fill(tmp_path, np.zeros((30, 128, 128, 3), np.uint8), ".webp", lossless=True)
    fill(tmp_path / "b", np.full((2, 2000, 2000), 255, np.uint8))
    assert read(tmp_path / "b").shape == (2, 2000, 2000)
    (tmp_path / "b" / "0.png").unlink()
    (tmp_path / "b" / "1.png").unlink()
    (tmp_path / "b").rmdir()
    assert read(tmp_path).shape == (30, 128, 128, 3)


# ---------------------------------------------------------------- folders


def test_the_order_is_the_natural_one(tmp_path):
    names = ["a2.png", "A10.PNG", "b1.png", "B2.png", "b10.png"]
    for name, pixels in zip(names, GREY, strict=False):
        save(tmp_path / name, pixels)
    np.testing.assert_array_equal(read(tmp_path), GREY[:5])


def test_nothing_is_dropped_in_silence(tmp_path):
    fill(tmp_path, GREY)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png", "__MACOSX/0.png", ".git/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"of the system")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read(tmp_path), GREY)
    (tmp_path / "labels.csv").write_text("a,b\n1,2\n")
    (tmp_path / "notes").mkdir()
    with pytest.warns(
        UserWarning, match=r"entries that are no images are left out: (labels.csv|notes)"
    ):
        np.testing.assert_array_equal(read(tmp_path), GREY)
    for name in ("b.heic", "c.AVIF", "d.svg"):
        (tmp_path / name).write_bytes(b"of another format")
    with pytest.raises(
        BadFile,
        match=r"images of the formats PNG, .*, got 3 others: b.heic, c.AVIF, d.svg. Convert",
    ):
        load_data(tmp_path)


def test_an_image_that_is_none_is_an_error(tmp_path):
    fill(tmp_path, GREY)
    (tmp_path / "x.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises((BadFile, FileNotFoundError), match=r"x\.png"):
        load_data(tmp_path)


@pytest.mark.parametrize(
    ("names", "want"),
    [(("cat", "dog"), ["cat", "dog"]), (("0", "1"), [0, 1]), (("7", "10", "2"), [2, 7, 10])],
    ids=str,
)
def test_folders_of_classes_are_labels(tmp_path, names, want):
    for i, name in enumerate(names):
        fill(tmp_path / name, GREY[3 * i : 3 * i + 3])
    data = load_data(tmp_path, random_state=3)
    y = np.concatenate([data.y_train, data.y_test])
    assert (
        sorted(set(y.tolist())) == want
        and len(y) == 3 * len(names)
        and len(data.y_test) == len(data.x_test) > 0
    )
    for pixels, label in zip(rows(data), y, strict=True):  # each kept its own
        i = int(np.flatnonzero((pixels == GREY).all(axis=(1, 2)))[0]) // 3
        assert names[i] == str(label)
    in_order = load_data(tmp_path, random_state=None)
    assert np.concatenate([in_order.y_train, in_order.y_test]).tolist() == [
        label for label in want for _ in range(3)
    ]


@pytest.mark.parametrize("test", ["test", "val", "Testing", "validation"])
@pytest.mark.parametrize("classes", [True, False])
def test_folders_to_train_and_to_test_on_are_the_split(tmp_path, test, classes):
    inner = ["cat", "dog"] if classes else [""]
    for i, name in enumerate(inner):
        fill(tmp_path / "train" / name, GREY[2 * i : 2 * i + 2])
        fill(tmp_path / test / name, GREY[4 + i : 5 + i])
    data = load_data(tmp_path)
    np.testing.assert_array_equal(data.x_train, GREY[: 2 * len(inner)])
    np.testing.assert_array_equal(data.x_test, GREY[4 : 4 + len(inner)])
    if classes:
        assert (
            data.y_train.tolist() == ["cat", "cat", "dog", "dog"] and data.y_test.tolist() == inner
        )
    else:
        assert data.y_train is None and data.y_test is None


def test_test_images_may_be_without_labels(tmp_path):
    fill(tmp_path / "train" / "1", GREY[:3])
    fill(tmp_path / "train" / "2", GREY[3:6])
    fill(tmp_path / "test", GREY[6:])
    data = load_data(tmp_path)
    assert (
        data.y_train.tolist() == [1, 1, 1, 2, 2, 2]
        and data.y_test is None
        and len(data.x_test) == 3
    )


def test_a_class_may_be_called_train(tmp_path):
    for i, name in enumerate(["bus", "train", "tram"]):
        fill(tmp_path / name, GREY[3 * i : 3 * i + 3])
    assert set(load_data(tmp_path).y_train) <= {"bus", "train", "tram"}


@pytest.mark.parametrize(
    ("names", "match"),
    {
        "empty class": (["cat/0.png", "dog/"], "dog: expected images, all of one class, got none"),
        "images beside classes": (
            ["0.png", "cat/0.png"],
            "expected images, or a folder .* got both: 0.png and cat",
        ),
        "deeper": (
            ["cat/0.png", "dog/small/0.png"],
            "dog: expected images, .* got the folder small",
        ),
        "deeper beside": (
            ["cat/0.png", "cat/small/0.png"],
            "cat: expected images, .* got the folder small",
        ),
        "no test": (
            ["train/0.png", "train/1.png"],
            "expected folders to train and to test on, got train. Name one",
        ),
        "no train": (
            ["test/a/0.png", "val/a/1.png"],
            "expected folders to train and to test on, got test, val",
        ),
        "beside the split": (
            ["train/0.png", "test/0.png", "cat/0.png"],
            "nothing but train and test, got cat",
        ),
        "image beside the split": (
            ["train/0.png", "test/0.png", "0.png"],
            "nothing but train and test, got 0.png",
        ),
        "three parts": (
            ["train/0.png", "test/0.png", "val/0.png"],
            "nothing but train and test, got val",
        ),
        "no label": (
            ["cat/0.png", "None/0.png"],
            "expected folders of different names, one for each class, got 'None', 'cat'",
        ),
        "-1, no label elsewhere": (["-1/0.png", "0/0.png", "1/0.png"], "got '-1', '0', '1'"),
        "unlabelled": (["cat/0.png", "unlabelled/0.png"], "got 'cat', 'unlabelled'.* as -1"),
        "one label twice": (
            ["1/0.png", "01/0.png"],
            "expected folders of different names, one for each class, got '01', '1'",
        ),
        "empty": ([], r"a folder of images \(PNG, .*\), got none"),
        "empty parts": (
            ["train/", "test/"],
            r"train: expected a folder of images \(PNG, .*\), got none",
        ),
    }.values(),
)
def test_folders_that_tell_no_one_thing_are_refused(tmp_path, names, match):
    for name in names:
        if name.endswith("/"):
            (tmp_path / name).mkdir(parents=True)
        else:
            save(tmp_path / name, GREY[0])
    with pytest.raises(BadFile, match=match):
        load_data(tmp_path)


def test_the_command_learns_classes_from_folders(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, low in (("dark", 0), ("light", 200)):
        fill(tmp_path / "set" / name, RNG.integers(low, low + 50, (20, 6, 6), np.uint8))
    settings = [
        "--stacked",
        "8",
        "--epochs",
        "9",
        "--learning-rate",
        "0.03",
        "--batch-size",
        "8",
        "--no-figures",
    ]
    assert main(["train", "--classify", "--data", "set", "--out", "run", *settings]) == 0
    assert "test error 0.00 %" in capsys.readouterr().out
    assert main(["evaluate", "run", "--data", "set"]) == 0
    assert "error 0.00 %" in capsys.readouterr().out
    assert main(["encode", "run", "--data", "set", "--out", "codes.npy"]) == 0
    assert np.load("codes.npy").shape == (40, 8)
    fill(tmp_path / "plain", GREY)
    assert main(["train", "--classify", "--data", "plain", "--out", "other", *settings]) == 2
    assert "for images: a folder for each class" in capsys.readouterr().err


def test_a_model_reads_images_of_other_sizes_as_those_it_learned(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for n in range(10):
        save(tmp_path / "set" / f"{n}.png", np.full((10 + n, 12), 20 * n, np.uint8))
    train = ["train", "--data", "set", "--code-size", "2", "--epochs", "1", "--no-figures"]
    assert main([*train, "--out", "run"]) == 2
    assert "--resize HxW" in capsys.readouterr().err
    assert main([*train, "--out", "run", "--resize", "4x6"]) == 0
    assert "4 x 6" in capsys.readouterr().out
    save(tmp_path / "new" / "0.png", np.full((50, 70), 100, np.uint8))
    save(tmp_path / "new" / "1.png", np.full((3, 3), 200, np.uint8))
    use = ["run", "--data", "new"]
    for option in ([], ["--resize", "4x6"]):
        assert main(["evaluate", *use, *option]) == 0
        assert main(["encode", *use, *option, "--out", "codes.npy"]) == 0
        assert main(["reconstruct", *use, *option, "--out", "images.npy"]) == 0
        assert np.load("images.npy").shape == (2, 4, 6)
    model = load("run/model.npz")
    x = np.repeat([[100 / 255], [200 / 255]], 24, axis=1)
    np.testing.assert_allclose(np.load("codes.npy"), model.transform(x), rtol=1e-5, atol=1e-6)
    assert main(["report", "run"]) == 0
    capsys.readouterr()
    np.save("turned.npy", np.zeros((5, 6, 4), np.uint8))
    for other in (["new", "--resize", "6x4"], ["turned.npy"]):
        assert main(["evaluate", "run", "--data", *other]) == 2
        assert (
            "expected images of [4, 6] pixels, as in training, got [6, 4]"
            in capsys.readouterr().err
        )
    for command in (train, ["encode", *use, "--out", "codes.npy"]):
        for size in ("0x3", "3", "axb", "-3x4"):
            try:
                code = main([*command, f"--resize={size}"])
            except SystemExit as stopped:
                code = stopped.code
            message = capsys.readouterr().err
            assert code == 2 and message.count("\n") == 1 and size in message
