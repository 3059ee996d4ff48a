from __future__ import annotations

import re
from pathlib import Path

import pytest

from farm.errors import Misconfigured
from farm.settings import Settings, misspelt
from worker.engines.indextts.settings import IndexTTSSettings
from worker.settings_docs import by_settings, main


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for settings in (Settings, *by_settings()):
        for name in settings.variables():
            monkeypatch.delenv(name, raising=False)


def test_every_setting_has_a_default_and_a_sentence() -> None:
    Settings.read()
    assert not [name for name, field in Settings.model_fields.items() if field.is_required() or not field.description]


def test_every_setting_is_read_by_the_product() -> None:
    root = Path(__file__).parents[2]
    product = [path for folder in ("farm", "api", "worker") for path in (root / folder).rglob("*.py")]
    code = "".join(path.read_text() for path in product if path.name != "settings.py")
    unread = [name for name in Settings.model_fields if not re.search(rf"\.{name}\b", code)]
    assert unread == ["broker_url"]  # which Settings.broker reads


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_PORT", "9000")
    monkeypatch.setenv("FARM_DATA_DIR", "/srv/farm")
    monkeypatch.setenv("FARM_LOG_LEVEL", "debug")
    settings = Settings.read()
    assert (settings.port, settings.data_dir, settings.log_level) == (9000, Path("/srv/farm"), "DEBUG")


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_PORT", "9000")
    assert Settings.read(port=9001).port == 9001


def test_an_empty_variable_is_an_absent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FARM_PORT", "FARM_WEBHOOK_SECRET", "FARM_WEBHOOK_ALLOW", "FARM_BROKER_URL"):
        monkeypatch.setenv(name, "")
    assert Settings.read() == Settings.model_construct()
    assert Settings.read().webhook_secret is None


def test_settings_can_not_be_changed_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        setattr(Settings.read(), "port", 1)  # noqa: B010


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FARM_PORT", "http"), ("FARM_PORT", "65536"), ("FARM_PORT", "-1"), ("FARM_LEASE_SECONDS", "0"),
        ("FARM_LEASE_SECONDS", "soon"), ("FARM_RETENTION_DAYS", "0"), ("FARM_LOG_LEVEL", "LOUD"),
        ("FARM_S3_PATH_STYLE", "perhaps"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Misconfigured, match=f"^{name}: ") as raised:
        Settings.read()
    assert ";" not in raised.value.message


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_PORT", "http")
    monkeypatch.setenv("FARM_RECORD_DAYS", "-1")
    with pytest.raises(Misconfigured, match=r"FARM_PORT: .*; FARM_RECORD_DAYS: "):
        Settings.read()


@pytest.mark.parametrize(
    ("value", "networks"),
    [
        ("10.0.0.0/8", ("10.0.0.0/8",)),
        ("10.0.0.0/8,127.0.0.0/8", ("10.0.0.0/8", "127.0.0.0/8")),
        (" 10.0.0.0/8 , ,fd00::/8, ", ("10.0.0.0/8", "fd00::/8")),
        (" , ", ()),
    ],
)
def test_networks_are_listed_with_commas(
    monkeypatch: pytest.MonkeyPatch, value: str, networks: tuple[str, ...]
) -> None:
    monkeypatch.setenv("FARM_WEBHOOK_ALLOW", value)
    assert Settings.read().webhook_allow == networks
    assert Settings.read(webhook_allow=value).webhook_allow == networks


@pytest.mark.parametrize(
    ("store", "broker"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/1"),
        ("redis://:secret@redis:6380", "redis://:secret@redis:6380/1"),
        ("rediss://redis/3?ssl_cert_reqs=none", "rediss://redis/4?ssl_cert_reqs=none"),
        ("redis://redis?db=3", "redis://redis/4"),
        ("unix:///run/redis.sock?db=0", "unix:///run/redis.sock?db=1"),
    ],
)
def test_the_broker_has_the_database_after_the_stores(store: str, broker: str) -> None:
    assert Settings.read(redis_url=store).broker == broker
    assert Settings.read(redis_url=store, broker_url="redis://elsewhere/7").broker == "redis://elsewhere/7"


@pytest.mark.parametrize("store", ["redis://127.0.0.1/farm", "unix://redis.sock"])
def test_a_store_whose_next_database_can_not_be_known_is_refused(store: str) -> None:
    with pytest.raises(Misconfigured, match=r"^FARM_REDIS_URL: "):
        _ = Settings.read(redis_url=store).broker


def test_a_broker_of_another_kind_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"^FARM_BROKER_URL: "):
        _ = Settings.read(broker_url="amqp://guest@127.0.0.1//").broker


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("FARM_PROT", "FARM_PORT"), ("FARM_REDISURL", "FARM_REDIS_URL"), ("FARM_WEBHOOKS_ALLOW", "FARM_WEBHOOK_ALLOW")],
)
def test_a_misspelt_setting_is_told_the_nearest_one(name: str, nearest: str) -> None:
    assert misspelt({name: "1"}) == [f"{name} is not a setting; did you mean {nearest}?"]


LINKS = {
    "FARM_PORT": "tcp://10.43.1.39:8000",
    "FARM_SERVICE_HOST": "10.43.1.39",
    "FARM_SERVICE_PORT": "8000",
    "FARM_SERVICE_PORT_HTTP": "8000",
    "FARM_PORT_8000_TCP": "tcp://10.43.1.39:8000",
    "FARM_PORT_8000_TCP_PROTO": "tcp",
    "FARM_PORT_8000_TCP_PORT": "8000",
    "FARM_PORT_8000_TCP_ADDR": "10.43.1.39",
    "FARM_API_SERVICE_HOST": "10.43.1.40",
    "FARM_API_PORT": "tcp://10.43.1.40:8000",
    "FARM_REDIS_PORT_6379_TCP_ADDR": "10.43.1.41",
    "FARM_DNS_PORT": "udp://10.43.1.42:53",
}


def test_links_of_services_in_kubernetes_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Service named `farm` or `farm-…` puts them into each container."""
    for name, value in LINKS.items():
        monkeypatch.setenv(name, value)
    assert Settings.read().port == 8000
    assert misspelt(LINKS) == []
    assert misspelt({"FARM_API_PORT": "8000"}) != []


def test_an_unknown_setting_without_a_similar_name_is_named_alone() -> None:
    assert misspelt({"FARM_ZZZZZZ": "1"}) == ["FARM_ZZZZZZ is not a setting"]
    assert misspelt({"FARM_TYPO_HERE": "1"}) == ["FARM_TYPO_HERE is not a setting"], "only the prefix is alike"


def test_real_settings_and_other_peoples_variables_are_no_misspellings() -> None:
    real = dict.fromkeys((name for settings in (Settings, *by_settings()) for name in settings.variables()), "")
    assert "FARM_INDEXTTS_SLOTS" in real
    assert misspelt({**real, "PATH": "", "FARMER": "", "FARM_VENV": ""}) == []


def test_a_setting_of_an_earlier_release_is_told_what_came_in_its_place() -> None:
    (said,) = misspelt({"FARM_INDEXTTS_COMPILE": "1"}, IndexTTSSettings)
    assert said.startswith("FARM_INDEXTTS_COMPILE is a setting no longer: ")
    assert "FARM_INDEXTTS_GRAPH=off" in said
    assert misspelt({"FARM_INDEXTTS_COMPILE": "1"}) == []


def test_the_printed_settings_are_those_of_the_class(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    printed = Path(__file__).parents[2] / "docs" / "settings.md"
    assert printed.read_text() == capsys.readouterr().out, "python -m worker.settings_docs > docs/settings.md"
