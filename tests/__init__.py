"""The tests. Products of matrices take one thread in their processes too: those of several would wait for each other
(worker/__init__.py)."""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"
