"""Do the ready-made callbacks do what they say, and does TensorBoard's own reader find what was written for it?"""

import copy
import csv
import io
import itertools
import math
import pickle

import numpy as np
import pytest

import nanoae
from nanoae import (
    Autoencoder,
    BestCheckpoint,
    CSVLog,
    ReduceOnPlateau,
    StackedAutoencoder,
    TensorBoard,
    Trainer,
)
from nanoae.cli import main


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).random((60, 16)).astype(np.float32)


def fitted(x, callbacks, validation=True, **settings):
    ae = Autoencoder(
        code_size=3, hidden=(6,), batch_size=20, random_state=0, callbacks=callbacks, **settings
    )
    return ae.fit(x[:40], validation_data=x[40:] if validation else None)


# ---------------------------------------------------------------- ready-made


def test_the_best_checkpoint_is_the_model_of_the_best_epoch(x, tmp_path):
    path = tmp_path / "best.npz"
    states = []
    ae = fitted(x, [BestCheckpoint(path), lambda trainer, row: states.append(trainer.network.theta.copy())],
                epochs=30, learning_rate=0.3)  # fmt: skip
    best = int(np.argmin(ae.history_["val_loss"]))
    assert best < 29, "the last epoch is the best: the test shows nothing"
    kept = nanoae.load(path)
    np.testing.assert_array_equal(kept.network_.theta, states[best])
    assert len(kept.history_["loss"]) == best + 1


class Never(ReduceOnPlateau):
    """No loss is good enough for it."""

    def better(self, trainer):
        self.no_better(trainer)


def test_the_learning_rate_falls_on_a_plateau(x):
    rates = []
    callbacks = [
        Never(0.1, patience=3, least=2e-3, monitor="loss"),
        lambda trainer, _: rates.append(trainer.optimizer.lr),
    ]
    ae = fitted(x, callbacks, False, epochs=10, learning_rate=0.1)
    assert rates == pytest.approx([0.1] * 2 + [0.01] * 3 + [0.002] * 5)
    rates.clear()
    ae.set_params(learning_rate=1e-3).fit(x)  # below the least: never raised
    assert rates == [1e-3] * 10
    rates.clear()
    fitted(x, [ReduceOnPlateau(patience=1, monitor="loss"), callbacks[1]], False, epochs=5)
    assert rates == [1e-3] * 5  # it falls with each epoch


def test_a_lower_rate_moves_the_weights_less(x):
    def steps(callbacks):
        thetas = []
        fitted(
            x,
            [*callbacks, lambda t, row: thetas.append(t.network.theta.copy())],
            False,
            epochs=3,
            optimizer="sgd",
        )
        return np.abs(np.diff(thetas, axis=0)).max(axis=1)

    plain, frozen = steps([]), steps([Never(1e-9, 2, monitor="loss")])
    assert frozen[0] == plain[0] and frozen[1] < 1e-6 * plain[1]


@pytest.mark.parametrize(("make", "message"), [
    (lambda: ReduceOnPlateau(1.5), "factor in"),
    (lambda: fitted(np.eye(16, dtype=np.float32), [ReduceOnPlateau()], False), "expected monitor to be one of loss"),
    (lambda: fitted(np.eye(60, 16), [ReduceOnPlateau(patience=1)], learning_rate=nanoae.Cosine(0.0)), "schedule"),
    (lambda: BestCheckpoint("x.npz").better(type("T", (), {"model": None})), "expected the training of an estimator"),
])  # fmt: skip
def test_mistakes_are_told(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_csv_log_has_a_line_per_epoch(x, tmp_path):
    path = tmp_path / "log.csv"
    ae = fitted(x, [CSVLog(path)], epochs=3, learning_rate=nanoae.StepDecay(0.1, 2))
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [float(row["loss"]) for row in rows] == ae.history_["loss"]
    assert [float(row["val_loss"]) for row in rows] == ae.history_["val_loss"]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"] and len(
        {row["learning_rate"] for row in rows}
    ) > 1
    StackedAutoencoder(
        sizes=(6, 3), epochs=2, pretrain_epochs=1, random_state=0, callbacks=[CSVLog(path)]
    ).fit(x)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [(row["layer"], row["epoch"]) for row in rows] == [
        ("1", "1"),
        ("2", "1"),
        ("", "1"),
        ("", "2"),
    ]


# ---------------------------------------------------------------- TensorBoard


@pytest.fixture(scope="module")
def read():
    """read(folder): all that TensorBoard's reader finds there."""
    pytest.importorskip("tensorboardX")
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    def load(folder):
        found = module.EventAccumulator(str(folder), {"histograms": 0, "images": 0, "scalars": 0})
        return found.Reload()

    return load


@pytest.fixture(scope="module")
def written(x, read, tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    board = TensorBoard(folder, x[40:], labels=np.arange(20), shape=(4, 4), every=2)
    return folder, fitted(x, [board], epochs=4), read(folder)


def test_scalars_are_the_history(written):
    _, ae, events = written
    for name in ("loss", "val_loss", "seconds"):
        assert [event.value for event in events.Scalars(name)] == pytest.approx(ae.history_[name])
        assert [event.step for event in events.Scalars(name)] == [1, 2, 3, 4]
    assert [event.value for event in events.Scalars("learning_rate")] == pytest.approx([1e-3] * 4)


def test_histograms_are_the_weights_and_gradients(written):
    _, ae, events = written
    tags = set(events.Tags()["histograms"])
    for i, layer in enumerate(ae.network_.layers):
        for kind, arrays in (("weights", layer.params), ("gradients", layer.grads)):
            for name, array in arrays.items():
                tag = f"{kind}/{i}_{type(layer).__name__}/{name}"
                tags.remove(tag)
                found = events.Histograms(tag)
                assert [event.step for event in found] == [2, 4]
                values = found[-1].histogram_value
                assert values.num == array.size and values.sum == pytest.approx(
                    float(array.sum()), rel=1e-4, abs=1e-6
                )
                assert values.max == pytest.approx(float(array.max()), rel=1e-6)
    assert not tags


def test_the_graph_is_the_network(written):
    _, ae, events = written
    nodes = events.Graph().node
    assert [node.op for node in nodes] == [
        "Placeholder",
        *(type(layer).__name__ for layer in ae.network_.layers),
        "MSE",
    ]
    assert all(list(node.input) == [before.name] for before, node in itertools.pairwise(nodes))
    sizes = [node.attr["_output_shapes"].list.shape[0].dim[1].size for node in nodes[:-1]]
    assert sizes == [16, *(layer.out_shape[0] for layer in ae.network_.layers)]


def test_images_are_rows_and_their_reconstructions(written, x):
    image = pytest.importorskip("PIL.Image")
    _, ae, events = written
    found = events.Images("reconstructions")
    assert [event.step for event in found] == [2, 4]
    pixels = np.asarray(image.open(io.BytesIO(found[-1].encoded_image_string)).convert("L")) / 255
    assert pixels.shape == (8, 40)
    rows = x[40:50]
    for above, drawn in ((0, rows), (4, ae.reconstruct(rows))):
        unit = ((drawn - rows.min()) / (rows.max() - rows.min())).clip(0, 1).reshape(10, 4, 4)
        np.testing.assert_allclose(pixels[above : above + 4], np.hstack(list(unit)), atol=0.006)


@pytest.mark.parametrize("shape", [(3, 2, 4), (2, 4, 3), (2, 2, 4)], ids=str)
def test_images_are_in_their_colours(shape, read, tmp_path, rng):
    """Channels first or last, and of two the mean."""
    image = pytest.importorskip("PIL.Image")
    rows = rng.random((50, math.prod(shape)), np.float32)
    fitted(rows, [TensorBoard(tmp_path, rows[:5], shape=shape)], epochs=1)
    (found,) = read(tmp_path).Images("reconstructions")
    pixels = np.asarray(image.open(io.BytesIO(found.encoded_image_string)).convert("RGB")) / 255
    images = rows[:5].reshape(-1, *shape)
    if shape[2] != 3:
        images = images.transpose(0, 2, 3, 1)
    if images.shape[3] == 2:
        images = images.mean(axis=3, keepdims=True).repeat(3, axis=3)
    unit = (images - images.min()) / np.ptp(images)
    np.testing.assert_allclose(pixels[:2], np.concatenate(list(unit), axis=1), atol=0.006)


def test_the_projector_has_the_codes_with_labels(written, x):
    folder, ae, _ = written
    config = (folder / "projector_config.pbtxt").read_text()
    assert 'tensor_path: "00004/codes/tensors.tsv"' in config and "sprite" in config
    codes = np.loadtxt(folder / "00004/codes/tensors.tsv")
    np.testing.assert_allclose(codes, ae.transform(x[40:]), atol=1e-5)
    assert (folder / "00004/codes/metadata.tsv").read_text().split() == [str(i) for i in range(20)]


def test_hyperparameters_are_the_settings(written):
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    _, ae, events = written
    content = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    told = HParamsPluginData.FromString(content).session_start_info.hparams
    assert told["code_size"].number_value == 3 and told["loss"].string_value == "mse"
    assert told["hidden"].string_value == "(6,)" and "callbacks" not in told
    assert set(told) == set(ae.get_params(deep=False)) - {"callbacks", "verbose"}


def test_a_pretraining_and_a_trainer_by_itself_are_shown(x, read, tmp_path):
    StackedAutoencoder(
        sizes=(6, 3),
        epochs=1,
        pretrain_epochs=1,
        random_state=0,
        callbacks=[TensorBoard(tmp_path / "a", x)],
    ).fit(x)
    assert {"loss", "pretraining/1/loss", "pretraining/2/loss"} <= set(
        read(tmp_path / "a").Tags()["scalars"]
    )
    net = nanoae.Sequential([nanoae.Linear(2), nanoae.Linear(16)]).build((16,), random_state=0)
    board = TensorBoard(tmp_path / "b", x)
    Trainer(
        net, nanoae.MSE(), nanoae.Adam(), batch_size=20, epochs=2, rows=60, callbacks=(board,)
    ).fit(x)
    assert len(read(tmp_path / "b").Scalars("loss")) == 2


def test_it_is_copied_and_pickled_with_its_estimator(x, read, tmp_path):
    board = TensorBoard(tmp_path, x)
    ae = fitted(x, [board], epochs=1)
    pickle.loads(pickle.dumps(ae)), copy.deepcopy(board)
    with pytest.raises(ValueError, match="network's input shape"):
        fitted(x, [TensorBoard(tmp_path / "c", x[:, :9])], epochs=1)


@pytest.mark.parametrize("options", [
    ["--code-size", "2"], ["--preset", "vae-20", "--conditional"], ["--stacked", "8,2", "--classify"]
])  # fmt: skip
def test_on_the_command_line(options, read, tmp_path):
    out = tmp_path / "run"
    command = [
        "train",
        "--data",
        "digits",
        "--epochs",
        "1",
        "--tensorboard",
        "--quiet",
        "--no-figures",
        "--out",
        str(out),
    ]
    assert main([*command, *options]) == 0
    events = read(out / "tensorboard")
    assert events.Scalars("loss") and ("reconstructions" in events.Tags()["images"]) == (
        "--classify" not in options
    )
    assert len(np.loadtxt(out / "tensorboard/00001/codes/tensors.tsv")) == 360


def test_without_the_extra_the_error_names_it(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r'pip install "nanoae\[tensorboard\]"'):
        TensorBoard(tmp_path)


@pytest.mark.parametrize(
    ("told", "message"),
    [({"shape": (4, 5)}, r"expected a shape for the values of a row, \(16,\), got \(4, 5\)"),
     ({"labels": ["a"]}, "expected a label for each row")],
)  # fmt: skip
def test_what_tensorboard_cannot_draw_is_refused_before_the_training(told, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        TensorBoard(tmp_path, np.zeros((3, 16)), **told)
