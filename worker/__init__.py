"""The Celery workers: render runs an engine, desk plans, assembles and delivers.

A machine has as many workers as cores, so none of them multiplies matrices on several. With two threads a product of
some hundred numbers waits for the second one: on a busy machine 30 s for a word that takes 0.3 s by one. OpenBLAS reads
the variable when numpy is loaded, which is after this file.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"
