"""The files of the dashboard, as they are sent and as they lie here. What they do is tested in tests/browser."""

from __future__ import annotations

import gzip
import hashlib
import re
import tomllib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import httpx
import pytest

from api.dashboard.pages import policy
from farm.storage.folder import LocalStorage
from farm.store import Store
from tests.api.conftest import Served
from tests.api.test_access import make_key

ROOT = Path(__file__).parents[2]
FILES = sorted(file for file in (ROOT / "api/dashboard").rglob("*") if file.suffix in (".html", ".css", ".js"))
VENDOR = [file for file in FILES if file.parent.name == "vendor"]
LATER = {ROOT / "api/dashboard/vendor/hls.js"}  # asked for when somebody listens to a job that is rendered


def test_the_dashboard_is_sent_under_a_policy_that_runs_no_other_script(api: httpx.Client) -> None:
    page = httpx.get(f"{api.base_url}/", trust_env=False)
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"] == policy(None)
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"
    for name in re.findall(r'(?:src|href)="(dashboard/[^"]+)"', page.text):
        assert httpx.get(f"{api.base_url}/{name}", trust_env=False).status_code == 200, name


def test_a_file_that_the_browser_has_is_not_sent_again(api: httpx.Client) -> None:
    url = f"{api.base_url}/dashboard/app.js"
    first = httpx.get(url, trust_env=False)
    again = httpx.get(url, headers={"If-None-Match": first.headers["etag"]}, trust_env=False)
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert first.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "name", ["pages.py", "../app.py", "%2e%2e/app.py", "vendor", "vendor/", "__init__.py", "", "%00"]
)
def test_nothing_but_the_files_of_the_dashboard_is_sent(api: httpx.Client, name: str) -> None:
    assert httpx.get(f"{api.base_url}/dashboard/{name}", trust_env=False).status_code == 404


def test_the_files_need_no_key(store: Store, served: Callable[..., Served]) -> None:
    make_key(store, "ann", "ann")
    with httpx.Client(base_url=served().url, trust_env=False) as client:
        assert client.get("/").status_code == client.get("/dashboard/app.js").status_code == 200
        assert client.get("/v1/jobs").status_code == 401


def test_the_policy_names_the_bucket_where_presigned_urls_lead(
    api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalStorage, "url", lambda *_, **__: "https://media.example:9000/bucket/key?X-Amz-Date=1")
    said = httpx.get(f"{api.base_url}/", trust_env=False).headers["content-security-policy"]
    assert "media-src 'self' blob: https://media.example:9000;" in said
    assert "connect-src 'self' https://media.example:9000;" in said


def test_vendored_files_are_those_that_notice_names() -> None:
    notice = (ROOT / "NOTICE").read_text("utf-8")
    assert VENDOR
    for file in VENDOR:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert re.search(rf"api/dashboard/vendor/{re.escape(file.name)}\s.*\n?.*{digest}", notice), file.name


def test_the_page_asks_for_every_module_at_once() -> None:
    """Else the browser finds one module in another, and waits for each."""
    page = (ROOT / "api/dashboard/index.html").read_text("utf-8")
    asked = set(re.findall(r'<link rel="modulepreload" href="([^"]+)"|<script src="([^"]+)"', page))
    scripts = {f"{file.relative_to(ROOT / 'api')}" for file in FILES if file.suffix == ".js" and file not in LATER}
    assert {one or other for one, other in asked} == scripts


def test_every_file_is_in_the_package() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-data"]["api"]
    for file in FILES:
        assert any(PurePosixPath(file.relative_to(ROOT / "api")).match(pattern) for pattern in patterns), file


def test_all_files_of_a_page_together_have_at_most_150_kb_when_compressed() -> None:
    assert sum(len(gzip.compress(file.read_bytes())) for file in FILES if file not in LATER) <= 150_000


def test_the_player_of_early_listening_has_at_most_120_kb_when_compressed() -> None:
    assert sum(len(gzip.compress(file.read_bytes())) for file in LATER) <= 120_000


def test_no_file_asks_another_host_and_none_has_script_or_style_inside() -> None:
    for file in FILES:
        if file in VENDOR:
            continue
        text = file.read_text("utf-8")
        assert not re.search(r"https?://|//[a-z]+\.", text.replace("// ", "")), file
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(|style=\"", text), file
