"""Webhook signing secrets: their form, and one secret per tenant from the farm's own.

A secret is `whsec_` and the base64 of 24 to 64 random bytes (Standard Webhooks). The operator sets one secret, the
master, which signs nothing. Each tenant's secret is derived from it and a number, the generation; `farm keys secret`
shows it, and `farm keys rotate-secret` begins the next generation. A tenant can verify its own webhooks with it, but
forge nobody else's. Only the number needs to be stored.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from farm.errors import Misconfigured

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64  # bytes

# Signed content begins with a delivery id, never with this prefix: no webhook's signature is ever a tenant's secret.
# No two pairs of tenant and generation derive from the same text, whatever a tenant's name.
_DERIVE = "tts-farm/webhook-secret/"
_DERIVE_LATER = "tts-farm/webhook-secret-generation/"


def secret_for(tenant: str, master: str, generation: int = 0) -> str:
    """The secret of a tenant's webhooks: HMAC-SHA256 of its name and the generation under the master's bytes, for the
    tenant of a farm without API keys as well: with the master its receivers could sign for all others. Raises
    Misconfigured when the master has not the form of a secret."""
    key = _decoded(master)
    said = f"{_DERIVE_LATER}{generation}/{tenant}" if generation else _DERIVE + tenant
    return PREFIX + base64.b64encode(hmac.digest(key, said.encode(), hashlib.sha256)).decode()


def check_form(master: str | None) -> None:
    """Raises Misconfigured when FARM_WEBHOOK_SECRET is set and has not the form of a secret."""
    if master is not None:
        _decoded(master)


def _decoded(secret: str) -> bytes:
    if not secret.startswith(PREFIX):
        raise _malformed(f"does not begin with {PREFIX}")
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise _malformed("is not base64 (A-Z a-z 0-9 + /, padded with =)") from None
    if not SHORTEST <= len(key) <= LONGEST:
        raise _malformed(f"holds {len(key)} bytes, not {SHORTEST} to {LONGEST}")
    return key


def _malformed(why: str) -> Misconfigured:
    return Misconfigured(f'FARM_WEBHOOK_SECRET {why}; make one with: echo "{PREFIX}$(openssl rand -base64 32)"')
