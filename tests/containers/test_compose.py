"""What compose/ promises: every setting can be set, nothing secret stands in it, both Composes read it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.metrics import FarmCollector
from api.process_metrics import ProcessMetrics
from farm.settings import Settings
from farm.store.registry import Backlog
from farm.store.tally import Tally
from worker.settings_docs import by_settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose"
FILES = ("compose.yaml", "gpu.yaml", "kokoro.yaml")
TEXTS = {name: (COMPOSE / name).read_text("utf-8") for name in FILES}
FARM, GPU, KOKORO = (yaml.safe_load(text)["services"] for text in TEXTS.values())
OURS = ("api", "desk", "worker")
EXAMPLE = (COMPOSE / ".env.example").read_text("utf-8")
# Settings that compose sets by itself, or that belong to other programs of the farm.
BY_THE_IMAGE = {"FARM_HOST", "FARM_PORT"}
COMPOSED = {"FARM_REDIS_URL"}  # from REDIS_PASSWORD, REDIS_HOST and REDIS_PORT
OF_CLIENTS = {"FARM_URL"}
OF_THE_EMBEDDED_FARM = {"FARM_DATA_DIR", "FARM_WEBHOOK_ALLOW_KEYLESS"}
SECRETS = {"REDIS_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "FARM_API_KEY"}


def variables(text: str) -> set[str]:
    return set(re.findall(r"(?<!\$)\$\{(\w+)", text))


def metrics(text: str) -> set[str]:
    return set(re.findall(r"\bfarm_[a-z_]+", text))


def test_every_setting_can_be_set_in_the_env_file() -> None:
    settings = {name for each in (Settings, *by_settings()) for name in each.variables()}
    elsewhere = BY_THE_IMAGE | COMPOSED | OF_CLIENTS | OF_THE_EMBEDDED_FARM
    given = {name for service in OURS for name in FARM[service]["environment"]}
    given |= {*GPU["worker"]["environment"], *KOKORO["worker"]["environment"], "FARM_API_KEY"}
    assert settings - elsewhere == {name for name in given if name.startswith("FARM_")} - COMPOSED


def test_the_example_names_every_variable_and_no_other() -> None:
    named = set(re.findall(r"^(\w+)=", EXAMPLE, re.MULTILINE))
    assert named == variables("".join(TEXTS.values()))


def test_the_example_holds_no_secret_and_compose_insists_on_each() -> None:
    for name in SECRETS:
        assert f"\n{name}=\n" in EXAMPLE
        assert f"${{{name}:?is not set - cp compose/.env.example compose/.env" in TEXTS["compose.yaml"]
        assert f"${{{name}:-" not in "".join(TEXTS.values())


@pytest.mark.parametrize("text", TEXTS.values(), ids=FILES)
def test_both_composes_read_it(text: str) -> None:
    """What docker-compose 1.29 refuses, or silently gets wrong, that v2 understands."""
    found = yaml.safe_load(text)
    assert set(found) <= {"services", "volumes", "networks", *(name for name in found if name.startswith("x-"))}
    assert not re.search(r"\$\{\w+:-[^}]*\$\{", text), "a default within a default"
    assert not re.search(r"\$\{\w+:\+", text)
    for service in found["services"].values():
        assert not {"gpus", "develop", "configs", "secrets"} & set(service)
        assert "start_interval" not in service.get("healthcheck", {})
        assert set(service.get("build", {})) <= {"context", "dockerfile", "args"}


@pytest.mark.parametrize("name", FARM)
def test_a_service_has_pinned_images_bounded_logs_and_comes_back(name: str) -> None:
    service = FARM[name]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["restart"] == ("no" if name == "prepare" else "unless-stopped")
    if "build" not in service:
        assert re.search(r":v?\d+\.\d+", service["image"]), "another version must not come by itself"


@pytest.mark.parametrize("name", FARM)
def test_a_service_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = FARM[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] > 0
    assert service.get("cap_add", []) == (
        ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"] if name == "storage" else []
    )
    if name in (*OURS, "prepare"):
        assert service["read_only"]
        assert service["volumes"] == ["/tmp", *(["models:/var/lib/farm/models"] if name == "worker" else [])]
    assert ("mem_limit" in service) == (name in OURS)


def test_a_service_gets_only_the_secrets_that_it_needs() -> None:
    def having(secret: str) -> set[str]:
        return {name for name, service in FARM.items() if secret in service.get("environment", {})}

    assert having("FARM_WEBHOOK_SECRET") == {"api", "desk"}
    assert having("FARM_API_KEY") == {"prepare", "prometheus"}
    assert having("REDISCLI_AUTH") == {"redis"}
    assert having("AWS_SECRET_ACCESS_KEY") == {"storage", "prepare", *OURS}


def test_a_service_reaches_only_those_that_it_needs() -> None:
    reached: dict[str, set[str]] = {}
    for name, service in FARM.items():
        for network in service["networks"]:
            reached.setdefault(network, set()).add(name)
    assert reached == {
        "queue": {"redis", "prepare", "flower", *OURS},
        "objects": {"storage", "prepare", *OURS},
        "metrics": {"api", "prometheus"},
        "dashboard": {"prometheus", "grafana"},
    }
    assert yaml.safe_load(TEXTS["compose.yaml"])["networks"].keys() == reached.keys()


def test_workers_may_finish_their_batch() -> None:
    assert FARM["worker"]["stop_grace_period"] == "3m"
    assert FARM["desk"]["stop_grace_period"] == "1m"


def test_the_farm_starts_when_bucket_and_key_are_there() -> None:
    for name in OURS:
        assert FARM[name]["depends_on"] == {"prepare": {"condition": "service_completed_successfully"}}
    waits = {name: each["condition"] for name, each in FARM["prepare"]["depends_on"].items()}
    assert waits == {"redis": "service_healthy", "storage": "service_healthy"}


def test_only_the_api_and_the_bucket_are_published_and_on_loopback_alone() -> None:
    published = {name: service["ports"] for name, service in FARM.items() if "ports" in service}
    assert published.keys() == {"api", "storage", "flower", "prometheus", "grafana"}
    assert all(re.match(r"(\$\{\w+_BIND:-)?127\.0\.0\.1", port) for ports in published.values() for port in ports)


def test_redis_keeps_everything_that_was_accepted() -> None:
    conf = (COMPOSE / "redis.conf").read_text().splitlines()
    assert {"appendonly yes", "maxmemory-policy noeviction"} <= set(conf)
    assert FARM["redis"]["environment"]["REDIS_APPENDFSYNC"] == "${REDIS_APPENDFSYNC:-everysec}"
    assert 'echo "appendfsync ${REDIS_APPENDFSYNC:-everysec}"' in (COMPOSE / "start-redis").read_text()


def test_the_gpu_file_gives_workers_gpus_and_the_model() -> None:
    (device,) = GPU["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert GPU["worker"]["entrypoint"] == ["tini", "--", "take-gpu", "python", "-m", "worker"]
    assert {each["environment"]["FARM_MODEL"] for each in GPU.values()} == {"${FARM_MODEL:-indextts-2}"}


def test_the_kokoro_file_gives_every_part_the_model_and_its_weights_are_kept() -> None:
    assert KOKORO["worker"]["build"]["args"] == {"ENGINE": "kokoro"}
    assert "volumes" not in KOKORO["worker"], "the farm's own file has the one for weights"
    assert "/var/lib/farm/models/" in KOKORO["worker"]["environment"]["FARM_KOKORO_DIR"]
    assert {each["environment"]["FARM_MODEL"] for each in KOKORO.values()} == {"${FARM_MODEL:-kokoro}"}


def test_one_line_builds_workers_with_the_ear_and_has_them_hear() -> None:
    """CHECK=1 FARM_CHECK=report docker compose … up -d --build; and the weights of the ear are kept in a volume."""
    assert FARM["worker"]["build"]["args"] == {"CHECK": "${CHECK:-}"}
    assert FARM["worker"]["environment"]["FARM_CHECK"] == "${FARM_CHECK:-}"
    for other in (GPU["worker"], KOKORO["worker"]):
        assert "CHECK" not in other["build"]["args"], "or it would say no"
        assert "FARM_CHECK" not in other["environment"]
    kept = FARM["worker"]["volumes"][-1].partition(":")[2]
    assert FARM["worker"]["environment"]["FARM_EAR_DIR"] == f"${{FARM_EAR_DIR:-{kept}/ear}}"
    line = "CHECK=1 FARM_CHECK=report docker compose -f compose/compose.yaml"
    assert line in (ROOT / "docs" / "voices.md").read_text("utf-8")


def published() -> set[str]:
    """The names under which Prometheus keeps the metrics."""
    nothing = Backlog(jobs={}, ready={}, quarantined={}, leased={}, due={}, tally=Tally({}))
    families = [*FarmCollector(nothing, []).collect(), *ProcessMetrics().registry.collect()]
    suffix = {"counter": "_total", "histogram": "_bucket"}
    return {family.name + suffix.get(family.type, "") for family in families}


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads((COMPOSE / "monitoring/grafana/dashboards/farm.json").read_text("utf-8"))
    return list(dashboard["panels"])


def test_the_dashboard_and_the_autoscaler_ask_for_what_the_api_publishes() -> None:
    asked = {name for panel in panels() for target in panel["targets"] for name in metrics(target["expr"])}
    assert asked <= published()
    assert len(asked) > 15
    (scaled,) = yaml.safe_load_all((COMPOSE / "k8s" / "keda.yaml").read_text("utf-8"))
    (trigger,) = scaled["spec"]["triggers"]
    assert metrics(trigger["metadata"]["query"]) == {"farm_segments_ready", "farm_segments_leased"}


def test_kubernetes_runs_what_compose_runs() -> None:
    found = list(yaml.safe_load_all((COMPOSE / "k8s" / "farm.yaml").read_text("utf-8")))
    deployed = {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]
        for each in found
        if each["kind"] in ("Job", "Deployment")
    }
    assert deployed.keys() == {"prepare", *OURS}
    for pod in deployed.values():
        (container,) = pod["containers"]
        assert container["securityContext"]["runAsUser"] == 10001
        assert container["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False, "FARM_PORT would become tcp://…"
        assert container["resources"]["limits"]["memory"]
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}
        assert all(volume["emptyDir"]["sizeLimit"] for volume in pod["volumes"] if "emptyDir" in volume)
    for name in OURS:
        assert f"{deployed[name]['terminationGracePeriodSeconds']}s" == {
            "api": "20s", "desk": "60s", "worker": "180s",
        }[name]  # fmt: skip


def test_pods_get_only_the_secrets_that_they_need_and_only_the_api_is_reached() -> None:
    found = list(yaml.safe_load_all((COMPOSE / "k8s" / "farm.yaml").read_text("utf-8")))
    having: dict[str, set[str]] = {}
    for each in found:
        if each["kind"] in ("Job", "Deployment"):
            (container,) = each["spec"]["template"]["spec"]["containers"]
            for source in container["envFrom"]:
                if "secretRef" in source:
                    having.setdefault(source["secretRef"]["name"], set()).add(container["name"])
    assert having == {"farm": {"prepare", *OURS}, "farm-api-key": {"prepare"}, "farm-webhooks": {"api", "desk"}}
    policies = {each["metadata"]["name"]: each["spec"] for each in found if each["kind"] == "NetworkPolicy"}
    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert policies["api"]["ingress"] == [{"ports": [{"port": 8000}]}]
