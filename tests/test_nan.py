"""Is a reconstruction, a score or an output that is no number ever taken for a good one?"""

import numpy as np
import pytest

import nanoae
from nanoae.cli import main
from nanoae.pyod import AutoEncoder

X, NEW = nanoae.load_data("digits").flat()
Y = nanoae.load_data("digits").y_train
FAR = NEW[:20].copy()
FAR[3] = 3e38  # finite, but a network in float32 makes infinities and NaN of it
SMALL = {"epochs": 1, "random_state": 0}

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize("missing", ["error", "mask"])
def test_a_reconstruction_that_is_no_number_is_no_error_of_zero(missing):
    ae = nanoae.Autoencoder(4, (16,), missing=missing, **SMALL).fit(X)
    rows, columns = (ae.reconstruction_error(FAR, per=per) for per in ("row", "feature"))
    assert np.isnan(rows[3]) and np.isfinite(np.delete(rows, 3)).all() and np.isnan(columns).all()
    assert np.isnan(ae.reconstruction_error(FAR, per="element")[3]).all()
    assert np.isnan([ae.evaluate(FAR)["mse"], ae.score(FAR)]).all()


def test_gaps_stay_gaps():
    ae = nanoae.Autoencoder(4, (16,), missing="mask", **SMALL).fit(X)
    rows = FAR.copy()
    rows[5, :10] = np.nan
    rows[6] = np.nan
    again = ae.reconstruct(rows)
    error = ae.reconstruction_error(rows)
    np.testing.assert_allclose(error[5], ((rows[5, 10:] - again[5, 10:]) ** 2).mean(), rtol=1e-5)
    assert error[6] == 0 and np.isnan(error[3])  # of a row without any value nothing can be wrong


def test_weights_that_are_no_numbers():
    ae = nanoae.Autoencoder(4, (16,), **SMALL).fit(X)
    ae.network_.theta[5] = np.nan
    assert np.isnan(ae.reconstruction_error(NEW)).all() and np.isnan(ae.score(NEW))
    assert np.isnan(list(ae.evaluate(NEW).values())).all()


@pytest.mark.parametrize(
    "scores",
    ["codes", "reconstruction", "standardised", "mahalanobis", "tails", ["codes", "tails"]],
)
def test_a_detector_whose_weights_are_no_numbers_calls_nothing_normal(scores):
    inner = nanoae.Autoencoder(4, (16,), epochs=1)
    detector = nanoae.AnomalyDetector(inner, scores=scores, random_state=0).fit(X[:200])
    for member in detector.members_:
        member.model.network_.theta[5] = np.nan
    assert (
        np.isnan(detector.score_samples(NEW[:9])).all() and (detector.predict(NEW[:9]) == -1).all()
    )
    assert (detector.p_values(NEW[:9]) < 0.01).all()
    for explain in (detector.explain, detector.explanation):  # and no row is blamed for it
        with pytest.raises(ValueError, match="Autoencoder: expected finite weights, got NaN"):
            explain(NEW[:9])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    "kind", [nanoae.Autoencoder, nanoae.AnomalyDetector, nanoae.StackedClassifier]
)
def test_such_weights_are_not_saved_and_no_file_with_them_is_opened(tmp_path, kind, bad):
    inner = nanoae.Autoencoder(4, (16,), epochs=1)
    settings = {
        nanoae.Autoencoder: {"epochs": 1},
        nanoae.AnomalyDetector: {"autoencoder": nanoae.Autoencoder(4, (16,), epochs=1)},
        nanoae.StackedClassifier: {"sizes": (8,), "pretrain_epochs": 1, "epochs": 1},
    }
    model = kind(**settings[kind]).fit(
        X[:200], *([Y[:200]] if kind is nanoae.StackedClassifier else [])
    )
    inner = model.members_[0].model if kind is nanoae.AnomalyDetector else model
    model.save(tmp_path / "m.npz")
    inner.network_.theta[5] = bad
    for write, name in (
        (model.save, "m.npz"),
        (model.export, "m.onnx"),
        (model.export, "new.safetensors"),
    ):
        with pytest.raises(
            ValueError, match=r"expected finite weights, got NaN or infinity.*Fit it again"
        ):
            write(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["m.npz"]
    nanoae.load(tmp_path / "m.npz")  # the old one is whole
    with np.load(tmp_path / "m.npz") as file:
        arrays = dict(file)
    arrays["0.state0" if kind is nanoae.AnomalyDetector else "state0"][5] = bad
    np.savez(tmp_path / "m.npz", **arrays)
    with pytest.raises(ValueError, match=r"m\.npz: .* to be finite, got NaN or infinity"):
        nanoae.load(tmp_path / "m.npz")


class Undefined(nanoae.Autoencoder):
    """Gives NaN back for one of the rows."""

    def reconstruct(self, X):
        again = super().reconstruct(X)
        again[np.asarray(X).max(axis=1) > 100] = np.nan
        return again

    transform = reconstruct


@pytest.mark.parametrize(
    "scores", ["codes", "reconstruction", "standardised", "mahalanobis", ["codes", "mahalanobis"]]
)
def test_a_row_whose_score_is_no_number_is_abnormal(scores):
    rows = NEW[:20].copy()
    rows[3] = 1e3
    settings = {
        "autoencoder": Undefined(4, (16,), epochs=2),
        "scores": scores,
        "scaling": "none",
        "random_state": 0,
    }
    detector = nanoae.AnomalyDetector(**settings).fit(X[:200])
    assert np.isnan(detector.score_samples(rows)[3]) and detector.predict(rows)[3] == -1
    assert detector.p_values(rows)[3] < 0.01
    assert AutoEncoder(**settings).fit(X[:200]).predict(rows)[3] == 1


@pytest.mark.parametrize("scores", ["codes", ["codes", "reconstruction"]])
def test_nothing_is_learned_of_rows_without_a_score(scores):
    rows = X[:200].copy()
    rows[5] = 1e3
    with pytest.raises(
        ValueError,
        match="expected training rows with finite scores, got NaN or infinity for row 5",
    ):
        nanoae.AnomalyDetector(
            Undefined(4, (16,), epochs=1), scores, scaling="none", random_state=0
        ).fit(rows)


def test_codes_that_are_no_numbers_belong_to_no_normal_cluster():
    detector = (
        nanoae.ClusterLabelDetector(n_clusters=20, random_state=0)
        .fit(X[:300])
        .label([0, 1], [1, 0])
    )
    assert np.isnan(detector.score_samples(FAR)[3]) and detector.predict(FAR)[3] == -1


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_no_label_for_a_row_of_which_the_network_makes_no_number(kind):
    cls = {"classifier": nanoae.StackedClassifier, "regressor": nanoae.StackedRegressor}[kind]
    model = cls((16,), activation="relu", pretrain=False, **SMALL).fit(X, Y)
    for method in (
        model.predict,
        lambda rows: model.evaluate(rows, Y[:20]),
        lambda rows: model.score(rows, Y[:20]),
    ):
        with pytest.raises(ValueError, match="finite outputs of the network, got nan for row 3"):
            method(FAR)


def test_the_command_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    nanoae.Autoencoder(4, (16,), **SMALL).fit(X).save("model.npz")
    np.savez("far.npz", x_train=FAR, x_test=FAR)
    assert main(["evaluate", "model.npz", "--data", "far.npz"]) == 1
    assert (
        "nanoae: error: far.npz: expected rows with a finite loss, got nan"
        in capsys.readouterr().err
    )
