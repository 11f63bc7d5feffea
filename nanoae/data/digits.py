"""The embedded digits: 1,797 handwritten digits of 8x8 pixels with values 0 to 16.

They are the test images of E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine
Learning Repository, https://doi.org/10.24432/C50P49, licence CC BY 4.0, which scikit-learn also ships. They are stored
as uint8 in the order `numpy.random.default_rng(0).permutation(1797)`: the first 1,437 to train and the last 360 to
test.
"""

from pathlib import Path

from nanoae.data.dataset import Dataset
from nanoae.data.files import read_npz


def digits() -> Dataset:
    """Return x_train (1437, 8, 8) and x_test (360, 8, 8) uint8 in 0..16, y uint8 in 0..9; the split never changes."""
    return Dataset.of("digits", read_npz(Path(__file__).with_name("digits.npz")), None, 16)
