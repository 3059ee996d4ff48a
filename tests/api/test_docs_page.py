"""/docs and /openapi.json: readable without a network, behind a prefix, and without code of anybody else."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import httpx

from api.docs_page import page
from tests.api.conftest import Served

VOID = {"meta", "link", "br"}


class _Read(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(html: str) -> _Read:
    reader = _Read()
    reader.feed(html)
    assert reader.open == []
    return reader


def test_the_page_needs_nothing_of_another_host(api: httpx.Client) -> None:
    answer = api.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "://" not in re.sub(r"<pre>.*?</pre>", "", answer.text, flags=re.DOTALL)
    found = read(answer.text)
    assert "script" not in found.tags
    assert set(found.links) <= {"openapi.json", "data:,"} | {f"#{name}" for name in found.ids}
    assert {"openapi.json", "#JobRequest", "#Problem"} <= set(found.links)


def test_the_page_shows_every_route_and_every_shape(api: httpx.Client) -> None:
    document, html = api.get("/openapi.json").json(), api.get("/docs").text
    for path, operations in document["paths"].items():
        for method in operations:
            assert f"<b>{method.upper()}</b> <code>{path}</code>" in html
    assert set(read(html).ids) == document["components"]["schemas"].keys()


def test_the_browser_is_told_to_run_and_load_nothing_else(api: httpx.Client) -> None:
    answer = api.get("/docs")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert (policy["default-src"], policy["frame-ancestors"], policy.get("script-src")) == ("'none'", "'none'", None)
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy["style-src"] == f"'sha256-{digest}'"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_the_document_says_becomes_no_markup() -> None:
    said = {"description": "<script>`<b>`</script>", "responses": {"200": {"description": "<i>"}}, "tags": ["<t>"]}
    shape = {"type": "object", "properties": {"<p>": {"type": "string", "default": "<d>"}}, "enum": ["<e>"]}
    document: dict[str, Any] = {
        "info": {"title": "<h>", "description": "<d>"},
        "paths": {"/<path>": {"get": said}},
        "components": {"schemas": {"A": shape, "Problem": {}}},
    }
    assert not {"script", "b>", "i", "t", "p>", "d", "e", "h", "path"} & set(read(page(document)).tags)


def test_behind_a_prefix_page_and_document_name_it(served: Callable[..., Served]) -> None:
    with served(public_url="https://farm.example/tts").client() as api:
        assert api.get("/openapi.json").json()["servers"] == [{"url": "https://farm.example/tts"}]
        assert "openapi.json" in read(api.get("/docs").text).links  # relative, so it is found below any prefix


def test_the_document_allows_no_names_but_those_that_fit_its_patterns(api: httpx.Client) -> None:
    named = [shape for shape in _shapes(api.get("/openapi.json").json()) if "patternProperties" in shape]
    assert named
    assert all(shape["additionalProperties"] is False for shape in named)


def _shapes(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _shapes(inner)
