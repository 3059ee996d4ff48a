"""Secrets: their form, and that no tenant can forge another's webhooks."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from farm.errors import Misconfigured
from farm.webhooks.secrets import check_form, secret_for


def secret_of(length: int) -> str:
    return "whsec_" + base64.b64encode(bytes(range(length))).decode()


MASTER = secret_of(32)


@pytest.mark.parametrize("length", [24, 32, 64])
def test_the_operators_secret_signs_nothing(length: int) -> None:
    """Else the receivers of the tenant `default` could sign for all others."""
    master = secret_of(length)
    derived = secret_for("default", master)
    assert derived != master
    assert secret_for("ann", derived) != secret_for("ann", master)


@given(st.text(min_size=1), st.text(min_size=1))
def test_each_tenant_has_a_well_formed_secret_of_its_own(one: str, other: str) -> None:
    secret = secret_for(one, MASTER)
    assert secret == secret_for(one, MASTER)
    assert (secret == secret_for(other, MASTER)) == (one == other)
    check_form(secret)
    assert (secret == secret_for(one, secret_of(33))) is False


@given(st.text(min_size=1), st.integers(0, 99), st.text(min_size=1), st.integers(0, 99))
def test_each_generation_has_a_secret_that_no_other_tenant_has(one: str, first: int, other: str, second: int) -> None:
    same = secret_for(one, MASTER, first) == secret_for(other, MASTER, second)
    assert same == ((one, first) == (other, second))


@pytest.mark.parametrize("other", ["ann/1", "-generation/1/ann", "1/ann"])
def test_no_name_of_a_tenant_makes_it_have_the_later_secret_of_another(other: str) -> None:
    assert secret_for(other, MASTER) != secret_for("ann", MASTER, 1)


def test_one_tenants_signature_is_refused_with_anothers_secret() -> None:
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "job_1.0",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret_for("mallory", MASTER)).sign("job_1.0", now, "{}"),
    }
    assert Webhook(secret_for("mallory", MASTER)).verify("{}", headers) == {}
    for tenant in ("alice", "default"):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret_for(tenant, MASTER)).verify("{}", headers)


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("", "does not begin with whsec_"),
        (MASTER.removeprefix("whsec_"), "does not begin with whsec_"),
        ("whsec_", "holds 0 bytes"),
        (secret_of(23), "holds 23 bytes"),
        (secret_of(65), "holds 65 bytes"),
        ("whsec_hunter2", "is not base64"),
        ("whsec_" + "-_" * 16, "is not base64"),
        (MASTER + "\n", "is not base64"),
        ("whsec_" + "é" * 32, "is not base64"),
    ],
)
@pytest.mark.parametrize("tenant", ["default", "alice"])
def test_a_malformed_secret_is_refused_with_a_way_to_make_one(tenant: str, secret: str, why: str) -> None:
    with pytest.raises(Misconfigured, match=re.escape(f"FARM_WEBHOOK_SECRET {why}")) as refusal:
        secret_for(tenant, secret)
    assert "openssl rand -base64 32" in refusal.value.message
    if len(secret) > len("whsec_"):
        assert secret.strip() not in refusal.value.message
