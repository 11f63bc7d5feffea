"""A fit that is stopped goes on from where it was, and ends with exactly the weights that it would have had."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import nanoae
from nanoae import Checkpoints, Trainer
from nanoae.training import checkpoint

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.fits import DENSE, FITS, X, learned


class Stopped(Exception):
    pass


def stop_after(epochs):
    """A callback that raises after so many epochs of all the trainings together."""
    left = iter(range(epochs - 1))

    def callback(*_):
        if next(left, None) is None:
            raise Stopped

    return callback


def assert_same(a, b):
    found, wanted = learned(a), learned(b)
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    if hasattr(b, "history_"):
        assert a.history_["loss"] == b.history_["loss"]


AE = nanoae.Autoencoder
HEADER = {"format": 1, "model": {}, "trainings": [], "nanoae": "1", "numpy": "2", "seed": None}
PLACES = [(kind, 0.6) for kind in FITS] + [
    (kind, share) for kind in ("dense", "stacked") for share in (0.0, 0.3, 1.0)
]


@pytest.mark.parametrize(("kind", "share"), PLACES)
def test_a_fit_that_is_stopped_ends_with_the_same_weights(kind, share, tmp_path):
    fit, done, again = FITS[kind], [], []
    whole = fit.run([lambda *_: done.append(1)])
    last = 1 + int(share * (len(done) - 1))
    with pytest.raises(Stopped):
        fit.run([stop_after(last)], checkpoint_dir=tmp_path)
    resumed = fit.run([lambda *_: again.append(1)], checkpoint_dir=tmp_path, resume=True)
    assert_same(resumed, whole)
    assert last == 1 or len(again) < len(done)
    assert_same(fit.run(checkpoint_dir=tmp_path, resume=True), whole)


@pytest.mark.parametrize(("kind", "share"), PLACES)
def test_a_fit_that_is_stopped_within_an_epoch_does_so_too(kind, share, tmp_path, monkeypatch):
    fit, steps, last, between = FITS[kind], [], math.inf, Trainer.between_steps

    def counted(self, *arguments):
        between(self, *arguments)
        steps.append(arguments[0])
        if len(steps) == last:
            raise Stopped

    monkeypatch.setattr(Trainer, "between_steps", counted)
    whole = fit.run(checkpoint_dir=Checkpoints(tmp_path / "whole", steps=1))
    n, last = len(steps), len(steps) + max(1, int(share * len(steps)))
    with pytest.raises(Stopped):
        fit.run(checkpoint_dir=Checkpoints(tmp_path / "stopped", steps=1))
    last = math.inf
    assert_same(fit.run(checkpoint_dir=tmp_path / "stopped", resume=True), whole)
    assert len(steps) <= 2 * n
    if share == 0.6:
        assert_same(whole, fit.run())


@pytest.mark.filterwarnings("ignore:training was interrupted")
def test_ctrl_c_leaves_no_half_of_a_detector(tmp_path):
    def stop(trainer, row):
        raise KeyboardInterrupt

    model = nanoae.AnomalyDetector(nanoae.Autoencoder(2, (4,), epochs=2, callbacks=[stop]))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, checkpoint_dir=tmp_path / "folder")


def test_a_stopped_estimator_is_as_it_was_before(tmp_path):
    model = FITS["dense"].build([stop_after(2)])
    with pytest.raises(Stopped):
        model.fit(X, checkpoint_dir=tmp_path)
    assert not hasattr(model, "network_")


def test_signals_are_heeded_beside_a_fit_of_another_thread(tmp_path):
    """Which begins first, and ends first."""
    begun, go_on, epochs = threading.Event(), threading.Event(), []

    def wait(*_):
        begun.set()
        go_on.wait(10)

    def interrupt(*_):
        if not go_on.is_set():
            go_on.set()
            other.result()
            signal.raise_signal(signal.SIGINT)
            epochs.append("whole")

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(FITS["dense"].run, [wait], checkpoint_dir=tmp_path / "other")
        assert begun.wait(10)
        with pytest.warns(UserWarning, match="interrupted in epoch 2 of 4"):
            model = FITS["dense"].run([interrupt], checkpoint_dir=tmp_path / "own")
    assert epochs == ["whole"] and model.interrupted_ and not other.result().interrupted_
    resumed = FITS["dense"].run([print], checkpoint_dir=tmp_path / "own", resume=True)
    assert_same(resumed, FITS["dense"].run())


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
            **{**DENSE, "epochs": 9, "learning_rate": 0.1},
            callbacks=[nanoae.ReduceOnPlateau(0.5, 2), *callbacks],
        )

    whole = estimator().fit(X, validation_data=X[:9])
    with pytest.raises(Stopped):
        estimator(stop_after(7)).fit(X, validation_data=X[:9], checkpoint_dir=tmp_path)
    resumed = estimator(lambda *_: None).fit(
        X, validation_data=X[:9], checkpoint_dir=tmp_path, resume=True
    )
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
    with pytest.raises(
        ValueError, match=f"expected the fit that was stopped, got another: .*{words}"
    ):
        AE(**{**DENSE, **changed}).fit(data, checkpoint_dir=stopped, resume=True)


def test_another_version_is_told(stopped, monkeypatch):
    monkeypatch.setattr(nanoae, "__version__", "99")
    with pytest.raises(ValueError, match=r"nanoae was '[\d.]+', is '99'"):
        AE(**DENSE).fit(X, checkpoint_dir=stopped, resume=True)


def test_another_numpy_and_other_kernels_are_told(stopped, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(np, "__version__", "99")
        with pytest.raises(ValueError, match=r"numpy was '[\d.]+', is '99'"):
            AE(**DENSE).fit(X, checkpoint_dir=stopped, resume=True)
    path, header, arrays = checkpoint.latest(stopped)
    header["trainings"][0]["training"]["backend"] = "numpy, Others"
    np.savez(path, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    with pytest.raises(ValueError, match="backend was 'numpy, Others', is 'numpy, "):
        AE(**DENSE).fit(X, checkpoint_dir=stopped, resume=True)


def test_checkpoints_are_not_written_over(stopped):
    with pytest.raises(
        ValueError, match=r"expected no checkpoints of an earlier fit, got 2.*resume=True"
    ):
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
    with pytest.warns(
        UserWarning, match=f"{last.name}.*Resuming from the previous one, {first.name}"
    ):
        resumed = AE(**DENSE).fit(X, checkpoint_dir=stopped, resume=True)
    assert_same(resumed, whole)


def test_nothing_is_taken_from_damaged_files(stopped):
    for path in stopped.iterdir():
        path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"expected a valid .npz file"):
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


@pytest.mark.parametrize(
    "header",
    [
        {},
        [],
        {"format": 2},
        {"format": 1},
        {"format": 1, "model": {}, "trainings": [5], "nanoae": "1", "numpy": "2", "seed": None},
    ],
)
def test_what_is_no_checkpoint_is_told(tmp_path, header):
    np.savez(
        tmp_path / "checkpoint-00000001.npz",
        header=np.frombuffer(json.dumps(header).encode(), np.uint8),
    )
    with pytest.raises(ValueError, match=r"checkpoint-00000001.npz: expected a checkpoint"):
        AE(**DENSE).fit(X, checkpoint_dir=tmp_path, resume=True)


def test_a_small_file_takes_no_memory(stopped):
    path, header, arrays = checkpoint.latest(stopped)
    bomb = np.zeros(1 << 27, np.uint8)
    np.savez_compressed(
        path, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays, bomb=bomb
    )
    with pytest.raises(ValueError, match=f"{path.name}: expected at most"):
        checkpoint.read(path)


@pytest.mark.parametrize(
    ("wish", "words"), [({"steps": 0}, "steps"), ({"steps": 1.5}, "steps"), ({"minutes": 0}, "min")]
)
def test_wishes_that_make_no_sense_are_told(wish, words, tmp_path):
    with pytest.raises(ValueError, match=f"Checkpoints: expected {words}"):
        Checkpoints(tmp_path, **wish)


def test_minutes(tmp_path, monkeypatch):
    written, save = [], Checkpoints.save

    def counted(self, *arguments, **named):
        written.append(named.get("asked", False))
        save(self, *arguments, **named)

    monkeypatch.setattr(Checkpoints, "save", counted)
    AE(**DENSE).fit(X, checkpoint_dir=Checkpoints(tmp_path, minutes=1e-9))
    assert sum(written) >= 4  # within the epochs, too


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
    with pytest.warns(
        UserWarning, match="checkpoint could not be written.*gone.*No earlier one exists"
    ):
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


@pytest.mark.parametrize(
    "wrong", [{"steps": True}, {"steps": 0}, {"minutes": "3"}, {"minutes": True}, {"minutes": 0}]
)
def test_how_often_is_a_number(tmp_path, wrong):
    with pytest.raises(ValueError, match=f"Checkpoints: expected {next(iter(wrong))}"):
        nanoae.Checkpoints(tmp_path, **wrong)
    assert nanoae.Checkpoints(tmp_path, steps=np.int64(3)).steps == 3


@pytest.mark.parametrize("folder", [5, True, 3.5, b"x", "", {}])
def test_what_is_no_folder_is_told(folder):
    with pytest.raises(ValueError, match="Checkpoints: expected the path of a folder, got"):
        FITS["dense"].run(checkpoint_dir=folder)


@pytest.mark.parametrize("below", ["", "below"])
def test_a_file_in_the_place_of_the_folder_is_told(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(
        OSError, match=r"expected a folder for checkpoints .*Choose another checkpoint_dir"
    ):
        FITS["dense"].run(checkpoint_dir=tmp_path / "file" / below)
    assert (tmp_path / "file").read_text() == "mine"


def test_resume_without_a_folder_is_told():
    with pytest.raises(
        ValueError, match=r"Autoencoder.fit: expected checkpoint_dir= with resume=True"
    ):
        FITS["dense"].run(resume=True)


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    ("kind", "at"), [("dense", 1), ("dense", 3), *(("stacked", n) for n in range(1, 7))]
)
def test_a_csv_log_has_each_epoch_once_after_a_kill(tmp_path, kind, at):
    """Killed after a line was written and before the checkpoint of its epoch is, which comes after the callbacks."""
    FITS[kind].run([nanoae.CSVLog(tmp_path / "whole.csv")])
    rows = []

    def kill(trainer, row):
        rows.append(row)
        if len(rows) == at:
            raise Killed

    log = tmp_path / "log.csv"
    folder = tmp_path / "checkpoints"
    with contextlib.suppress(Killed):
        FITS[kind].run([nanoae.CSVLog(log), kill], checkpoint_dir=folder)
    with open(log, "a") as file:
        file.write("1,2")  # and half a line
    FITS[kind].run([nanoae.CSVLog(log), print], checkpoint_dir=folder, resume=True)
    # all but the seconds
    whole, found = (
        [line.split(",")[:5] for line in path.read_text().splitlines()]
        for path in (tmp_path / "whole.csv", log)
    )
    assert found == whole and len(whole) > 3
