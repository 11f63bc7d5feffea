"""Is data that a reconstruction cannot reach refused, before anything is trained on it?"""

import pickle

import numpy as np
import pytest
from conftest import EXAMPLES, everything

import nanoae
from nanoae import TimeDistributed
from nanoae.autoencoders.reach import output_range, predicted_range
from nanoae.autoencoders.teacher_forcing import TeacherForcing
from nanoae.cli import main
from nanoae.engine.losses import BCE, Loss

U = np.random.default_rng(0).random((40, 6), np.float32)  # in [0, 1)
X = 4 * U - 2
LABELS = np.arange(40) % 2
SMALL = {"epochs": 1, "backend": "numpy", "random_state": 0}
UINT8 = np.random.default_rng(0).integers(0, 256, (10, 28, 28), np.uint8)
INFINITE = float("inf")


def make(**own):
    return nanoae.Autoencoder(2, (4,), **{**SMALL, **own})


def own(*last, **more):
    """An autoencoder whose decoder ends in layers of one's own."""
    return nanoae.Autoencoder(
        encoder=[nanoae.Linear(2)], decoder=[nanoae.Linear(6), *last], **{**SMALL, **more}
    )


def vae(**settings):
    return nanoae.VariationalAutoencoder(2, (4,), **{**SMALL, **settings})


IDENTITY = 'use output_activation="identity"'
LINEAR = "end the decoder in a Linear"
BOUNDED = {  # name -> (an untrained estimator, the ends of what it can give, what makes them, what to do)
    "sigmoid": (make(output_activation="sigmoid"), (0, 1), "where the output's Sigmoid() ends", f"or {IDENTITY}"),
    "tanh": (make(output_activation="tanh"), (-1, 1), "where the output's Tanh() ends", f"or {IDENTITY}"),
    "relu": (make(output_activation="relu"), (0, INFINITE), "where the output's ReLU() ends", IDENTITY),
    "softplus": (make(output_activation="softplus"), (0, INFINITE), "Softplus() ends", IDENTITY),
    "elu": (make(output_activation="elu"), (-1, INFINITE), "ELU() ends", IDENTITY),
    "bce": (make(loss="bce"), (0, 1), 'with loss="bce"', 'or use loss="mse"'),
    "BCE": (make(loss=BCE("sum")), (0, 1), 'with loss="bce"', 'use loss="mse"'),
    "gaps": (make(loss="bce", missing="mask"), (0, 1), 'with loss="bce"', 'use loss="mse"'),
    "tied": (make(tied_weights=True, output_activation="sigmoid"), (0, 1), "Sigmoid() ends", IDENTITY),
    "own sigmoid": (own(nanoae.Sigmoid()), (0, 1), "Sigmoid() ends", LINEAR),
    "own, reshaped": (own(nanoae.Tanh(), nanoae.Reshape((2, 3)), nanoae.Flatten()), (-1, 1), "Tanh() ends", LINEAR),
    "own, with noise behind": (own(nanoae.Sigmoid(), nanoae.Dropout(0.1)), (0, 1), "Sigmoid() ends", LINEAR),
    "own elu": (own(nanoae.ELU(0.5)), (-0.5, INFINITE), "ELU(alpha=0.5) ends", LINEAR),
    "own leaky relu": (own(nanoae.LeakyReLU(0)), (0, INFINITE), "LeakyReLU(slope=0) ends", LINEAR),
    "own images": (
        own(nanoae.Sigmoid(), nanoae.Reshape((1, 2, 3)), nanoae.Upsample(2), nanoae.MaxPool2d(2), nanoae.Flatten()),
        (0, 1), "Sigmoid() ends", LINEAR,
    ),
    "own states": (
        own(nanoae.Reshape((3, 2)), *map(TimeDistributed, (nanoae.Linear(2), nanoae.Sigmoid())), nanoae.Flatten()),
        (0, 1), "TimeDistributed(layer=Sigmoid()) ends", LINEAR,
    ),
    "own gru": (own(nanoae.Reshape((3, 2)), nanoae.GRU(2), nanoae.Flatten()), (-1, 1), "GRU", LINEAR),
    "before a sigmoid": (
        own(nanoae.ReLU(), loss="bce"), (0.5, 1),
        """where the output's ReLU() ends, before the sigmoid of loss="bce",""", LINEAR,
    ),
    "stacked": (
        nanoae.StackedAutoencoder((4, 2), output_activation="sigmoid", **SMALL), (0, 1), "Sigmoid() ends", IDENTITY
    ),
    "stacked bce": (nanoae.StackedAutoencoder((4, 2), loss="bce", **SMALL), (0, 1), 'with loss="bce"', 'loss="mse"'),
    "bernoulli": (vae(), (0, 1), 'with likelihood="bernoulli"', 'or use likelihood="gaussian"'),
    "gaussian": (vae(likelihood="gaussian", output_activation="tanh"), (-1, 1), "Tanh() ends", IDENTITY),
}  # fmt: skip


@pytest.mark.parametrize("name", BOUNDED)
def test_data_beyond_an_end_are_refused_and_nothing_is_learned(name):
    model, (low, high), cause, remedy = BOUNDED[name]
    top = high if np.isfinite(high) else low + 9
    inside = (low + (top - low) * U).clip(low, top)
    inside[0, :2] = low, top  # the ends themselves are no error
    for beyond in (low - 0.01, *([high + 0.01] if np.isfinite(high) else [])):
        outside = inside.copy()
        outside[7, 3] = beyond
        for act in (
            lambda: model.fit(outside),  # noqa: B023
            lambda: model.fit(inside, validation_data=outside),  # noqa: B023
            lambda: model.partial_fit(outside),  # noqa: B023
        ):
            with pytest.raises(ValueError, match="expected values in") as caught:
                act()
            told = str(caught.value)
            assert (
                cause in told and told.endswith(f"{remedy}.") and f"in [{low:g}, {high:g}] " in told
            )
            assert f"{beyond:.3g}" in told.partition("got")[2]
            assert not model.__sklearn_is_fitted__()
            assert str(pickle.loads(pickle.dumps(caught.value))) == told
    fitted = (
        type(model)(**model.get_params(deep=False))
        .fit(inside, validation_data=inside)
        .partial_fit(inside)
    )
    assert np.isfinite(fitted.evaluate(inside)["loss"])
    for ask in (fitted.evaluate, fitted.score, fitted.partial_fit):
        with pytest.raises(ValueError, match="expected values in"):
            ask(outside)
    assert np.isfinite(fitted.reconstruct(outside)).all()  # what is no target may lie anywhere


def test_rounding_is_no_error_and_what_is_more_is_told_in_digits_that_differ():
    for dtype in ("float32", "float64"):
        for end in (1 + 2e-16, np.nextafter(np.float32(1), np.float32(2)), 1 + 1e-7, -1e-12):
            make(loss="bce", dtype=dtype).fit(np.array([[0, end], [1, 0.5]]))
        counts = 1e6 * U.astype(np.float64)
        make(output_activation="relu", dtype=dtype).fit(counts - counts.min() - 0.01)
        with pytest.raises(
            ValueError, match=r"expected values in \[0, 1\] with .*, got \[0, 1.00001\]\. "
        ):
            make(loss="bce", dtype=dtype).fit(np.array([[0, 1.00001], [1, 0.5]]))
    with pytest.raises(ValueError, match=r"got \[0, 1.0000008\]"):
        make(loss="bce").fit(np.array([[0, 1 + 8e-7], [1, 0.5]]))


def test_what_has_no_ends_learns_anything():
    own(nanoae.Sigmoid(), nanoae.BatchNorm()).fit(X)
    own(nanoae.LeakyReLU(0.1)).fit(X)
    make(output_activation="leaky_relu").fit(1e6 * X)
    vae(likelihood="gaussian").fit(X)


def test_gaps_lie_nowhere():
    gaps = np.where(np.arange(6) == 2, np.nan, U)
    gaps[:, 3] = np.nan
    make(output_activation="sigmoid", missing="mask").fit(gaps).evaluate(gaps)
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\]"):
        make(output_activation="sigmoid", missing="mask").fit(np.where(np.isnan(gaps), gaps, 2))


def test_categories_are_shares():
    kinds = np.eye(4, dtype=np.float32)[np.arange(40) % 4]
    table = np.hstack([X[:, :2], kinds])
    mixed = nanoae.Mixed((1, 1, 4))
    make(loss=mixed).fit(table)
    make(loss=mixed, missing="mask").fit(np.where(np.arange(40)[:, None] % 7 == 0, np.nan, table))
    with pytest.raises(
        ValueError, match=r"in \[0, 1\] with loss=Mixed.* in column 4\. .*encode categories one-hot"
    ):
        make(loss=mixed).fit(np.where(np.arange(6) == 4, 7, table))
    with pytest.raises(ValueError, match=r"where the output's Tanh\(\) ends.* in column 0"):
        make(loss=mixed, output_activation="tanh").fit(table)
    with pytest.raises(
        ValueError, match=r"in \[0.0431645, 0.711\d+\] .*Tanh\(\) ends, got \[0, 1\] in column 2"
    ):
        make(loss=mixed, output_activation="tanh").fit(table.clip(-1, 1))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (UINT8, r"ConvAutoencoder: .* in \[-1, 1\] where .*Tanh\(\) ends, got \[0, 255\]\. .*X / 127\.5 - 1"),
        (UINT8.reshape(10, 784), r"got \[0, 255\]"),
        (UINT8[:, None].astype(np.float64), r"got \[0, 255\]"),
        (UINT8.astype(np.uint16) * 257, r"got \[0, 65535\]\. .*X / 32767\.5 - 1"),
        (UINT8.astype(np.uint16) * 16, r"got \[0, 4080\]\. .*X / 2047\.5 - 1"),
        (UINT8 % 17, r"got \[0, 16\]\. .*X / 8 - 1"),
        (UINT8 / 127.5 - 1, None),
        (UINT8 / 255, None),
    ],
)  # fmt: skip
def test_images(images, message):
    if message is None:
        nanoae.ConvAutoencoder(2, **SMALL).fit(images)
        return
    with pytest.raises(ValueError, match=message):
        nanoae.ConvAutoencoder(2, **SMALL).fit(images)


@pytest.mark.parametrize("kind", [nanoae.StackedClassifier, nanoae.StackedRegressor])
def test_predictors_are_told_by_their_own_setting(kind):
    message = (
        rf"{kind.__name__}: expected values in \[0, 1\] with "
        r'pretrain_loss="bce", got .*or use pretrain_loss="mse"'
    )
    predictor = kind((3,), pretrain_loss="bce", pretrain_epochs=1, **SMALL)
    with pytest.raises(ValueError, match=message):
        predictor.fit(X, LABELS)
    with pytest.raises(ValueError, match=message):
        predictor.fit(U, LABELS, X_unlabelled=X)
    assert len(predictor.fit(U, LABELS).predict(X)) == len(X)  # new rows are no targets
    predictor.set_params(pretrain=False).fit(X, LABELS)  # there is nothing to give back


@pytest.mark.parametrize("scaling", ["robust", "gaussian", "standard"])
@pytest.mark.parametrize(
    "autoencoder", [make(loss="bce"), make(output_activation="tanh"), vae()], ids=repr
)
def test_a_detectors_own_scaling_is_to_blame_and_not_the_data(autoencoder, scaling):
    with pytest.raises(ValueError, match="expected values in") as caught:
        nanoae.AnomalyDetector(autoencoder, scaling=scaling).fit(U)
    told = str(caught.value)
    assert told.startswith("AnomalyDetector: ") and f" after scaling='{scaling}'" in told
    assert 'Use scaling="none"' in told and "Scale the data" not in told
    detector = nanoae.AnomalyDetector(autoencoder, scores="reconstruction", scaling="none").fit(U)
    assert np.isfinite(detector.score_samples(X)).all()  # the abnormal may lie beyond
    with pytest.raises(ValueError, match=r"expected values in .* Scale the data"):
        nanoae.AnomalyDetector(autoencoder, scaling="none").fit(X)


@pytest.mark.parametrize(
    ("model", "words", "remedy"),
    [
        (own(nanoae.Sigmoid(), loss="bce"), 'loss="bce"', 'use loss="mse"'),
        (own(nanoae.Sigmoid(), nanoae.Dropout(0.1), loss=BCE("sum")), 'loss="bce"', 'use loss="mse"'),
        (own(nanoae.Reshape((3, 2)), TimeDistributed(nanoae.Sigmoid()), nanoae.Flatten(), loss="bce"), "bce", "mse"),
        (own(nanoae.Sigmoid(), loss="bce", missing="mask"), 'loss="bce"', 'use loss="mse"'),
        (own(nanoae.Sigmoid(), loss=nanoae.Masked("bce")), "Masked", "encode"),
        (vae(decoder=[nanoae.Linear(6), nanoae.Sigmoid()]), 'likelihood="bernoulli"', 'likelihood="gaussian"'),
        (
            nanoae.ConvAutoencoder(2, decoder=[nanoae.Linear(784), nanoae.Sigmoid(), nanoae.Reshape((1, 28, 28))],
                                   loss="bce", output_activation="identity", **SMALL),
            'loss="bce"', 'use loss="mse"',
        ),
    ],
    ids=repr,
)  # fmt: skip
def test_a_sigmoid_before_the_one_of_the_loss_is_refused(model, words, remedy):
    shape = (1, 28, 28) if isinstance(model, nanoae.ConvAutoencoder) else (6,)
    message = f"expected a decoder that ends in logits with .*{words}.* Remove the last Sigmoid.*, or .*{remedy}"
    X = np.random.default_rng(0).random((10, *shape)).astype(np.float32)
    with pytest.raises(ValueError, match=message):
        model.fit(X)
    with pytest.raises(ValueError, match=message):
        model.build(shape)


# ------------------------------------------------------------------------------ what the ends are


@pytest.mark.parametrize(
    "cls", [cls for cls in EXAMPLES if cls is not TeacherForcing], ids=lambda cls: cls.__name__
)
def test_no_layer_gives_more_than_it_says(cls, rng):
    net = nanoae.Sequential(EXAMPLES[cls]()).build(5, dtype="float64", random_state=0)
    x = rng.standard_normal((50, 5))
    y = np.array([net.forward(scale * x).copy() for scale in (1.0, 1e3, 1e12)])
    low, high = output_range(net)
    assert y.min() >= low and y.max() <= high
    if issubclass(cls, nanoae.Elementwise):  # and it gives all of that
        assert y.min() < max(low, -1) + 1e-4 and y.max() > min(high, 1) - 1e-9


@pytest.mark.parametrize(
    ("layers", "ends"),
    [
        ([nanoae.ReLU(), nanoae.Sigmoid()], (0.5, 1)),
        ([nanoae.Sigmoid(), nanoae.ReLU()], (0, 1)),
        ([nanoae.Sigmoid(), nanoae.Tanh()], (0, np.tanh(1))),
        ([nanoae.Tanh(), nanoae.LeakyReLU(0.1)], (-0.1, 1)),
        ([nanoae.Tanh(), nanoae.SiLU()], (-0.278465, 1 / (1 + np.exp(-1)))),
        ([nanoae.GELU()], (-0.170041, np.inf)),
        ([nanoae.ELU(2), nanoae.Softplus()], (np.log1p(np.exp(-2)), np.inf)),
        ([nanoae.Sigmoid(), nanoae.TopK(3)], (0, 1)),
        ([nanoae.Sigmoid(), nanoae.Linear(6), nanoae.Tanh()], (-1, 1)),
        ([nanoae.Reshape((2, 3)), TimeDistributed(nanoae.ReLU()), TimeDistributed(nanoae.Tanh()), nanoae.Flatten()],
         (0, 1)),
    ],
    ids=repr,
)  # fmt: skip
def test_ends_of_one_layer_are_the_next_ones_input(layers, ends):
    low, high = ends
    with pytest.raises(ValueError, match=r"expected values in .* where the output's "):
        own(*layers).fit((low - 0.02) * np.ones_like(U))
    if np.isfinite(high):
        with pytest.raises(ValueError, match=r"expected values in .* where the output's "):
            own(*layers).fit((high + 0.02) * np.ones_like(U))
    own(*layers).fit(U * (min(high, 9) - low) + low)


@pytest.mark.parametrize("cls", everything(Loss), ids=lambda cls: cls.__name__)
def test_no_loss_means_more_than_it_says(cls, rng):
    args = {nanoae.Mixed: ((1, 1, 3, 2),), nanoae.Masked: ("bce",)}.get(cls, ())
    loss = cls(*args).build(nanoae.get_ops("numpy"), "float64")
    for low, high in ((-1.0, 0.5), (0.0, 3.0), (-800.0, 800.0)):
        y = rng.uniform(low, high, (500, 7))
        y[:3] = [[low] * 7, [high] * 7, [low, low, high, low, low, high, low]]
        if cls is nanoae.SoftmaxCrossEntropy:
            continue  # of classes, which are no reconstructions
        meant = loss.predict(y, out=np.empty_like(y))
        least, most = predicted_range(loss, low, high)
        assert (meant >= least - 1e-12).all() and (meant <= most + 1e-12).all()
        np.testing.assert_allclose(
            meant[:3].max(axis=0)[2], np.broadcast_to(most, 7)[2], atol=1e-12
        )
    assert np.shape(predicted_range(loss, -INFINITE, INFINITE)[0]) in ((), (7,))


# ------------------------------------------------------------------------------ on the command line


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (
            ("--output-activation", "sigmoid"),
            "expected values in [0, 1] where the output's Sigmoid() ends, got [",
        ),
        (
            ("--output-activation", "tanh"),
            "expected values in [-1, 1] where the output's Tanh() ends, got [",
        ),
        (("--loss", "bce"), 'expected values in [0, 1] with loss="bce", got ['),
        (
            ("--stacked", "4,2", "--output-activation", "relu"),
            "StackedAutoencoder: expected values in [0, inf] where",
        ),
    ],
)
def test_the_command_says_so_and_writes_nothing(argv, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("table.npy", X)
    assert main(["train", "--data", "table.npy", "--epochs", "1", *argv]) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1 and not list(tmp_path.rglob("model.npz"))


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nanoae.ConvAutoencoder(2, hidden=(2, 2, 2), epochs=1, random_state=0), (40, 1, 8, 8)),
        (nanoae.Autoencoder(2, (4,), loss="bce", epochs=1, random_state=0), (40, 64)),
    ],
)
def test_pixels_that_nobody_scaled_are_refused_by_a_model_of_scaled_ones(model, shape):
    """A float may lie outside, as noise makes it; pixels from 0 to 255 have another unit."""
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    model.fit(pixels / 255)
    for use in (model.transform, model.reconstruct, model.score):
        with pytest.raises(
            ValueError, match=r"the scale of the training data, .*, got uint8 from 0 to 255"
        ):
            use(pixels)
        with (
            pytest.warns(UserWarning, match="the scale of the training data"),
            pytest.raises(ValueError),
        ):
            model.score(pixels.astype(np.int64))
    assert model.reconstruct(pixels / 255 + 0.5).shape == shape
    assert model.transform((pixels > 99).astype(np.uint8)).shape == (40, 2)


PIXELS = np.random.default_rng(0).integers(0, 256, (40, 16)).astype(np.uint8)
DEEP = PIXELS.astype(np.uint16) * 257
ON_ANY_SCALE = {
    "autoencoder": lambda: make(),
    "classifier": lambda: nanoae.StackedClassifier((3,), pretrain_epochs=1, **SMALL),
    "PCA": lambda: nanoae.PCA(2),
    "detector": lambda: nanoae.AnomalyDetector(make(), random_state=0),
}


@pytest.mark.parametrize("kind", ON_ANY_SCALE)
@pytest.mark.parametrize(
    ("seen", "rows", "told"),
    [
        (PIXELS / 255, PIXELS, r"numbers from 0 to 1, got uint8 .*\(images: X / 255\)"),
        (PIXELS / 127.5 - 1, DEEP, r"from -1 to 1, got uint16 .*\(images: X / 32767.5 - 1\)"),
        (PIXELS, PIXELS / 255, "uint8 from 0 to 255, got float64 from 0 to 1"),
        (PIXELS, DEEP, "uint8 from 0 to 255, got uint16 from 0 to 65535"),
        (DEEP, PIXELS, "uint16 from 0 to 65535, got uint8 from 0 to 255"),
    ],
)  # fmt: skip
def test_rows_on_another_scale_than_those_of_fit_are_told(kind, seen, rows, told, tmp_path):
    """Of the type of images it is an error, of others, which may be counts, a warning."""
    model = ON_ANY_SCALE[kind]()
    model.fit(seen, *([LABELS] if kind == "classifier" else []))
    model.save(tmp_path / "m.npz")
    for each in (model, nanoae.load(tmp_path / "m.npz")):
        use = getattr(each, "predict", each.transform)
        with pytest.raises(ValueError, match=told):
            use(rows)
        use(seen.astype(np.float64))
    if rows is PIXELS and seen is not DEEP:
        for same in (PIXELS.astype(np.float32), PIXELS.tolist()):
            with pytest.warns(UserWarning, match="on the scale of the training data"):
                use(same)


@pytest.mark.filterwarnings("error")
def test_columns_of_a_table_are_no_pixels_whatever_their_type():
    """pandas makes uint8 of columns below 256 where it is told to save memory."""
    pandas = pytest.importorskip("pandas")
    counts = pandas.DataFrame(PIXELS[:, :3], columns=["a", "b", "c"])
    more = counts.astype(np.uint16) + 100
    for seen, rows in ((counts, more), (more, counts)):
        nanoae.PCA(2).fit(seen).transform(rows)
    with pytest.warns(UserWarning, match="on the scale of the training data"):
        nanoae.PCA(2).fit(counts / 255).transform(counts)
