"""Exercise 5: which rows are wrong, and where?  (Before: example 21. About 30 minutes.)

Six measured columns, (600, 6), that hang together: normal rows follow two hidden quantities. In five rows one
cell was exchanged for that of another row: a number as any other in its column, but not beside the rest of its row.
`suspects` has to return those five rows and the column of each, as [(row, column), ...] in any order.

What is below takes the five numbers that are farthest out, each in standard deviations of its column, and finds none.
Give each row back through two numbers, all that a normal row holds (`nanoae.PCA(2)`, `nanoae.Autoencoder(2)`): where
does it not come back? On tables that hang together less simply, `AnomalyDetector` and its `explain` do this.

    python examples/exercises/check.py 5
"""

import numpy as np


def suspects(table):
    z = np.abs(table - table.mean(axis=0)) / table.std(axis=0)
    rows = z.max(axis=1).argsort()[-5:]
    return [(row, z[row].argmax()) for row in rows]
