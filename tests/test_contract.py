"""Do the estimators keep scikit-learn's contract? Its own `check_estimator` says so, with no check expected to fail."""

import pytest

import nanoae

estimator_checks = pytest.importorskip("sklearn.utils.estimator_checks")

ESTIMATORS = [
    nanoae.Autoencoder(code_size=2, hidden=(4,), epochs=2, backend="numpy", random_state=0),
    nanoae.PCA(n_components=2),
]


@estimator_checks.parametrize_with_checks(ESTIMATORS)
def test_check_estimator(estimator, check):
    check(estimator)
