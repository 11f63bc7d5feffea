"""Does a row of weight w count w times, whatever is learned or judged, and in whatever way?"""

import numpy as np
import pytest

import nanoae
from nanoae import (
    PCA,
    AnomalyDetector,
    Autoencoder,
    ConvAutoencoder,
    GaussianNoise,
    L1Sparsity,
    StackedAutoencoder,
    StackedClassifier,
    StackedRegressor,
    TextVAE,
    VariationalAutoencoder,
)
from nanoae.training.order import drawn

rng = np.random.default_rng(0)
X = rng.random((24, 6)).astype(np.float32)
GAPS = np.where(rng.random(X.shape) < 0.2, np.nan, X).astype(np.float32)
ONE_HOT = np.column_stack(
    [X[:, :2], X[:, 2] > 0.5, X[:, 2] <= 0.5, X[:, 3] > 0.5, X[:, 3] <= 0.5]
).astype(np.float32)
IMAGES = rng.random((24, 1, 4, 4)).astype(np.float32)
LINES = [" ".join(rng.choice(["a", "b", "c"], 3)) for _ in X]
Y = np.arange(24) % 3
Z = X[:, 0] - 2.0 * X[:, 1]
W = rng.integers(0, 4, 24)  # 0, 1, 2 and 3 times

SHORT = {"epochs": 3, "backend": "numpy", "random_state": 0}
DEEP = {"sizes": (5, 3), "pretrain_epochs": 2, **SHORT}
CONV = {
    "encoder": [nanoae.Conv2d(2, 3), nanoae.BatchNorm()],
    "decoder": [nanoae.ConvTranspose2d(1, 3)],
}
MODELS = {  # what there is to learn from a set with copies, and with what
    "autoencoder": (lambda **more: Autoencoder(2, (4,), **SHORT | more), (X,)),
    "bce": (lambda **more: Autoencoder(2, (4,), loss="bce", **SHORT | more), (X,)),
    "l1": (lambda **more: Autoencoder(2, (4,), loss="l1", **SHORT | more), (X,)),
    "huber": (lambda **more: Autoencoder(2, (4,), loss=nanoae.Huber(0.1), **SHORT | more), (X,)),
    "sum": (lambda **more: Autoencoder(2, (4,), loss=nanoae.MSE("sum"), **SHORT | more), (X,)),
    "gaps": (lambda **more: Autoencoder(2, (4,), missing="mask", **SHORT | more), (GAPS,)),
    "gaps, batch": (lambda **more: Autoencoder(2, (4,), loss=nanoae.MSE("batch"), missing="mask", **SHORT | more),
                    (GAPS,)),
    "mixed": (lambda **more: Autoencoder(2, (4,), loss=nanoae.Mixed((1, 1, 2, 2)), missing="mask", **SHORT | more),
              (ONE_HOT,)),
    "stacked": (lambda **more: StackedAutoencoder(**DEEP | more), (X,)),
    "classifier": (lambda **more: StackedClassifier(**DEEP | more), (X, Y)),
    "regressor": (lambda **more: StackedRegressor(**DEEP | more), (X, Z)),
}  # fmt: skip
BESIDE_THE_LOSS = {  # a row counts elsewhere, too, or at random
    "noise": (lambda **more: Autoencoder(2, (4,), corruption=GaussianNoise(0.3), **SHORT | more), (X,)),
    "penalty": (lambda **more: Autoencoder(2, (4,), penalty=L1Sparsity(0.1), **SHORT | more), (X,)),
    "batch norm": (lambda **more: ConvAutoencoder(**CONV, output_activation="identity", **SHORT | more), (IMAGES,)),
    "variational": (lambda **more: VariationalAutoencoder(2, (4,), **SHORT | more), (X,)),
    "k-fac": (lambda **more: Autoencoder(2, (4,), optimizer=nanoae.KFAC(), **SHORT | more), (X,)),
}  # fmt: skip


def theta(model):
    return model.network_.theta


def repeated(tables, times=W):
    return [np.repeat(table, times, axis=0) for table in tables]


# ---------------------------------------------------------------- copies


@pytest.mark.parametrize("name", MODELS | BESIDE_THE_LOSS)
def test_whole_weights_are_copies(name):
    """To the bit, in whatever order the rows come, noise and held-out rows included."""
    make, tables = (MODELS | BESIDE_THE_LOSS)[name]
    order = rng.permutation(24)
    copies = make(validation_fraction=0.2, batch_size=9).fit(*repeated(tables))
    weighed = make(validation_fraction=0.2, batch_size=9).fit(
        *(table[order] for table in tables), sample_weight=W[order]
    )
    assert (theta(weighed) == theta(copies)).all()
    assert weighed.history_["loss"] == copies.history_["loss"]
    assert weighed.history_["val_loss"] == copies.history_["val_loss"]


def test_whole_weights_are_copies_of_lines():
    make = {"code_size": 2, "state_size": 4, "embedding_size": 3, **SHORT}
    copies, weighed = (
        TextVAE(**make).fit(repeated([LINES])[0].tolist()),
        TextVAE(**make).fit(LINES, sample_weight=W),
    )
    assert (theta(weighed) == theta(copies)).all()
    told = weighed.evaluate(LINES, sample_weight=W)
    assert told == pytest.approx(copies.evaluate(repeated([LINES])[0].tolist()), rel=1e-6)
    assert weighed.score(LINES, sample_weight=W) == pytest.approx(told["elbo"], rel=1e-6)


@pytest.mark.parametrize("first", [True, False])
def test_partial_fit_counts_likewise(first):
    models = [Autoencoder(2, (4,), missing="mask", dtype="float64", **SHORT) for _ in range(3)]
    if not first:
        # whose batches are larger than 50 rows
        models = [model.fit(np.vstack([GAPS] * 3)) for model in models]
    copies, weighed, shared = models
    copies.partial_fit(*repeated([GAPS])).partial_fit(GAPS)
    weighed.partial_fit(GAPS, sample_weight=W).partial_fit(GAPS)
    shared.partial_fit(GAPS, sample_weight=W / 7).partial_fit(GAPS)  # the second time all alike
    assert (theta(copies) == theta(weighed)).all()
    np.testing.assert_allclose(theta(shared), theta(copies), rtol=1e-9)
    center = shared.network_.layers[0].state["center"]
    np.testing.assert_allclose(
        center, np.nanmean(GAPS if not first else repeated([GAPS])[0], axis=0), rtol=1e-6
    )


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize("name", MODELS)
def test_other_weights_make_a_weighted_mean(name):
    """In one batch nothing is left to chance: halves and thirds of copies are what the copies are."""
    make, tables = MODELS[name]
    if name == "sum":  # which is no mean: nothing is divided by the weights'
        still = make(dtype="float64", epochs=1, learning_rate=0.0).fit(X, sample_weight=W + 0.5)
        assert still.history_["loss"][0] == pytest.approx(
            (W + 0.5) @ ((still.reconstruct(X) - X) ** 2).sum(axis=1)
        )
        return
    copies = make(dtype="float64").fit(*repeated(tables))
    for scale in (0.5, 1 / 3, 1000.5):
        weighed = make(dtype="float64").fit(*tables, sample_weight=W * scale)
        np.testing.assert_allclose(theta(weighed), theta(copies), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(weighed.history_["loss"], copies.history_["loss"], rtol=1e-9)
    same = make(dtype="float64").fit(*tables, sample_weight=np.full(24, 0.3))
    np.testing.assert_allclose(theta(same), theta(make(dtype="float64").fit(*tables)), rtol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 5, 24])
@pytest.mark.parametrize("name", ["autoencoder", "bce", "classifier", "regressor"])
def test_batches_are_shares_of_the_weighted_mean(name, batch_size):
    """The mean over an epoch in which nothing moves is the weighted mean, however many rows a batch has."""
    make, tables = MODELS[name]
    still = {"batch_size": batch_size, "epochs": 1, "learning_rate": 0.0, "dtype": "float64"}
    model = make(**still).fit(*tables, sample_weight=W + 0.25)
    told = make(**still).fit(
        *tables, sample_weight=W + 0.25, validation_data=tables if len(tables) > 1 else X
    )
    loss = model.evaluate(*tables, sample_weight=W + 0.25)["loss"]
    if name == "regressor":
        mean = np.average(Z, weights=W + 0.25)
        loss /= np.average((Z - mean) ** 2, weights=W + 0.25)
    assert model.history_["loss"] == told.history_["loss"] == [pytest.approx(loss, rel=1e-6)]


def test_what_is_held_out_counts_by_its_weight():
    make = {"batch_size": 5, "validation_fraction": 0.5, "dtype": "float64", "learning_rate": 0.0}
    weights = W + 0.25
    for model in (
        Autoencoder(2, (4,), **SHORT | make),
        VariationalAutoencoder(2, (4,), **SHORT | make),
    ):
        model.fit(X, sample_weight=weights)
        held = model._hold_out(24)[1]
        loss = model.evaluate(X[held], sample_weight=weights[held])["loss"]
        assert model.history_["val_loss"][0] == pytest.approx(loss, rel=1e-9)


def test_rows_are_drawn_as_often_as_their_weights_say():
    weights, order = np.array([0.1, 1.0, 2.5, 0.4, 7.0, 1e-9]), np.random.default_rng(0)
    expected = 6 * weights / weights.sum()
    counts = np.array([np.bincount(drawn(weights, order, 6), minlength=6) for _ in range(4000)])
    assert (counts.sum(axis=1) == 6).all()
    assert (counts >= np.floor(expected)).all() and (counts <= np.ceil(expected)).all()
    np.testing.assert_allclose(counts.mean(axis=0), expected, atol=0.03)


@pytest.mark.parametrize("name", BESIDE_THE_LOSS)
def test_what_counts_beside_the_loss_is_weighed_too(name):
    """A heavy row among light ones is learned as if it were alone, with penalty, KL, statistics and all."""
    make, tables = BESIDE_THE_LOSS[name]
    weights = np.where(np.arange(24) == 3, 1e6, 0.5)
    settings = {"batch_size": 8, "epochs": 2}
    if name == "noise":  # which is no row's business: a weighted mean
        model = make(**settings, learning_rate=0.0).fit(*tables, sample_weight=weights)
        assert model.history_["loss"][0] == pytest.approx(model.evaluate(X[3:4])["loss"], rel=0.5)
        return
    alone = make(**settings).fit(*(table[[3] * 24] for table in tables))
    weighed = make(**settings).fit(*tables, sample_weight=weights)
    if name == "variational":  # noise is drawn for each row
        assert weighed.history_["loss"] == pytest.approx(alone.history_["loss"], rel=1e-6)
    np.testing.assert_allclose(theta(weighed), theta(alone), atol=1e-6)


# whoever looks for fill values does not know the weights
@pytest.mark.filterwarnings("default:.* holds 10000 in:UserWarning")
def test_a_row_of_weight_0_is_not_there():
    """Not for classes, means of gaps, what is held out, or what cannot be a label."""
    bad = np.vstack([X, np.full((2, 6), 1e4, np.float32)])
    y, weights = np.append(Y.astype(object), ["other", None]), np.append(np.ones(24), [0, 0])
    for settings in ({"validation_fraction": 0.3}, {"batch_size": 5}):
        model = StackedClassifier(**DEEP, **settings).fit(bad, y, sample_weight=weights)
        other = StackedClassifier(**DEEP, **settings).fit(X, Y)
        assert model.classes_.tolist() == [0, 1, 2] and (theta(model) == theta(other)).all()
        assert model.score(bad, y, sample_weight=weights) == model.score(X, Y)
    model = VariationalAutoencoder(2, (4,), likelihood="gaussian", **SHORT).fit(
        bad, condition=y, sample_weight=weights
    )
    assert model.classes_.tolist() == [0, 1, 2]
    assert (PCA(2).fit(bad, sample_weight=weights).mean_ == PCA(2).fit(X).mean_).all()
    model = Autoencoder(2, (4,), missing="mask", **SHORT).fit(
        np.vstack([GAPS, bad[-2:]]), sample_weight=weights
    )
    np.testing.assert_allclose(
        model.network_.layers[0].state["center"], np.nanmean(GAPS, axis=0), rtol=1e-6
    )


# ---------------------------------------------------------------- judging


@pytest.mark.parametrize("name", MODELS | {"variational": None, "PCA": None})
def test_scores_count_copies(name):
    extra = {"variational": BESIDE_THE_LOSS["variational"], "PCA": (lambda **_: PCA(2), (X,))}
    make, tables = (MODELS | extra)[name]
    model = make(batch_size=12).fit(*tables)
    copies, told = model.evaluate(*repeated(tables)), model.evaluate(*tables, sample_weight=W)
    if name == "sum":  # of a batch of 12 rows, on average, not of 12 copies
        copies["loss"] = 12 * (W @ ((model.reconstruct(X) - X) ** 2).sum(axis=1)) / (W > 0).sum()
    assert told == pytest.approx(copies, rel=1e-5)
    if name != "sum":
        assert model.score(*tables, sample_weight=W / 3) == pytest.approx(
            model.score(*repeated(tables)), rel=1e-5
        )


def test_weighted_pca():
    for rows in (X, X[:5]):  # more rows than columns, and fewer
        times = 99 * W[: len(rows)] + 1  # more copies than are made of a table
        copies, weighed = (
            PCA(3).fit(np.repeat(rows, times, axis=0)),
            PCA(3).fit(rows, sample_weight=times),
        )
        for name in ("mean_", "components_", "explained_variance_", "explained_variance_ratio_"):
            np.testing.assert_allclose(
                getattr(weighed, name), getattr(copies, name), rtol=1e-8, atol=1e-12
            )
    half, plain = PCA(2).fit(X, sample_weight=np.full(24, 0.5)), PCA(2).fit(X)
    np.testing.assert_allclose(half.explained_variance_, plain.explained_variance_)


# ---------------------------------------------------------------- detectors

DETECTOR = {
    "autoencoder": Autoencoder(2, (4,), **SHORT),
    "scores": ("codes", "reconstruction"),
    "random_state": 0,
}


@pytest.mark.filterwarnings("ignore:AnomalyDetector. 56% of the 50 training rows are copies")
def test_a_detector_counts_copies():
    """In thresholds, too; and every row that was given has its score, in its place."""
    order, far = rng.permutation(24), np.full((1, 6), 50.0)
    copies = AnomalyDetector(**DETECTOR).fit(*repeated([X]))
    weighed = AnomalyDetector(**DETECTOR).fit(
        np.vstack([X[order], far]), sample_weight=np.append(W[order], 0)
    )
    assert (
        weighed.score_samples(X) == copies.score_samples(X)
    ).all() and weighed.offset_ == copies.offset_
    assert (weighed.p_values(X) == copies.p_values(X)).all()
    assert (weighed.decision_scores_ == -weighed.score_samples(np.vstack([X[order], far]))).all()
    assert len(weighed.labels_) == 25 and weighed.labels_[-1] == 1
    whole = AnomalyDetector(**DETECTOR).fit(X, sample_weight=np.ones(24))
    assert (whole.decision_scores_ == AnomalyDetector(**DETECTOR).fit(X).decision_scores_).all()


@pytest.mark.filterwarnings("ignore:AnomalyDetector. 56% of the 50 training rows are copies")
def test_a_detector_of_tables_counts_copies():
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"a": X[:, 0], "b": np.where(X[:, 1] > 0.5, "yes", "no")})
    bad = pd.concat([table, pd.DataFrame({"a": [99.0], "b": ["what"]})])
    copies = AnomalyDetector(**DETECTOR).fit(table.loc[np.repeat(table.index, W)])
    weighed = AnomalyDetector(**DETECTOR).fit(bad, sample_weight=np.append(W, 0))
    assert weighed.encoder_.categories_ == [None, ["no", "yes"]]
    assert (weighed.score_samples(table) == copies.score_samples(table)).all()
    assert weighed.labels_[-1] == 1


def test_a_detector_counts_whole_rows_only():
    with pytest.raises(
        ValueError,
        match=r"AnomalyDetector: expected sample_weight of whole numbers, .* got [01]\.5\.",
    ):
        AnomalyDetector(**DETECTOR).fit(X, sample_weight=W / 2)
    with pytest.raises(
        ValueError, match=r"expected sample_weight with a sum of at most 67108864, got 2\.4e\+10"
    ):
        AnomalyDetector(**DETECTOR).fit(X, sample_weight=np.full(24, 1e9))


# ---------------------------------------------------------------- classes


@pytest.mark.filterwarnings("ignore:.*labels are -1")
def test_class_weights_are_weights_of_rows():
    some = np.where(np.arange(24) % 5 == 0, -1, np.minimum(Y, 1))
    count = np.bincount(some[some >= 0])
    settings = {**DEEP, "pretrain": False, "dtype": "float64"}
    for class_weight, weights in {
        "balanced": (some >= 0).sum() / (2 * count),
        None: np.array([1.0, 1.0]),
        "given": np.array([1.0, 2.5]),
    }.items():
        given = {1: 2.5} if class_weight == "given" else class_weight
        model = StackedClassifier(class_weight=given, **settings).fit(X, some)
        other = StackedClassifier(**settings).fit(X, some, sample_weight=weights[some])
        np.testing.assert_allclose(theta(model), theta(other), rtol=1e-8)
    balanced = StackedClassifier(class_weight="balanced", **settings).fit(X, some, sample_weight=W)
    copies = StackedClassifier(class_weight="balanced", **settings).fit(*repeated([X, some]))
    assert (theta(balanced) == theta(copies)).all()
    assert nanoae.StackedRegressor.__init__.__kwdefaults__.keys() & {"class_weight"} == set()


@pytest.mark.parametrize(
    "class_weight", ["balanced", {"b": 2.5, "a": np.float32(0.5)}, {np.int64(1): 3}]
)
def test_class_weights_are_kept_in_the_file(tmp_path, class_weight):
    y = Y if class_weight == {1: 3} else np.array(["a", "b", "c"])[Y]
    model = StackedClassifier(**DEEP, class_weight=class_weight).fit(X, y)
    model.save(tmp_path / "model.npz")
    again = nanoae.load(tmp_path / "model.npz")
    assert again.class_weight == class_weight and (theta(again.fit(X, y)) == theta(model)).all()


def test_a_rare_class_is_found_with_balanced_weights():
    X = rng.normal(size=(300, 2))
    y = np.where(rng.random(300) < 0.06, "rare", "usual")
    X[y == "rare", 0] += 1.5
    found = {}
    for class_weight in (None, "balanced"):
        settings = {
            "pretrain": False,
            "epochs": 60,
            "learning_rate": 0.02,
            "random_state": 0,
            "batch_size": 64,
        }
        model = StackedClassifier((8,), class_weight=class_weight, **settings).fit(X, y)
        found[class_weight] = np.mean(model.predict(X[y == "rare"]) == "rare")
    assert found["balanced"] > 0.7 and found[None] < 0.5


# ---------------------------------------------------------------- other ways to learn


def test_on_every_backend(ops):
    """Captured steps, too: on the GPU, and on its stand-in."""
    for name in ("bce", "gaps", "classifier"):
        make, tables = MODELS[name]
        settings = {"batch_size": 6, "epochs": 4, "dtype": "float64"}
        plain = make(**settings).fit(*tables, sample_weight=W + 0.25)
        model = make(**settings | {"backend": ops}).fit(*tables, sample_weight=W + 0.25)
        np.testing.assert_allclose(
            ops.to_numpy(model.network_.theta), theta(plain), rtol=1e-6, atol=1e-9
        )
        assert ops.name == "numpy" or 6 in model._trainer.runner.repeated.recordings


# ---------------------------------------------------------------- what is no weight


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            np.ones(23),
            r"expected sample_weight of shape \(24,\), a weight for each row, got \(23,\)",
        ),
        (
            np.ones((24, 1)),
            r"expected sample_weight of shape \(24,\), a weight for each row, got \(24, 1\)",
        ),
        (np.zeros(24), "expected sample_weight above zero for at least 2 rows, got 0"),
        (np.arange(24) == 5, "expected sample_weight above zero for at least 2 rows, got 1"),
        (
            np.where(np.arange(24) == 5, -1, 1),
            "expected sample_weight >= 0 and finite, got -1.0 in row 5",
        ),
        (
            np.where(np.arange(24) == 5, np.nan, 1),
            "expected sample_weight >= 0 and finite, got nan in row 5",
        ),
        (
            np.ma.MaskedArray(np.ones(24), np.arange(24) == 5),
            "expected sample_weight >= 0 and finite, got nan in row",
        ),
        (["a"] * 24, r"expected sample_weight, a number for each row, got \['a', 'a'"),
    ],
)
def test_what_is_no_weight_is_told(weights, message):
    for model in (PCA(2), Autoencoder(2, **SHORT), VariationalAutoencoder(2, (4,), **SHORT)):
        with pytest.raises(ValueError, match=f"{type(model).__name__}: {message}"):
            model.fit(X, sample_weight=weights)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ("balance", """expected class_weight=None, "balanced" or {class: weight}, got 'balance'"""),
        ({7: 1.0}, r"expected class_weight for classes from \[0, 1, 2\], got one for 7"),
        ({0: -1.0}, r"expected class_weight\[0\] to be a number >= 0, got -1.0"),
        ({0: 0, 1: 0, 2: 0}, "expected class_weight > 0 for at least one class"),
    ],
)
def test_what_is_no_class_weight_is_told(class_weight, message):
    with pytest.raises(ValueError, match=f"StackedClassifier: {message}"):
        StackedClassifier(**DEEP, class_weight=class_weight).fit(X, Y)


def test_a_loss_that_has_no_rows_is_no_weighted_one():
    with pytest.raises(ValueError, match="Weighted: expected a loss that is a sum over rows"):
        nanoae.Weighted(nanoae.SoftmaxCrossEntropy(ignore=0))


def test_a_loss_of_ones_own_says_what_its_elements_cost():
    """Also where it is a kind of one that is known."""

    class Cubed(nanoae.MSE):
        def elements(self, y, t):
            return abs(y - t) ** 3

    class Unsaid(nanoae.engine.losses.Loss):
        pass

    loss = nanoae.Weighted(Cubed("sum")).build(nanoae.get_ops("numpy"), "float64")
    y = np.array([[1.0, 2.0], [3.0, 4.0]])
    targets = np.array([[0.0, 0.0, 10.0], [0.0, 0.0, 1.0]])  # and weights
    assert loss.forward(y, targets) == 10 * (1 + 8) + 27 + 64
    with pytest.raises(ValueError, match="a loss that is a sum over rows"):
        nanoae.Weighted(Unsaid())


@pytest.mark.parametrize(
    "model", [Autoencoder(2, (4,), **SHORT), nanoae.PCA(2)], ids=["autoencoder", "pca"]
)
def test_weights_whose_sum_is_no_number_are_refused(model):
    with pytest.raises(
        ValueError,
        match=r"expected sample_weight with a finite sum, got weights up to 1.*e\+308",
    ):
        model.fit(X, sample_weight=np.linspace(1e307, 1e308, len(X)))
    same = model.fit(X, sample_weight=np.full(len(X), 1e300)).transform(X)
    np.testing.assert_allclose(same, model.fit(X).transform(X), atol=1e-5)
