"""Keys of rows as ONNX nodes: a row that was learned from is known again, and judged by the folds that did not see it.

`calibration.row_keys` works on the 64 bits of each number, which ONNX cannot look at. They follow from it: of
|v| = m · 2ᵉ, 1 <= m < 2, they are 2⁵² (e + 1022) + 2⁵² m, all of it exact in whole numbers (IEEE 754); of |v| < 2⁻¹⁰²²
e is -1022, too.
"""

from __future__ import annotations

import numpy as np

from nanoae.anomaly.calibration import SeenRows, key_factors
from nanoae.interchange.graph import Value
from nanoae.interchange.scaling import counted, looked_up

POWERS = 2.0 ** np.arange(-1022, 1024)[None]  # of which the first is for what is smaller, too
NAN = np.array(np.nan).view(np.int64)


def weights_of_folds(seen: SeenRows, X: Value, columns: int) -> Value:
    """(F, N, 1): what each fold's networks count in the score of each row of X (N, D): `SeenRows.of_folds`."""
    n_folds = seen.weights.shape[1]
    seen_keys = seen.keys.view(np.int64)
    same = keys(X, columns).equal(seen_keys)
    same = same.cast(np.float64)
    known = same.sum(1, keep=True) > 0.0
    return known.where(same @ seen.weights, np.full(n_folds, 1 / n_folds))


def keys(X: Value, columns: int) -> Value:
    """`row_keys` (N, 1) of X (N, D) float64, as int64."""
    bits = bits_of(X)
    mixed = xor_shifted(bits, 29) * key_factors(columns).view(np.int64)
    # A product, since ReduceSum does not keep to 64 bits
    return xor_shifted(mixed, 32) @ np.ones((columns, 1), np.int64)


def xor_shifted(bits: Value, places: int) -> Value:
    """bits ^ (bits >> places), of the 64 bits of int64 seen without a sign."""
    plain = bits.cast(np.uint64)
    shifted = plain.apply("BitShift", np.array(places, np.uint64), direction="RIGHT")
    return plain.apply("BitwiseXor", shifted).cast(np.int64)


def bits_of(v: Value) -> Value:
    """The bits of float64 as int64; one NaN for all, and +0 for -0."""
    size = v.apply("Abs").apply("Min", np.finfo(float).max)
    place = counted(POWERS, size, strictly=False) - 1
    e = place.apply("Max", np.array(0))
    m = size / looked_up(POWERS, e)
    bits = e * 2**52 + (m * 2.0**52).cast(np.int64)
    sign = np.array(np.iinfo(np.int64).min)
    signed = bits + (v < 0.0).where(sign, np.array(0))
    return v.is_nan().where(NAN, signed)
