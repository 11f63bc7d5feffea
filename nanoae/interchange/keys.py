"""Keys of rows as ONNX nodes: training rows are recognised, and scored by the folds that did not see them.

`calibration.row_keys` works on the 64 bits of each number, which ONNX cannot access but can compute exactly: for
|v| = m · 2ᵉ with 1 <= m < 2 they are the integer 2⁵² (e + 1022) + 2⁵² m (IEEE 754); for |v| < 2⁻¹⁰²², e is -1022, too.
"""

from __future__ import annotations

import numpy as np

from nanoae.anomaly.calibration import SeenRows, key_factors
from nanoae.interchange.graph import Value
from nanoae.interchange.scaling import counted, looked_up

POWERS = 2.0 ** np.arange(-1022, 1024)[None]  # the first also serves smaller numbers
NAN = np.array(np.nan).view(np.int64)


def weights_of_folds(seen: SeenRows, X: Value, columns: int) -> Value:
    """(F, N, 1): the weight of each fold in the score of each row of X (N, D), as in `SeenRows.of_folds`."""
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
    # a matrix product, since ReduceSum does not wrap at 64 bits
    return xor_shifted(mixed, 32) @ np.ones((columns, 1), np.int64)


def xor_shifted(bits: Value, places: int) -> Value:
    """bits ^ (bits >> places), treating int64 as unsigned."""
    plain = bits.cast(np.uint64)
    shifted = plain.apply("BitShift", np.array(places, np.uint64), direction="RIGHT")
    return plain.apply("BitwiseXor", shifted).cast(np.int64)


def bits_of(v: Value) -> Value:
    """The bits of float64 as int64, with a single NaN, and +0 for -0."""
    size = v.apply("Abs").apply("Min", np.finfo(float).max)
    place = counted(POWERS, size, strictly=False) - 1
    e = place.apply("Max", np.array(0))
    m = size / looked_up(POWERS, e)
    bits = e * 2**52 + (m * 2.0**52).cast(np.int64)
    sign = np.array(np.iinfo(np.int64).min)
    signed = bits + (v < 0.0).where(sign, np.array(0))
    return v.is_nan().where(NAN, signed)
