"""Are the synthetic images what their hidden causes say?"""

import numpy as np
import pytest

from nanoae.data import bars, written_digits


def test_bars_are_rows_and_columns():
    x, there = bars(500, size=5)
    assert x.shape == (500, 25) and x.dtype == np.float32 and there.shape == (500, 10)
    assert 0.17 < there.mean() < 0.23
    for image, causes in zip(x.reshape(-1, 5, 5), there, strict=True):
        for i in range(5):
            for j in range(5):
                assert image[i, j] == (causes[i] or causes[5 + j])


def test_a_hand_slants_widens_and_thickens_its_digits():
    x, y, hand = written_digits(2000, size=16)
    assert (
        x.shape == (2000, 256)
        and x.min() == 0
        and x.max() == 1
        and set(y) == set(range(10))
        and hand.shape == (2000, 4)
    )
    images, (down, across) = x.reshape(-1, 16, 16), np.mgrid[:16, :16] - 7.5
    ink = x.sum(axis=1)
    measured = {
        "slant": -(images * down * across).sum(axis=(1, 2)) / ink,
        "width": (images.max(axis=1) > 0.5).sum(axis=1),
        "height": (images.max(axis=2) > 0.5).sum(axis=1),
        "weight": ink,
    }
    for k, (name, values) in enumerate(measured.items()):
        for digit in (0, 2, 5):
            one = y == digit
            assert np.corrcoef(values[one], hand[one, k])[0, 1] > 0.6, (name, digit)


def test_the_seed_decides_and_numbers_are_checked():
    for make in (bars, written_digits):
        np.testing.assert_array_equal(make(5, random_state=3)[0], make(5, random_state=3)[0])
        assert (make(5, random_state=3)[0] != make(5, random_state=4)[0]).any()
        with pytest.raises(ValueError, match="expected n >= 1"):
            make(0)
