"""FARM_STORAGE_URL decides which storage there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from farm.errors import Misconfigured
from farm.settings import Settings
from farm.storage import LocalStorage, open_storage
from farm.storage.bucket import S3Storage
from tests.s3_server import S3Server


def test_a_file_url_opens_a_folder(tmp_path: Path) -> None:
    storage = open_storage(Settings.read(storage_url=f"file://{tmp_path}/a%20b"))

    assert isinstance(storage, LocalStorage)
    assert storage.root == tmp_path / "a b"
    storage.check()


@pytest.mark.parametrize(("url", "prefix"), [("s3://farm", ""), ("s3://farm/", ""), ("s3://farm/a/b/", "a/b/")])
def test_an_s3_url_opens_a_bucket(url: str, prefix: str) -> None:
    storage = open_storage(Settings.read(storage_url=url))

    assert isinstance(storage, S3Storage)
    assert (storage.bucket, storage.prefix) == ("farm", prefix)


def test_the_settings_reach_the_bucket(s3_environment: None) -> None:
    settings = Settings.read(storage_url="s3://farm", s3_path_style=False, s3_public_endpoint="https://s3.example.com")

    url = open_storage(settings).url("results/job/audio.mp3")

    assert url is not None
    assert url.startswith("https://farm.s3.example.com/results/job/audio.mp3?")


def test_an_empty_public_endpoint_is_none(s3_environment: None, s3_server: S3Server) -> None:
    url = open_storage(Settings.read(storage_url="s3://farm", s3_public_endpoint="")).url("results/job/audio.mp3")

    assert url is not None
    assert url.startswith(f"{s3_server.endpoint}/farm/results/job/audio.mp3?")


@pytest.mark.parametrize("url", ["", "/var/lib/farm", "file://folder", "file:folder", "s3://", "http://s3:8333/farm"])
def test_any_other_url_is_misconfigured(url: str) -> None:
    with pytest.raises(Misconfigured, match="it must be file:///absolute/folder or s3://bucket/prefix"):
        open_storage(Settings.read(storage_url=url))


@pytest.mark.parametrize("url", ["s3://farm/../up", "s3://farm/a//b"])
def test_a_prefix_that_leads_elsewhere_is_misconfigured(url: str) -> None:
    with pytest.raises(Misconfigured, match="FARM_STORAGE_URL"):
        open_storage(Settings.read(storage_url=url))


def test_a_farm_on_a_folder_does_not_load_boto3(tmp_path: Path) -> None:
    script = "import sys, farm.storage as s; s.LocalStorage(sys.argv[1]).check(); print('boto3' in sys.modules)"

    said = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)

    assert said.stdout == "False\n"
