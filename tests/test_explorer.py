"""Does the page's own network, at its sliders in a real browser, give what the model gives?"""

import numpy as np
import pandas as pd
import pytest

import nanoae
from nanoae.report import write_report, write_text_report

RNG = np.random.default_rng(0)
CODES = 50
EVIL = "<script>alert(1)</script>"

SET_SLIDERS = """codes => codes.map(code => {
    explorer.sliders.forEach(({ input, unit }) => {
        input.value = code[unit];
        input.dispatchEvent(new Event("input"));
    });
    const { output } = explorer;
    return { code: Array.from(explorer.code), output: typeof output === "string" ? output : Array.from(output) };
})"""


@pytest.fixture
def opened(browser):
    """Opens a file; at the end no request may have left the page, and nothing may have gone wrong in it."""
    wrong, pages = [], []

    def open_page(path, **options):
        page = browser.new_page(**options)
        page.set_default_timeout(60_000)
        pages.append(page)
        page.on(
            "request",
            lambda request: request.url.startswith(("file:", "data:")) or wrong.append(request.url),
        )
        page.on(
            "console",
            lambda message: message.type in ("error", "warning") and wrong.append(message.text),
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message) or dialog.dismiss())
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", timeout=60_000)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert wrong == []


@pytest.fixture(scope="module")
def digits():
    data = nanoae.load_data("digits")
    x, _ = data.flat()
    return x[:200], data.y_train[:200]


def dense(x, y):
    encoder = [
        nanoae.Linear(20),
        nanoae.ELU(0.7),
        nanoae.BatchNorm(),
        nanoae.Dropout(0.2),
        nanoae.Linear(12),
    ]
    encoder += [
        nanoae.LeakyReLU(0.1),
        nanoae.LayerNorm(),
        nanoae.Linear(9),
        nanoae.Tanh(),
        nanoae.TopK(5, 1.1),
    ]
    decoder = [
        nanoae.Linear(16),
        nanoae.Softplus(),
        nanoae.Linear(16),
        nanoae.ReLU(),
        nanoae.Linear(16),
    ]
    decoder += [
        nanoae.Sigmoid(),
        nanoae.Identity(),
        nanoae.BatchNorm(),
        nanoae.Linear(16),
        nanoae.GELU(),
    ]
    decoder += [nanoae.Linear(16), nanoae.SiLU(), nanoae.Linear(64)]
    noise = nanoae.MaskingNoise(0.2)
    model = nanoae.Autoencoder(
        encoder=encoder, decoder=decoder, loss="bce", corruption=noise, epochs=1, random_state=0
    )
    return model.fit(x), {"shape": (8, 8), "limits": (0, 1)}


def tied(x, y):
    model = nanoae.StackedAutoencoder(
        (16, 6), tied_weights=True, scaling="minmax", epochs=1, pretrain_epochs=1, random_state=0
    )
    return model.fit(x), {"shape": (8, 8), "limits": (0, 1)}


def convolutional(x, y):
    conv = nanoae.Conv2d(6, 3, (2, 1), 1)
    encoder = [
        conv,
        nanoae.ELU(),
        nanoae.BatchNorm(),
        nanoae.MaxPool2d(3, 2, 1),
        nanoae.LayerNorm(3),
    ]
    encoder += [nanoae.AvgPool2d(2, (1, 2)), nanoae.Flatten(), nanoae.Linear(5), nanoae.Tanh()]
    decoder = [nanoae.Linear(8), nanoae.Reshape((2, 2, 2)), nanoae.Upsample((1, 2)), nanoae.ReLU()]
    decoder += [nanoae.ConvTranspose2d(6, (3, 2), 2, (1, 0), output_padding=1), nanoae.BatchNorm()]
    decoder += [
        nanoae.Flatten(),
        nanoae.Linear(6 * 4 * 8),
        nanoae.Reshape((6, 4, 8)),
        nanoae.Flatten(),
    ]
    decoder += [nanoae.Reshape((6, 4, 8)), nanoae.ConvTranspose2d(1, (2, 3), (2, 1), (0, 1))]
    model = nanoae.Autoencoder(
        encoder=encoder, decoder=decoder, epochs=1, batch_size=50, random_state=0
    )
    return model.fit(x.reshape(-1, 1, 8, 8)), {"limits": (0, 1)}


def conv_3d(x, y):
    images = np.pad(
        x.reshape(-1, 1, 8, 8).repeat(3, axis=2).repeat(3, axis=3), ((0, 0), (0, 0), (2, 2), (2, 2))
    )
    return nanoae.ConvAutoencoder(3, epochs=1, random_state=0).fit(2 * images - 1), {
        "x": 2 * images - 1
    }


def colour(x, y):
    grey = x.reshape(-1, 8, 8)
    images = np.stack([200 * grey, 5 * grey + 1000, grey**2], axis=-1)
    model = nanoae.ConvAutoencoder(
        3, output_activation="identity", scaling="standard", epochs=1, random_state=0
    )
    return model.fit(images), {"x": images}


def conditional(x, y):
    model = nanoae.VariationalAutoencoder(4, (16,), epochs=1, random_state=0)
    names = np.array([f"{EVIL} {digit}" for digit in y])
    return model.fit(x, condition=names), {
        "shape": (8, 8),
        "limits": (0, 1),
        "condition": names,
        "labels": names,
    }


def table(x, y):
    rows = x[:, 16:24].astype(np.float64)
    rows[::7, 2] = np.nan
    columns = [EVIL, *(f"c{i}" for i in range(1, 8))]
    model = nanoae.Autoencoder(
        3, (8,), missing="mask", scaling="gaussian", epochs=1, random_state=0
    ).fit(rows)
    return model, {"x": rows, "columns": columns, "labels": x[:, 30] + 0.001 * np.arange(len(x))}


def wide(x, y):
    rows = x[:, 2:7] * [1e-4, 1.0, 1e3, 1e6, 1e9] + [0, 50, 0, 0, 1e10]
    model = nanoae.VariationalAutoencoder(
        2, (8,), likelihood="gaussian", scaling="robust", epochs=1, random_state=0
    )
    return model.fit(rows), {"x": rows}


def old(x, y):
    model, told = wide(x, y)
    model.scaler_.limit_ = np.inf  # as in files from before there was one
    return model, told


KINDS = [dense, tied, convolutional, conv_3d, colour, conditional, table, wide, old]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.filterwarnings("ignore")
def test_the_sliders_decode_as_the_model_does(kind, digits, opened, tmp_path):
    model, told = kind(*digits)
    x, labels = told.pop("x", digits[0]), told.pop("labels", digits[1])
    x = x.reshape(len(x), *model.input_shape_)
    page = opened(write_report(tmp_path / "r.html", model, x, labels, **told))
    condition = {"condition": model.classes_[3]} if "condition" in told else {}
    if condition:
        page.select_option(".stage select", "3")
    codes = model.transform(x, *([told["condition"]] if condition else []))
    wanted = RNG.uniform(codes.min(axis=0), codes.max(axis=0), (CODES, codes.shape[1]))
    found = page.evaluate(SET_SLIDERS, wanted.tolist())
    set_to = np.array([each["code"] for each in found])
    assert np.allclose(set_to, wanted, atol=1e-3)
    again = model.inverse_transform(set_to.astype(np.float32), **condition)
    shown = np.array([each["output"] for each in found]).reshape(again.shape)
    assert np.abs(model.scaled(shown) - model.scaled(again)).max() < 1e-3
    assert "alert(1)" not in page.evaluate(
        "Array.from(document.querySelectorAll('main script')).join()"
    )
    if kind is table:
        assert EVIL in page.inner_text("#explorer")
    if kind in (table, wide, old):
        encode = (
            "rows => rows.map(row => Array.from(explorer.network.encode(row.map(v => v ?? NaN))))"
        )
        rows = [[None if np.isnan(v) else v for v in row] for row in x[:30].tolist()]
        assert np.abs(codes[:30] - page.evaluate(encode, rows)).max() < 1e-3
        return
    canvas = page.locator("canvas.paper")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    for i, (across, down) in enumerate([(0.3, 0.2), (0.7, 0.3), (0.4, 0.6), (0.6, 0.8)]):
        page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"], steps=3)
        page.mouse.down() if i == 0 else None
    page.mouse.up()
    pixels, code = page.evaluate(
        "[Array.from(explorer.drawing.pixels), Array.from(explorer.drawing.code)]"
    )
    assert np.ptp(pixels) > 0.5
    drawn = np.array(pixels, np.float32).reshape(1, *model.input_shape_)
    assert np.abs(model.transform(drawn, **condition) - code).max() < 1e-3


class Doubled(nanoae.Elementwise):
    def f(self, x, out):
        return self.ops.multiply(x, 2, out=out)

    def df(self, dy, y, out):
        return self.ops.multiply(dy, 2, out=out)


@pytest.mark.filterwarnings("ignore")
def test_a_layer_that_the_page_cannot_compute_is_named(digits, opened, tmp_path):
    x, labels = digits
    model = nanoae.Autoencoder(2, (3,), activation=Doubled(), epochs=1, random_state=0).fit(x)
    page = opened(write_report(tmp_path / "r.html", model, x, labels))
    assert "The page cannot compute Doubled layers" in page.inner_text("#explorer")
    assert not page.query_selector_all(".stage input")


def test_a_table_with_words_decodes_to_its_units(opened, tmp_path):
    rows = pd.DataFrame({"a": 1e3 + 50 * RNG.normal(size=60), "word": ["x", "y", EVIL] * 20})
    rows.loc[:9, "a"] = np.nan
    model = nanoae.Autoencoder(2, (8,), missing="mask", epochs=1, random_state=0).fit(rows)
    page = opened(write_report(tmp_path / "r.html", model, rows))
    codes = model.transform(rows)
    found = page.evaluate(SET_SLIDERS, codes.tolist())
    shown = np.array([each["output"] for each in found])
    cells = model.inverse_transform(np.array([each["code"] for each in found], np.float32))
    assert np.allclose(shown[:, 0], cells[:, 0].astype(float), rtol=1e-4)
    assert np.allclose(shown[:, 1:].sum(axis=1), 1)
    words = np.array([*model.table_encoder_.categories_[1], "other"])
    assert words[shown[:, 1:].argmax(axis=1)].tolist() == cells[:, 1].tolist()
    encode = """Array.from({ length: 30 }, (_, i) =>
        Array.from(explorer.network.encode(explorer.view.values(explorer.points, i))))"""
    assert np.abs(page.evaluate(encode) - codes[:30]).max() < 1e-3
    assert f"word={EVIL}" in page.inner_text("#explorer")


def test_a_row_a_walk_and_a_box_of_codes(digits, opened, tmp_path):
    x, _ = digits
    y = np.where(np.arange(200) % 9, np.arange(200.0), np.nan)  # a scale, with rows without a label
    model = nanoae.Autoencoder(2, (8,), epochs=1, random_state=0).fit(x)
    page = opened(
        write_report(tmp_path / "r.html", model, x, y, shape=(8, 8)),
        viewport={"width": 390, "height": 800},
    )
    codes = model.transform(x)
    start = page.evaluate("explorer.content.explorer.starts")
    page.locator(".starts button").nth(3).click()
    page.locator(".starts button").nth(5).click()
    assert np.allclose(page.evaluate("Array.from(explorer.code)"), codes[start[5]], atol=1e-3)
    page.evaluate("explorer.walk(0.25)")
    assert np.allclose(
        page.evaluate("Array.from(explorer.code)"),
        0.75 * codes[start[3]] + 0.25 * codes[start[5]],
        atol=1e-3,
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    points = page.locator("canvas.points")
    points.scroll_into_view_if_needed()
    box = points.bounding_box()
    page.mouse.move(box["x"] + 9, box["y"] + 9)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 9, box["y"] + box["height"] - 9, steps=4)
    page.mouse.up()
    assert page.inner_text(".members p").startswith("200 rows in the box")
    points.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    leftmost = page.evaluate("codes.at.reduce((a, p, i) => p[0] < codes.at[a][0] ? i : a, 0)")
    assert page.evaluate("[codes.told, explorer.row]") == [leftmost, leftmost]
    assert page.evaluate("ticks(-1, 0.5, 15)").count(0) == 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("with_keywords", [True, False])
def test_a_text_model_says_in_the_page_what_it_says_here(with_keywords, opened, tmp_path):
    nouns, kinds = ["tea", "café", "日本"], ["warm", "cold", EVIL]
    lines = [f"{kind} {noun}, for {other}!" for kind in kinds for noun in nouns for other in nouns]
    keywords = [noun for _ in kinds for noun in nouns for _ in nouns] if with_keywords else None
    model = nanoae.TextVAE(
        3, 12, 6, epochs=12, batch_size=8, warm_up=1, beta=0.1, random_state=0
    ).fit(lines, keywords)
    page = opened(write_text_report(tmp_path / "r.html", model, lines, keywords))
    codes = model.transform(lines, keywords)
    if with_keywords:
        page.fill(".stage input[type=text]", "tea")
    wanted = RNG.uniform(codes.min(axis=0), codes.max(axis=0), (CODES, 3)).astype(np.float32)
    found = page.evaluate(SET_SLIDERS, wanted.tolist())
    told = ["tea"] * CODES if with_keywords else None
    assert [each["output"] for each in found] == model.inverse_transform(wanted, told)
    own = "warm  tea, for 日本 and unknown!"
    page.fill("input[placeholder='type a line']", own)
    code = model.transform([own], ["tea"] if with_keywords else None)[0]
    assert np.abs(np.array(page.evaluate("Array.from(explorer.code)")) - code).max() < 1e-3
