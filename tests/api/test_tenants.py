"""Another tenant's ids, on every route of the document that takes one: they are unknown, to the letter. And who may
come in by which route, as SECURITY.md has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from farm.store import Store, documents, lexicons, registry
from farm.stored import LexiconVersion, StoredLexicon
from tests.api.backstage import Backstage
from tests.api.conftest import Served
from tests.api.document import document
from tests.api.test_access import make_key

SECURITY = Path(__file__).parents[2] / "SECURITY.md"
NIGHT = {"input": "It was a dark and stormy night."}
UNKNOWN = {
    "job_id": "job_0000000000000000",
    "batch_id": "batch_0000000000000000",
    "delivery_id": "{owner}.1",
    "chapter": "0",
    "kind": "vtt",
    "name": "hisown",
    "document_id": "doc_" + "0" * 26,
    "segment": "0",
    "index": "0",
    "ticket": "job_0000000000000000.0.-." + "A" * 22,
    "sample_rate": "22050",
    "fragment": "0-00000000-0-0-0",
}
HER_DOCUMENT = "doc_" + "1" * 26
PUBLIC = {"/v1/models/{name}"}  # whose names all tenants share
BESIDE = [("GET", "/"), ("GET", "/dashboard/app.js"), ("GET", "/docs"), ("GET", "/openapi.json")]  # not in the document
ALIKE = {"/v1/models", "/v1/models/{name}", "/v1/audio/models", "/v1/session"}  # say nothing of a tenant's work
WHOLE = {"/metrics", "/v1/queue"}  # where an operator sees the farm
HEAD = "| route | no key | wrong key | another tenant | an operator |\n|---|---|---|---|---|\n"


def _operations() -> list[tuple[str, str]]:
    return [(method.upper(), path) for path, operations in document()["paths"].items() for method in operations]


def _routes() -> list[tuple[str, str]]:
    """Method and path of every operation that takes an id."""
    return sorted((method, path) for method, path in _operations() if "{" in path and path not in PUBLIC)


@pytest.fixture
def tenants(store: Store, served: Callable[..., Served]) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    server = served()
    keys = [make_key(store, tenant, tenant) for tenant in ("ann", "bob")]
    with server.client(headers=keys[0]) as ann, server.client(headers=keys[1]) as bob:
        yield ann, bob


@pytest.fixture
def hers(tenants: tuple[httpx.Client, httpx.Client], backstage: Backstage) -> dict[str, str]:
    """What ann has: a finished job, a batch, a voice and a lexicon of one name, a document."""
    ann, _ = tenants
    job = ann.post("/v1/jobs", json=NIGHT).json()["id"]
    backstage.succeed(job)
    batch = ann.post("/v1/batches", json={"jobs": [NIGHT]}).json()["id"]
    backstage.store.run(registry.put_voice("ann", "hersecret", '{"digest":"d","seconds":1,"created_ms":1,"notes":[]}'))
    backstage.store.run(
        lexicons.put(
            "ann", "hersecret", StoredLexicon(versions=[LexiconVersion(number=1, digest="d")]).to_json(), bytes=1
        )
    )
    backstage.store.run(documents.put("ann", HER_DOCUMENT, '{"status":"ready"}', bytes=1, due_ms=60_000))
    return {"job_id": job, "batch_id": batch, "name": "hersecret", "document_id": HER_DOCUMENT}


def test_another_tenants_ids_are_answered_as_unknown_ones_on_every_route(
    tenants: tuple[httpx.Client, httpx.Client], hers: dict[str, str]
) -> None:
    ann, bob = tenants
    before = [ann.get(path).json() for path in (f"/v1/jobs/{hers['job_id']}", f"/v1/batches/{hers['batch_id']}")]
    routes = _routes()
    assert ("GET", "/v1/jobs/{job_id}") in routes
    for method, path in routes:
        foreign = bob.request(method, filled(path, {**UNKNOWN, **hers}))
        unknown = bob.request(method, filled(path, UNKNOWN))
        assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found"), (method, path, foreign.text)
        assert without_ids(foreign, hers) == without_ids(unknown, UNKNOWN), (method, path)
    after = [ann.get(path).json() for path in (f"/v1/jobs/{hers['job_id']}", f"/v1/batches/{hers['batch_id']}")]
    assert after == before
    assert ann.get("/v1/voices/hersecret").status_code == 200


def test_lists_hold_nothing_of_another_tenant(tenants: tuple[httpx.Client, httpx.Client], hers: dict[str, str]) -> None:
    _, bob = tenants
    assert bob.get("/v1/jobs").json()["data"] == []
    assert bob.get("/v1/batches").json()["data"] == []
    foreign, unknown = (
        bob.get("/v1/jobs", params={"batch": batch}) for batch in (hers["batch_id"], UNKNOWN["batch_id"])
    )
    assert foreign.json() == unknown.json() == {"data": [], "has_more": False, "next_cursor": None}
    assert "hersecret" not in bob.get("/v1/voices", params={"limit": 100}).text
    assert bob.get("/v1/lexicons").json()["data"] == []


def filled(path: str, values: dict[str, str]) -> str:
    """The path with an id for each parameter. A new kind of parameter joins UNKNOWN, or PUBLIC."""
    owner = values["job_id"] if "{job_id}" in path else values["batch_id"]
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]].replace("{owner}", owner), path)


def without_ids(answer: httpx.Response, ids: dict[str, str]) -> tuple[dict[str, str], dict[str, Any]]:
    """Headers and body. What was asked for is taken out, and what differs between any two answers."""
    text = answer.text
    for id in sorted(ids.values(), key=len, reverse=True):
        text = text.replace(id, "it") if len(id) > 1 else text
    problem = httpx.Response(200, text=text).json()
    problem.pop("request_id")
    headers = {
        name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id", "content-length")
    }
    return headers, problem


def test_the_table_of_who_may_come_in_is_that_of_security_md(
    tenants: tuple[httpx.Client, httpx.Client], hers: dict[str, str], store: Store
) -> None:
    """All ids are ann's. Bob has a key, and olga an operator's key; `own` is what belongs to whoever asks."""
    ann, bob = tenants
    keys = [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": bob.headers["Authorization"]},
        make_key(store, "olga", "olga", operator=True),
    ]
    rows = []
    with httpx.Client(base_url=ann.base_url, trust_env=False) as anybody:
        for method, path in sorted([*_operations(), *BESIDE], key=lambda operation: operation[::-1]):
            ids = {**UNKNOWN, **hers} if path not in PUBLIC else {**UNKNOWN, "name": "espeak"}
            cells = []
            for headers in keys:
                anybody.cookies.clear()  # a sign-in leaves one, which is as good as a key
                with anybody.stream(method, filled(path, ids), headers=headers) as answer:
                    cells.append(_said(answer.status_code, path, of_operator=headers is keys[-1]))
            rows.append(f"| `{method} {path}` | {' | '.join(cells)} |\n")
    table = HEAD + "".join(rows)
    assert table in SECURITY.read_text("utf-8"), f"SECURITY.md has to say:\n{table}"


def _said(status: int, path: str, *, of_operator: bool) -> str:
    """A refusal by its status. Whoever is let in is answered, be it with a complaint about the request."""
    if status in (401, 403, 404):
        return str(status)
    if path in WHOLE and of_operator:
        return "whole farm"
    return "own" if path.startswith("/v1/") and path not in ALIKE else "answered"
