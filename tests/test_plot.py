"""Does each figure of `nanoae.plot` draw on the axes it is given, and say what it shows?"""

import io

import numpy as np
import pytest

import nanoae
from nanoae import plot

matplotlib = pytest.importorskip("matplotlib")
from matplotlib import pyplot  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

RNG = np.random.default_rng(0)
IMAGES, CODES = RNG.random((12, 64)), RNG.standard_normal((60, 6))
DIGITS, WORDS = np.arange(60) % 10, np.array([f"word {i}" for i in range(60)])
HISTORY = {"loss": [3.0, 2.0, 1.5, 1.4], "val_loss": [3.1, 2.2, 2.5, 2.9]}

FIGURES = {
    "reconstructions": lambda ax: plot.reconstructions(
        {"original": IMAGES, "again": IMAGES}, (8, 8), ax=ax
    ),
    "table": lambda ax: plot.reconstructions({"original": CODES, "again": CODES}, ax=ax),
    "images": lambda ax: plot.images(IMAGES, (8, 8), title="drawn", ax=ax),
    "manifold": lambda ax: plot.manifold(IMAGES[:9], (8, 8), ax=ax),
    "interpolation": lambda ax: plot.interpolation(IMAGES.reshape(3, 4, 64), (8, 8), ax=ax),
    "interpolation-one": lambda ax: plot.interpolation(IMAGES.reshape(12, 8, 8), ax=ax),
    "filters": lambda ax: plot.filters(CODES[:, :3].repeat(2, 1)[:49], (7, 7), ax=ax),
    "loss": lambda ax: plot.loss(HISTORY, ax=ax),
    "codes": lambda ax: plot.codes(CODES, ax=ax),
    "codes-classes": lambda ax: plot.codes(CODES[:, :2], DIGITS, ax=ax),
    "codes-space": lambda ax: plot.codes(CODES[:, :3], WORDS, ax=ax),
    "codes-one": lambda ax: plot.codes(CODES[:, :1], DIGITS, ax=ax),
    "histogram": lambda ax: plot.histogram(CODES, ax=ax),
    "errors": lambda ax: plot.errors(CODES[:, 0] ** 2, ax=ax),
    "errors-by-label": lambda ax: plot.errors(CODES[:, 0] ** 2, WORDS, ax=ax),
    "explanation": lambda ax: plot.explanation(CODES[0], list("abcdef"), ax=ax),
    "explanation-rows": lambda ax: plot.explanation(CODES, list("abcdef"), ax=ax),
    "explanation-images": lambda ax: plot.explanation(
        IMAGES - 0.5, images=IMAGES, shape=(8, 8), ax=ax
    ),
    "roc": lambda ax: plot.roc({"a": CODES[:, 0]}, CODES[:, 1] > 0, ax=ax),
}
# Pictures have none.
# pictures have none
WITHOUT_AXES = (
    "reconstructions",
    "table",
    "images",
    "interpolation",
    "filters",
    "explanation-images",
)


@pytest.fixture(autouse=True)
def no_figure_stays():
    yield
    pyplot.close("all")


def texts(ax):
    """All that is written on a figure."""
    return " | ".join(found.get_text() for found in ax.figure.findobj(matplotlib.text.Text))


@pytest.fixture
def ax():
    return Figure().add_subplot()


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")
def test_it_draws_on_the_axes_given_and_names_them(name, ax):
    assert FIGURES[name](ax) is ax
    assert ax.get_title()
    if not name.startswith(WITHOUT_AXES):
        assert ax.get_xlabel() and ax.get_ylabel()
    ax.figure.savefig(io.BytesIO())


def test_without_axes_it_makes_a_figure_that_pyplot_shows():
    from matplotlib import pyplot

    pyplot.switch_backend("agg")
    made = plot.codes(CODES[:, :3], DIGITS)
    assert made.name == "3d" and made.figure is pyplot.gcf()
    pyplot.close("all")


def test_the_kept_epoch_is_marked_and_its_values_are_told(ax):
    plot.loss(HISTORY, kept=2, ax=ax)
    told = [text.get_text() for text in ax.get_legend().get_texts()]
    assert told == ["train  2", "validation  2.2", "weights kept: epoch 2"]
    assert any(list(line.get_xdata()) == [2, 2] for line in ax.lines)


def test_values_are_told_of_epochs_only(ax):
    plot.loss({"first": [1.0, 2.0]}, xlabel="layer", ticks=[1, 2], ax=ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["first"]


def test_axes_and_colour_bars_say_what_they_are(ax):
    plot.codes(CODES, CODES[:, 0], label="age", ax=ax)
    assert ax.get_xlabel().startswith("principal component 1 of the code (")
    assert [other.get_ylabel() for other in ax.figure.axes if other is not ax] == ["age"]


def test_points_do_not_lie_on_top_of_each_other_by_thousands(ax):
    plot.codes(np.tile(CODES[:, :2], (200, 1)), ax=ax)
    assert len(ax.collections[0].get_offsets()) == 2_000


def test_a_table_is_standardised_and_its_columns_named(ax):
    rows = CODES[:, :3] * [1e4, 1, 1e-3] + [5e4, 0, 0]
    plot.reconstructions({"original": rows}, columns=["bill", "tax", "tip"], n=3, ax=ax)
    panels = ax.child_axes
    drawn = np.array([panel.lines[0].get_ydata() for panel in panels])
    assert np.allclose(drawn, ((rows - rows.mean(axis=0)) / rows.std(axis=0))[:3])
    assert [text.get_text() for text in panels[-1].get_xticklabels()] == ["bill", "tax", "tip"]


def test_dead_units_are_marked(ax):
    weights = np.ones((4, 3))
    weights[:, 1] = 0
    plot.filters(weights, (2, 2), dead=[2], ax=ax)
    assert "2 dead units framed in red" in ax.get_title()
    red = (ax.images[0].get_array() == (0.74, 0.12, 0.0)).all(axis=-1)
    middle = red.shape[1] // 2
    assert (
        red[:middle, middle:].any()
        and red[middle:, :middle].any()
        and not red[:middle, :middle].any()
    )
    other = Figure().add_subplot()
    plot.histogram({"code": np.column_stack([np.zeros(9), np.arange(9)])}, ax=other)
    assert "1 of 2 units dead" in texts(other)


def test_an_autoencoder_shows_what_fits(ax):
    data = nanoae.load_data("digits")
    x, _ = data.flat()
    model = nanoae.Autoencoder(
        4, (8,), epochs=3, validation_fraction=0.2, patience=3, random_state=0
    ).fit(x)
    assert model.plot(ax=ax) is ax and f"weights kept: epoch {model.best_epoch_}" in texts(ax)
    rows, codes = Figure().add_subplot(), Figure().add_subplot()
    assert len(model.plot(x, shape=(8, 8), ax=rows).images) == 1
    assert "principal component" in model.plot(x, data.y_train, ax=codes).get_xlabel()
    shown = model._repr_html_()
    assert "Linear(64, 8)" in shown and "<polyline" in shown and "validation loss" in shown
    assert "not fitted" in nanoae.Autoencoder(encoder=[nanoae.Linear(2, init="<b>")])._repr_html_()
    assert "<b>'" not in nanoae.Autoencoder(encoder=[nanoae.Linear(2, init="<b>")])._repr_html_()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: plot.manifold(IMAGES[:5], (8, 8)),
        lambda: plot.errors(CODES),
        lambda: plot.errors(CODES[:, 0], DIGITS[1:]),
        lambda: plot.explanation(CODES[0], ["a"]),
        lambda: plot.codes(CODES[:, 0]),
        lambda: plot.loss({"loss": []}),
    ],
)
def test_wrong_input_says_what_was_expected(wrong):
    with pytest.raises(ValueError, match=r"^\w+: expected .*, got "):
        wrong()


def test_rows_without_a_label_are_told_apart():
    labels = np.ma.masked_equal(DIGITS, 3)
    drawn = plot.codes(CODES[:, :2], labels)
    assert "no label" in texts(drawn) and len(drawn.collections[0].get_offsets()) == 60
    scale = np.where(DIGITS == 3, np.nan, np.arange(60.0))
    drawn = plot.codes(CODES[:, :2], scale)
    colours = drawn.figure.canvas.draw() or drawn.collections[0].get_facecolors()
    assert (colours[:, 3] > 0).all()
    assert "no label" in texts(plot.errors(CODES[:, 0] ** 2, np.where(DIGITS == 3, None, "x")))


@pytest.mark.parametrize(
    "shape", [(8, 6, 3), (3, 8, 6), (8, 6, 4), (4, 8, 6), (8, 6, 1), (1, 8, 6)]
)
def test_images_of_either_layout_are_the_same_picture(shape):
    x = RNG.random((4, *shape))
    first = x.transpose(0, 3, 1, 2) if shape[0] == 8 else x
    wanted = first[:, :3] if len(first[0]) > 1 else first[:, 0]
    for images in (x, x.reshape(4, -1)):
        drawn = plot.reconstructions({"x": images}, shape).images[0].get_array()
        np.testing.assert_array_equal(
            drawn, plot.reconstructions({"x": wanted}).images[0].get_array()
        )


def test_a_text_with_dollars_is_no_formula():
    price = [r"$\frac$", "a $ b $"]
    for ax in (
        plot.codes(CODES[:, :2], np.array(price * 30)),
        plot.errors(CODES[:, 0] ** 2, price * 30),
        plot.explanation(CODES[0, :2], price),
        plot.reconstructions({price[0]: CODES[:, :2], price[1]: CODES[:, :2]}, columns=price),
        plot.reconstructions(dict.fromkeys(price, IMAGES), (8, 8)),
    ):
        ax.figure.savefig(io.BytesIO())
        assert all(word.replace("$", r"\$") in texts(ax) for word in price)


@pytest.mark.parametrize("draw", [plot.codes, plot.histogram, lambda x: plot.errors(x[:, 0])])
def test_what_is_not_finite_is_refused(draw):
    with pytest.raises(ValueError, match="finite"):
        draw(np.where(CODES > 1, np.inf, CODES))


def test_lines_have_codes_to_see():
    model = nanoae.TextVAE(2, 4, 4, epochs=1, random_state=0).fit(["a b", "c d"] * 6)
    assert "code" in model.plot(["a b", "c d"]).get_xlabel()
    model.history_["loss"] = [None, 0.5]  # of a file
    assert "0.5" in model._repr_html_()
