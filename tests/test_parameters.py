"""Is what a parameter may not be told by its name before anything is learned, whatever it is?"""

import inspect
from dataclasses import dataclass

import numpy as np
import pytest

import nanoae

X = np.random.default_rng(0).random((20, 4), np.float32)
Y = np.arange(20) % 2
SMALL = {"epochs": 1, "backend": "numpy", "random_state": 0}
ESTIMATORS = {
    "Autoencoder": lambda **own: nanoae.Autoencoder(**{"code_size": 2, **SMALL, **own}).fit(X),
    "VariationalAutoencoder": lambda **own: nanoae.VariationalAutoencoder(
        **{"code_size": 2, **SMALL, **own}
    ).fit(X),
    "StackedClassifier": lambda **own: nanoae.StackedClassifier(
        **{"sizes": (3,), **SMALL, **own}
    ).fit(X, X[:, 0] > 0.5),
    "TextVAE": lambda **own: nanoae.TextVAE(**{"code_size": 2, **SMALL, **own}).fit(
        ["a b", "c d"] * 5
    ),
    "AnomalyDetector": lambda **own: nanoae.AnomalyDetector(**own).fit(X),
    "ClusterLabelDetector": lambda **own: nanoae.ClusterLabelDetector(**own).fit(X),
    "PCA": lambda **own: nanoae.PCA(**own).fit(X),
}
UNCHECKED = {"random_state", "verbose", "class_weight"}  # by the rules of what they are for
CASES = [
    (name, parameter)
    for name in ESTIMATORS
    for parameter in inspect.signature(getattr(nanoae, name)).parameters
    if parameter not in UNCHECKED
]


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_what_a_parameter_may_not_be_is_told_by_its_name(name, parameter):
    for wrong in (object(), np.array([1, 2]), type, float("nan"), b"x", {1: 2}):
        with pytest.raises(ValueError, match=f"expected.*{parameter}|{parameter}.*expected"):
            ESTIMATORS[name](**{parameter: wrong})


def test_the_documentation_has_a_row_for_every_parameter():
    for name in ESTIMATORS:
        table = getattr(nanoae, name).__doc__.partition("Parameters")[2]
        for parameter in inspect.signature(getattr(nanoae, name)).parameters:
            assert f"\n    {parameter} " in table


def test_a_subclass_declares_what_is_its_own():
    @dataclass(eq=False, repr=False)
    class Mine(nanoae.Autoencoder):
        code_size: int = 3
        extra: int = 1

    model = Mine(extra=5, **SMALL).fit(X)
    assert (
        model.code_size_ == 3
        and model.get_params()["extra"] == 5
        and repr(model).startswith("Mine(extra=5")
    )


class FewArguments(nanoae.Autoencoder):
    """As subclasses are written that do without @dataclass: a constructor of its own, which takes some parameters."""

    def __init__(self, extra=1, code_size=3, random_state=0):
        super().__init__(
            code_size, (5,), activation="tanh", epochs=2, dtype="float32", random_state=random_state
        )
        self.extra = extra


class FewArgumentsClassifier(nanoae.StackedClassifier):
    def __init__(self, sizes=(5,), extra=1):
        super().__init__(sizes, epochs=2, pretrain_epochs=1, random_state=0)
        self.extra = extra


def test_a_subclass_may_have_a_constructor_with_fewer_arguments(tmp_path):
    model = FewArguments(extra=5)
    model.batch_size = 4  # which its constructor does not take
    plain = nanoae.Autoencoder(
        3, (5,), activation="tanh", epochs=2, batch_size=4, random_state=0
    ).fit(X)
    assert np.array_equal(model.fit(X).transform(X), plain.transform(X))
    assert (
        set(model.get_params()) == {"extra", "code_size", "random_state"}
        and repr(model) == "FewArguments(extra=5)"
    )
    model.save(tmp_path / "model.npz")
    again = nanoae.load(tmp_path / "model.npz", parts=[FewArguments])
    assert again.extra == 5 and np.array_equal(again.transform(X), model.transform(X))
    assert FewArgumentsClassifier().fit(X, Y).predict(X).shape == (20,)
    detector = nanoae.AnomalyDetector(FewArguments(), random_state=0).fit(X)
    same = nanoae.Autoencoder(3, (5,), activation="tanh", epochs=2)
    assert np.allclose(
        detector.decision_function(X),
        nanoae.AnomalyDetector(same, random_state=0).fit(X).decision_function(X),
    )
