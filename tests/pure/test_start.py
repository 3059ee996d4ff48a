"""The form of settings, as every process examines it before it works."""

from __future__ import annotations

import pytest

from farm.environment import AWS
from farm.errors import Misconfigured
from farm.settings import Settings
from farm.start import check_forms

SECRET = "s3cr3t"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*Settings.variables(), *AWS):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FARM_WEBHOOK_SECRET", SECRET),
        ("FARM_WEBHOOK_SECRET", "whsec_c2hvcnQ="),
        ("FARM_WEBHOOK_SECRET", "whsec_?"),
        ("FARM_WEBHOOK_ALLOW", "10.0.0.0/99"),
        ("FARM_WEBHOOK_ALLOW", "10.0.0.1/8"),
        ("FARM_WEBHOOK_ALLOW", "localhost"),
        ("FARM_TRUSTED_PROXIES", "127.0.0.1,proxy"),
        ("FARM_TRUSTED_PROXIES", "*"),
        ("FARM_PUBLIC_URL", "farm.example.com"),
        ("FARM_PUBLIC_URL", "https://[::1"),
        ("FARM_PUBLIC_URL", "https://"),
        ("FARM_PUBLIC_URL", "https://farm.example.com:port"),
        ("FARM_PUBLIC_URL", "https://farm.example.com:0"),
        ("FARM_PUBLIC_URL", "https://farm.example.com/?x=1"),
        ("FARM_PUBLIC_URL", "https://farm.example.com/\r"),
        ("FARM_URL", "ftp://farm.example.com"),
        ("FARM_REDIS_URL", "redis://redis/abc"),
        ("FARM_BROKER_URL", f"amqp://guest:{SECRET}@redis//"),
        ("FARM_STORAGE_URL", "/var/lib/farm"),
        ("FARM_STORAGE_URL", f"s3://key:{SECRET}@bucket/"),
        ("FARM_STORAGE_URL", "s3://[bucket"),
        ("FARM_STORAGE_URL", "s3://two buckets/"),
        ("FARM_STORAGE_URL", "s3://bucket/prefix?x"),
        ("FARM_STORAGE_URL", "file:///farm?x"),
        ("FARM_STORAGE_URL", "file:///farm#x"),
        ("FARM_STORAGE_URL", "file:///farm%00"),
        ("FARM_LEASE_SECONDS", "inf"),
        ("FARM_LEASE_SECONDS", "nan"),
        ("FARM_LEASE_SECONDS", "1e9"),
        ("FARM_WATCHDOG_SECONDS", "inf"),
        ("FARM_RETENTION_DAYS", "1e300"),
        ("FARM_RECORD_DAYS", "nan"),
        ("FARM_S3_PROXY", f"socks5://me:{SECRET}@proxy"),
    ],
)
def test_a_malformed_setting_is_refused_by_the_name_of_its_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    refused(name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL", "s3:8333"),
        ("AWS_ENDPOINT_URL", "http://[::1"),
        ("AWS_ENDPOINT_URL_S3", "s3"),
        ("AWS_REGION", "mars 1"),
        ("AWS_DEFAULT_REGION", "mars/1"),
        ("AWS_SECRET_ACCESS_KEY", f"{SECRET}\r"),
        ("AWS_ACCESS_KEY_ID", f"{SECRET} "),
        ("AWS_SESSION_TOKEN", f"{SECRET}é"),
        ("AWS_CA_BUNDLE", "/nonexistent.pem"),
        ("FARM_S3_PUBLIC_ENDPOINT", "s3"),
        ("FARM_S3_PUBLIC_ENDPOINT", "http://[::1"),
    ],
)
def test_a_malformed_variable_of_s3_is_refused_where_the_farm_uses_s3(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    check_forms(Settings.read())
    monkeypatch.setenv("FARM_STORAGE_URL", "s3://farm")
    refused(name)


def test_what_operators_write_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "FARM_REDIS_URL": "rediss://default:p%40ss@redis.example.com:6380?ssl_cert_reqs=none",
        "FARM_PUBLIC_URL": "https://example.com/tts/",
        "FARM_URL": "http://[::1]:8000",
        "FARM_STORAGE_URL": "s3://my-bucket.example/a b/ü",
        "FARM_S3_PUBLIC_ENDPOINT": "https://s3.example.com:8443",
        "FARM_S3_PROXY": "http://me:secret@proxy:3128",
        "FARM_WEBHOOK_ALLOW": "10.0.0.0/8,fd00::/8",
        "FARM_TRUSTED_PROXIES": "127.0.0.1,10.0.0.0/8,fd00::/8",
        "FARM_WEBHOOK_SECRET": "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "AWS_ENDPOINT_URL": "http://s3:8333",
        "AWS_REGION": "eu-central-1",
        "AWS_SECRET_ACCESS_KEY": "a/b+c==",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    check_forms(Settings.read())
    monkeypatch.setenv("FARM_STORAGE_URL", "file:///srv/a%20farm%3F")
    check_forms(Settings.read())


def refused(name: str) -> None:
    with pytest.raises(Misconfigured) as raised:
        check_forms(Settings.read())
    message = raised.value.message
    assert message.startswith(name)
    assert "\n" not in message
    assert SECRET not in message
