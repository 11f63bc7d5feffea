"""Exercise 5: which rows are wrong, and where?  (First: example 21. About 30 minutes.)

Six correlated measurements, (600, 6): normal rows depend on two hidden quantities. In each of five rows, one cell was
replaced by that of another row: a common value for its column, but not together with the rest of its row.
`suspects` must return those five rows and the column of each, as [(row, column), ...] in any order.

The code below takes the five most extreme values, in standard deviations of their columns, and finds none of them.
Reconstruct each row from two numbers, which is all that a normal row holds (`nanoae.PCA(2)`, `nanoae.Autoencoder(2)`):
where does the reconstruction fail? For less simple dependencies, `AnomalyDetector` and its `explain` do this.

    python examples/exercises/check.py 5
"""

import numpy as np


def suspects(table):
    z = np.abs(table - table.mean(axis=0)) / table.std(axis=0)
    rows = z.max(axis=1).argsort()[-5:]
    return [(row, z[row].argmax()) for row in rows]
