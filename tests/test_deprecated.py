"""Does what an earlier version had still work, and say what to use instead?"""

import numpy as np
import pytest

import nanoae
from nanoae.cli import main
from nanoae.configurable import from_config, to_config

X = np.random.default_rng(0).random((60, 9)).astype(np.float32)
Y = np.arange(60) % 2
SETTINGS = {"epochs": 2, "backend": "numpy", "random_state": 0}
ESTIMATORS = {
    "Autoencoder": lambda **more: nanoae.Autoencoder(2, (4,), **SETTINGS, **more).fit(X),
    "StackedAutoencoder": lambda **more: nanoae.StackedAutoencoder((4, 2), **SETTINGS, **more).fit(
        X
    ),
    "StackedClassifier": lambda **more: nanoae.StackedClassifier((4, 2), **SETTINGS, **more).fit(
        X, Y
    ),
    "StackedRegressor": lambda **more: nanoae.StackedRegressor((4, 2), **SETTINGS, **more).fit(
        X, Y
    ),
    "VariationalAutoencoder": lambda **more: nanoae.VariationalAutoencoder(
        2, (4,), **SETTINGS, **more
    ).fit(X),
    "KFAC": lambda **more: nanoae.Autoencoder(
        2, (4,), optimizer=nanoae.KFAC(), **SETTINGS, **more
    ).fit(X),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_processes_are_accepted_and_change_nothing(name):
    plain = ESTIMATORS[name]()
    with pytest.warns(
        FutureWarning, match="processes=2 is ignored.*one process uses all cores"
    ) as told:
        model = ESTIMATORS[name](processes=2)
    assert [each.category for each in told].count(FutureWarning) == 1 and model.get_params()[
        "processes"
    ] == 2
    np.testing.assert_array_equal(model.network_.theta, plain.network_.theta)


def test_processes_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--epochs", "1", "--processes", "2", "--no-figures"]) == 0
    assert capsys.readouterr().err.count("processes=2 is ignored") == 1


@pytest.mark.parametrize(
    ("old", "new"), [("EachStep", "TimeDistributed"), ("LastStep", "LastTimestep")]
)
def test_classes_by_their_former_names(old, new):
    with pytest.warns(FutureWarning, match=f"nanoae.{old} was renamed to {new}"):
        assert getattr(nanoae, old) is getattr(nanoae, new)
    with pytest.raises(AttributeError, match="no attribute 'EachStop'"):
        nanoae.EachStop  # noqa: B018
    assert isinstance(
        from_config({"type": "EachStep", "layer": to_config(nanoae.Linear(2))}),
        nanoae.TimeDistributed,
    )


def test_an_embedding_by_the_former_names_of_its_arguments():
    with pytest.warns(FutureWarning, match="Embedding: n_words was renamed to n_tokens"):
        assert nanoae.Embedding(n_words=5, n_out=2).n_tokens == 5
    of_a_file = {"type": "Embedding", "n_words": 5, "n_out": 2}
    assert from_config(of_a_file).n_tokens == 5
    with pytest.warns(FutureWarning, match="Embedding.n_words was renamed to n_tokens"):
        assert from_config(of_a_file).n_words == 5


def test_methods_by_their_former_names():
    net = nanoae.Sequential([nanoae.Linear(3)]).build(5, random_state=0)
    with pytest.warns(FutureWarning, match=r"Sequential.rebuilt was renamed to to"):
        np.testing.assert_allclose(net.rebuilt().theta, net.to("numpy", "float64").theta)
    with pytest.warns(FutureWarning, match=r"Sequential.rewritten was renamed to with_layers"):
        assert net.rewritten(net.layers).theta is net.theta


def test_layers_and_losses_of_ones_own_that_override_a_former_name():
    with pytest.warns(FutureWarning, match="Half.resolve was renamed to infer_shape"):

        class Half(nanoae.Layer):
            def resolve(self, in_shape):
                return (in_shape[0] // 2,)

            def forward(self, x, train=False):
                self.cache = train or None
                return self.ops.copy(
                    x[:, : self.out_shape[0]], out=self.buffer("y", (len(x), *self.out_shape))
                )

    assert nanoae.Sequential([Half(), nanoae.Linear(3)]).build(6).forward(X[:, :6]).shape == (60, 3)
    with pytest.warns(FutureWarning, match="Twice.output was renamed to predict"):

        class Twice(nanoae.MSE):
            def output(self, y, out):
                return self.ops.multiply(y, 2.0, out=out)

    model = nanoae.Autoencoder(2, (4,), loss=Twice(), **SETTINGS).fit(X)
    np.testing.assert_allclose(model.reconstruct(X), 2 * model.network_.forward(X), rtol=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("trust", "kl_clip", 0.01),
        ("memory", "ema_decay", 0.5),
        ("measure_every", "factor_every", 2),
        ("invert_every", "inverse_every", 3),
    ],
)
def test_kfac_by_the_former_names_of_its_arguments(old, new, value):
    now = nanoae.KFAC(**{new: value})
    with pytest.warns(FutureWarning, match=f"KFAC: {old} was renamed to {new}"):
        assert nanoae.KFAC(**{old: value}).config() == now.config()
    with pytest.raises(TypeError, match=f"'{old}'"):
        nanoae.KFAC(**{old: value, new: value})
    optimizer = nanoae.KFAC()
    with pytest.warns(FutureWarning, match=f"KFAC.{old} was renamed to {new}"):
        setattr(optimizer, old, value)
    with pytest.warns(FutureWarning, match=f"KFAC.{old} was renamed to {new}"):
        assert getattr(optimizer, old) == getattr(optimizer, new) == value
    in_a_file = from_config({"type": "KFAC", old: value})
    assert in_a_file.config() == now.config()
