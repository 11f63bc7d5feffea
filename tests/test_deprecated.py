"""Does what an earlier version had still work, and say what to use instead?"""

import numpy as np
import pytest

import nanoae
from nanoae.cli import main

X = np.random.default_rng(0).random((60, 9)).astype(np.float32)
Y = np.arange(60) % 2
SETTINGS = {"epochs": 2, "backend": "numpy", "random_state": 0}
ESTIMATORS = {
    "Autoencoder": lambda **more: nanoae.Autoencoder(2, (4,), **SETTINGS, **more).fit(X),
    "StackedAutoencoder": lambda **more: nanoae.StackedAutoencoder((4, 2), **SETTINGS, **more).fit(X),
    "StackedClassifier": lambda **more: nanoae.StackedClassifier((4, 2), **SETTINGS, **more).fit(X, Y),
    "StackedRegressor": lambda **more: nanoae.StackedRegressor((4, 2), **SETTINGS, **more).fit(X, Y),
    "VariationalAutoencoder": lambda **more: nanoae.VariationalAutoencoder(2, (4,), **SETTINGS, **more).fit(X),
    "KFAC": lambda **more: nanoae.Autoencoder(2, (4,), optimizer=nanoae.KFAC(), **SETTINGS, **more).fit(X),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_processes_are_accepted_and_change_nothing(name):
    plain = ESTIMATORS[name]()
    with pytest.warns(FutureWarning, match="processes=2 is ignored.*one process uses all cores") as told:
        model = ESTIMATORS[name](processes=2)
    assert [each.category for each in told].count(FutureWarning) == 1 and model.get_params()["processes"] == 2
    np.testing.assert_array_equal(model.network_.theta, plain.network_.theta)


def test_processes_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--epochs", "1", "--processes", "2", "--no-figures"]) == 0
    assert capsys.readouterr().err.count("processes=2 is ignored") == 1
