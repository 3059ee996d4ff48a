"""`make nightly` tries all cases where `make test` tries a sample of them."""

from __future__ import annotations

import os

NIGHTLY = "NIGHTLY" in os.environ
