"""Do the estimators keep scikit-learn's contract? Its own `check_estimator` says so, with no check expected to fail."""

import warnings

import pytest

import nanoae

estimator_checks = pytest.importorskip("sklearn.utils.estimator_checks")

ESTIMATORS = [
    nanoae.AnomalyDetector(
        nanoae.Autoencoder(2, (4,), epochs=1, backend="numpy", dtype="float64"), random_state=0
    ),
    nanoae.Autoencoder(code_size=2, hidden=(4,), epochs=1, backend="numpy", random_state=0),
    nanoae.ConvAutoencoder(2, backend="numpy"),
    nanoae.ClusterLabelDetector(nanoae.PCA(2), n_clusters=5, random_state=0),
    nanoae.PCA(n_components=2),
    nanoae.TextVAE(epochs=1, backend="numpy", random_state=0),
    nanoae.StackedAutoencoder((4, 2), pretrain_epochs=1, epochs=1, backend="numpy", random_state=0),
    nanoae.StackedClassifier(
        (8,), pretrain_epochs=1, epochs=60, learning_rate=0.03, backend="numpy", random_state=0
    ),
    nanoae.StackedRegressor(
        (8,),
        pretrain_epochs=1,
        epochs=60,
        learning_rate=0.03,
        backend="numpy",
        dtype="float64",
        random_state=0,
    ),
    nanoae.VariationalAutoencoder(
        2, (4,), likelihood="gaussian", epochs=1, backend="numpy", random_state=0
    ),
]


with warnings.catch_warnings():
    # on purpose: scikit-learn is no dependency
    warnings.filterwarnings("ignore", "Estimator .* does not inherit from")
    warnings.filterwarnings("ignore", "Can't test estimator (Conv|Text)")  # with its tables
    of_each = estimator_checks.parametrize_with_checks(ESTIMATORS)


@pytest.mark.filterwarnings("ignore:.*rows are copies of others")  # by weights, and in small tables
@of_each
def test_check_estimator(estimator, check):
    check(estimator)
