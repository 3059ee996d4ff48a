from __future__ import annotations

import logging

import pytest

from farm.environment import AWS, drop_strange


def test_variables_of_libraries_go_and_all_others_stay(caplog: pytest.LogCaptureFixture) -> None:
    stays = {"FARM_REDIS_URL", "PATH", "TMPDIR", "OMP_NUM_THREADS", "SSL_CERT_FILE", "CELERYBEAT", "AWSOME", *AWS}
    goes = {"CELERY_BROKER_URL", "AWS_CONFIG_FILE", "AWS_PROFILE", "WEB_CONCURRENCY", "UVICORN_PORT"}
    environment = dict.fromkeys(stays | goes, "x")
    with caplog.at_level(logging.WARNING):
        drop_strange(environment)
    assert environment.keys() == stays
    (record,) = caplog.records
    assert record.getMessage() == f"ignored, because FARM_ variables decide here: {', '.join(sorted(goes))}"


def test_an_environment_without_them_is_not_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    drop_strange({"PATH": "/bin"})
    assert caplog.records == []
