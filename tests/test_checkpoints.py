"""A fit that is stopped goes on from where it was, and ends with exactly the weights that it would have had."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest

import nanoae
from nanoae import Checkpoints, Trainer
from nanoae.training import checkpoint


class Stopped(Exception):
    pass


def stop_after(epochs):
    """A callback that raises after so many epochs of all the trainings together."""
    left = iter(range(epochs - 1))

    def callback(*_):
        if next(left, None) is None:
            raise Stopped

    return callback


def weights(model):
    """All that was learned."""
    if isinstance(model, nanoae.AnomalyDetector):
        return model.to_file()[1]
    return dict(enumerate(model.network_.ops.to_numpy(array) for array in model.network_.state()))


def assert_same(a, b):
    found, wanted = weights(a), weights(b)
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    if hasattr(b, "history_"):
        assert a.history_["loss"] == b.history_["loss"]


def convolutional():
    encoder = [nanoae.Conv2d(4, 3), nanoae.BatchNorm(), nanoae.ReLU(), nanoae.Flatten(), nanoae.Linear(6)]
    return {"encoder": encoder, "decoder": [nanoae.Linear(36), nanoae.Reshape((1, 6, 6))]}


rng = np.random.default_rng(0)
X = rng.random((70, 12), np.float32)
IMAGES = rng.random((40, 1, 6, 6), np.float32)
LABELS = rng.integers(0, 3, 70)
LINES = [f"{a} {b} {a}" for a in ("red", "green", "blue") for b in ("tea", "sea", "fee")] * 4
SMALL = {"epochs": 4, "batch_size": 16, "random_state": 0}
DENSE = {"code_size": 3, "hidden": (8,), **SMALL}
STACKED = {"sizes": (8, 5), "pretrain_epochs": 2, **SMALL}
TEXT = {"code_size": 3, "state_size": 6, "embedding_size": 4, "warm_up": 2, **SMALL}
AE, VAE = nanoae.Autoencoder, nanoae.VariationalAutoencoder
KINDS = {
    "dense": (AE, DENSE, (X,), {}),
    "float64": (AE, {**DENSE, "dtype": "float64", "weight_decay": 1e-3}, (X,), {}),
    "plain": (AE, {**DENSE, "backend": "numpy:plain"}, (X,), {}),
    "schedule": (AE, {**DENSE, "learning_rate": nanoae.WarmUp(nanoae.Cosine(1e-2), 3), "optimizer": "adamw"}, (X,), {}),
    "momentum": (AE, {**DENSE, "optimizer": nanoae.SGD(0.1, 0.9, nesterov=True)}, (X,), {}),
    "denoising": (AE, {**DENSE, "corruption": nanoae.GaussianNoise(0.3)}, (X,), {}),
    "salt": (AE, {**DENSE, "corruption": nanoae.SaltAndPepper(0.3)}, (X,), {}),
    "sparse": (AE, {**DENSE, "code_activation": "sigmoid", "penalty": nanoae.KLSparsity()}, (X,), {}),
    "contractive": (
        AE, {**DENSE, "hidden": (), "code_activation": "sigmoid", "penalty": nanoae.Contractive()}, (X,), {}
    ),
    "k-sparse": (AE, {**DENSE, "bottleneck": nanoae.TopK(2)}, (X,), {}),
    "tied": (AE, {**DENSE, "tied_weights": True}, (X,), {}),
    "early stopping": (AE, {**DENSE, "patience": 1, "validation_fraction": 0.3, "learning_rate": 0.1}, (X,), {}),
    "missing": (AE, {**DENSE, "missing": "mask"}, (np.where(X < 0.1, np.nan, X),), {}),
    "sample weights": (AE, DENSE, (X,), {"sample_weight": rng.random(70)}),
    "rows drawn": (AE, {**DENSE, "penalty": nanoae.L1Sparsity()}, (X,), {"sample_weight": rng.random(70)}),
    "K-FAC": (AE, {**DENSE, "optimizer": nanoae.KFAC(measure_every=2, invert_every=3)}, (X,), {}),
    "adversarial": (AE, {**DENSE, "bottleneck": nanoae.Adversarial(hidden=(5,))}, (X,), {}),
    "variational": (VAE, {**DENSE, "warm_up": 2.5}, (X,), {}),
    "conditional": (VAE, DENSE, (X,), {"condition": LABELS}),
    "convolutional": (AE, {**SMALL, **convolutional()}, (IMAGES,), {}),
    "dropout": (
        nanoae.StackedClassifier, {**STACKED, "dropout": (0.1, 0.3)}, (X, LABELS), {}
    ),
    "regressor": (
        nanoae.StackedRegressor, {**STACKED, "freeze": 1}, (X, X.sum(axis=1)), {}
    ),
    "stacked": (nanoae.StackedAutoencoder, {**STACKED, "sizes": (9, 6, 3)}, (X,), {}),
    "text": (nanoae.TextVAE, TEXT, (LINES,), {}),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_a_fit_that_is_stopped_ends_with_the_same_weights(kind, share, tmp_path):
    estimator, params, data, beside = KINDS[kind]
    done = []
    whole = estimator(**params, callbacks=[lambda *_: done.append(1)]).fit(*data, **beside)
    stopped = estimator(**params, callbacks=[stop_after(1 + int(share * (len(done) - 1)))])
    with pytest.raises(Stopped):
        stopped.fit(*data, **beside, checkpoint_dir=tmp_path)
    assert not hasattr(stopped, "network_")
    again = []
    resumed = estimator(**params, callbacks=[lambda *_: again.append(1)])
    resumed.fit(*data, **beside, checkpoint_dir=tmp_path, resume=True)
    assert_same(resumed, whole)
    assert share == 0 or len(again) < len(done)
    assert_same(estimator(**params).fit(*data, **beside, checkpoint_dir=tmp_path, resume=True), whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.6, 1.0])
def test_a_fit_that_is_stopped_within_an_epoch_does_so_too(kind, share, tmp_path, monkeypatch):
    estimator, params, data, beside = KINDS[kind]
    steps, last, between = [], math.inf, Trainer.between_steps

    def counted(self, *arguments):
        between(self, *arguments)
        steps.append(arguments[0])
        if len(steps) == last:
            raise Stopped

    whole = estimator(**params).fit(*data, **beside)
    monkeypatch.setattr(Trainer, "between_steps", counted)
    estimator(**params).fit(*data, **beside, checkpoint_dir=Checkpoints(tmp_path / "counted", steps=1))
    n, last = len(steps), len(steps) + max(1, int(share * len(steps)))
    with pytest.raises(Stopped):
        estimator(**params).fit(*data, **beside, checkpoint_dir=Checkpoints(tmp_path / "stopped", steps=1))
    last = math.inf
    resumed = estimator(**params).fit(*data, **beside, checkpoint_dir=tmp_path / "stopped", resume=True)
    assert_same(resumed, whole)
    assert len(steps) <= 2 * n


def test_a_detector_goes_on_in_its_folds(tmp_path):
    def detector(*callbacks):
        return nanoae.AnomalyDetector(AE(**DENSE, callbacks=list(callbacks)), random_state=0)

    whole = detector().fit(X)
    with pytest.raises(Stopped):
        detector(stop_after(22)).fit(X, checkpoint_dir=tmp_path)
    assert_same(detector().fit(X, checkpoint_dir=tmp_path, resume=True), whole)


def test_what_was_drawn_by_chance_is_kept(tmp_path):
    params = {**DENSE, "random_state": None, "validation_fraction": 0.2}
    with pytest.raises(Stopped):
        AE(**params, callbacks=[stop_after(2)]).fit(X, checkpoint_dir=tmp_path)
    shutil.copytree(tmp_path, tmp_path / "copy", ignore=lambda *_: ["copy"])
    first = AE(**params).fit(X, checkpoint_dir=tmp_path, resume=True)
    assert_same(AE(**params).fit(X, checkpoint_dir=tmp_path / "copy", resume=True), first)


def test_partial_fit_goes_on_alike(tmp_path):
    whole, kept = (AE(**DENSE).fit(X, **beside) for beside in ({}, {"checkpoint_dir": tmp_path}))
    loaded = AE(**DENSE).fit(X, checkpoint_dir=tmp_path, resume=True)
    assert_same(loaded.partial_fit(X), whole.partial_fit(X))
    assert_same(kept.partial_fit(X), whole)


def test_what_callbacks_count_is_kept(tmp_path):
    def estimator(*callbacks):
        return AE(
            **{**DENSE, "epochs": 9, "learning_rate": 0.1}, callbacks=[nanoae.ReduceOnPlateau(0.5, 2), *callbacks]
        )

    whole = estimator().fit(X, validation_data=X[:9])
    with pytest.raises(Stopped):
        estimator(stop_after(7)).fit(X, validation_data=X[:9], checkpoint_dir=tmp_path)
    resumed = estimator(lambda *_: None).fit(X, validation_data=X[:9], checkpoint_dir=tmp_path, resume=True)
    assert_same(resumed, whole)


# ---------------------------------------------------------------- what is not the same fit


@pytest.fixture
def stopped(tmp_path):
    """The folder of a fit that was stopped after two epochs."""
    with pytest.raises(Stopped):
        AE(**DENSE, callbacks=[stop_after(3)]).fit(X, checkpoint_dir=tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "data", "words"),
    [
        ({"epochs": 5}, X, r"epochs was 4, is 5"),
        ({"hidden": (9,)}, X, r"hidden\[0\] was 8, is 9"),
        ({"random_state": 1}, X, r"random_state was 0, is 1"),
        ({"learning_rate": 0.5}, X, r"learning_rate was 0.001, is 0.5"),
        ({"corruption": nanoae.GaussianNoise(0.1)}, X, "corruption was None, is"),
        ({}, X + 1e-6, "data was '[0-9a-f]+', is '[0-9a-f]+'"),
        ({}, X[:-1], "data was"),
    ],
)
def test_another_fit_is_told_what_differs(stopped, changed, data, words):
    with pytest.raises(ValueError, match=f"expected the fit that was stopped, got another: .*{words}"):
        AE(**{**DENSE, **changed}).fit(data, checkpoint_dir=stopped, resume=True)


def test_another_version_is_told(stopped, monkeypatch):
    monkeypatch.setattr(nanoae, "__version__", "99")
    with pytest.raises(ValueError, match=r"nanoae was '[\d.]+', is '99'"):
        AE(**DENSE).fit(X, checkpoint_dir=stopped, resume=True)


def test_checkpoints_are_not_written_over(stopped):
    with pytest.raises(ValueError, match=r"expected no checkpoints of an earlier fit, got 2.*resume=True"):
        AE(**DENSE).fit(X, checkpoint_dir=stopped)


def test_a_folder_is_one_fit_s(tmp_path):
    def second(*_):
        AE(**DENSE).fit(X, checkpoint_dir=tmp_path, resume=True)

    with pytest.raises(BlockingIOError):
        AE(**DENSE, callbacks=[second]).fit(X, checkpoint_dir=tmp_path)


# ---------------------------------------------------------------- damaged files


def test_a_damaged_checkpoint_falls_back_to_the_one_before(stopped):
    whole = AE(**DENSE).fit(X)
    first, last = sorted(stopped.iterdir())
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 4
    last.write_bytes(content)
    with pytest.warns(UserWarning, match=f"{last.name}.*Going on from the one before, {first.name}"):
        resumed = AE(**DENSE).fit(X, checkpoint_dir=stopped, resume=True)
    assert_same(resumed, whole)


def test_nothing_is_taken_from_damaged_files(stopped):
    for path in stopped.iterdir():
        path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"expected a sound .npz file"):
        AE(**DENSE).fit(X, checkpoint_dir=stopped, resume=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("t", "many"),
        ("t", -1),
        ("lr", "fast"),
        ("at", {"epoch": 1}),
        ("history", {"loss": [1.0], "seconds": "x"}),
        ("order", {"bit_generator": "MT19937"}),
        ("noise", 5),
    ],
)
def test_a_checkpoint_that_does_not_fit_together_is_one_clear_error(stopped, name, value):
    path, header, arrays = checkpoint.latest(stopped)
    header["trainings"][0][name] = value
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, header=text, **arrays)
    with pytest.raises(ValueError, match="checkpoint"):
        AE(**DENSE).fit(X, checkpoint_dir=stopped, resume=True)


# ---------------------------------------------------------------- a folder that fails


def test_a_folder_that_cannot_be_written_is_told_before_the_training(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        AE(**DENSE).fit(X, checkpoint_dir=tmp_path / "file" / "folder")


def test_a_folder_that_vanishes_costs_no_training(tmp_path):
    def vanish(_, row):
        if row["epoch"] == 2:
            (tmp_path / "gone").rename(tmp_path / "elsewhere")

    model = AE(**DENSE, callbacks=[vanish])
    with pytest.warns(UserWarning, match="checkpoint could not be written.*gone"):
        model.fit(X, checkpoint_dir=tmp_path / "gone")
    assert_same(model, AE(**DENSE).fit(X))


def test_a_pickle_is_refused(stopped):
    for path in stopped.iterdir():
        np.savez(path, header=np.array([{"format": 1}], dtype=object))
    with pytest.raises(ValueError, match="pickled objects"):
        AE(**DENSE).fit(X, checkpoint_dir=stopped, resume=True)


def test_the_folder_may_come_with_wishes(tmp_path):
    AE(**DENSE).fit(X, checkpoint_dir=Checkpoints(tmp_path, steps=2))
    assert len(list(tmp_path.iterdir())) == 2
