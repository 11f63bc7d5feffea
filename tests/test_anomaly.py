"""Do the detectors find what is abnormal, and keep what they promise about scores, thresholds and explanations?"""

import numpy as np
import pytest

import nanoae

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 2)) @ RNG.normal(size=(2, 6)) + 0.05 * RNG.normal(size=(200, 6))
SMALL = nanoae.Autoencoder(2, (8,), epochs=30, batch_size=32, backend="numpy")


def detector(**settings):
    return nanoae.AnomalyDetector(**{"autoencoder": SMALL, "random_state": 0, **settings})


@pytest.mark.parametrize("scores", ["reconstruction", "standardised", "mahalanobis"])
def test_rows_off_the_plane_score_higher(scores):
    found = detector(scores=scores).fit(X)
    strange = 4 * RNG.normal(size=(50, 6))
    assert np.median(found.score_samples(strange)) < np.quantile(found.score_samples(X), 0.05)
