"""LAPACK factorisations of host matrices, each on one thread.

A second thread makes their many small products only a fifth faster, and on a busy machine the threads wait for each
other a hundred times as long as they compute.
"""

from __future__ import annotations

import numpy as np

from nanoae.backend.blas import one_thread

cholesky = one_thread()(np.linalg.cholesky)
eigh = one_thread()(np.linalg.eigh)
inverse = one_thread()(np.linalg.inv)
solve = one_thread()(np.linalg.solve)
svd = one_thread()(np.linalg.svd)
