"""Pages of other sites, which FARM_CORS_ORIGINS lets read answers. It stands in front of the gate: a browser asks with
OPTIONS before it sends a key.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

_SHOWN = (
    *("X-Request-Id", "X-Farm-Job", "X-Farm-Ignored", "Location", "Retry-After", "Idempotent-Replayed"),
    *("RateLimit", "RateLimit-Policy", "Content-Range", "Content-Disposition", "ETag"),
)


def cors(origins: Sequence[str]) -> list[Middleware]:
    """Nothing where no origin is named."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST", "PATCH", "DELETE"),
            allow_headers=("*",),
            expose_headers=_SHOWN,
            max_age=600,
        )
    ]
