"""The recipe docs/recipes/add-a-route.md, followed: a small route has keys, tenants, problems and documentation."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from api import app, jobs
from api.answers import json_response
from api.openapi import problem
from farm.errors import Conflict
from farm.store import Store
from tests.api.conftest import Served
from tests.api.test_access import NIGHT, make_key

router = APIRouter(tags=["lengths"])


class Length(BaseModel):
    characters: int


@router.get("/v1/jobs/{job_id}/length", response_model=Length, responses={409: problem("The text is short")})
async def length(request: Request, job_id: str) -> Response:
    """How long the job's text is. 409 when it is a short one."""
    job = await jobs.find(request, job_id)
    if job.characters < 20:
        raise Conflict("the text is short; count it by hand", code="too_short")
    return json_response(Length(characters=job.characters))


@pytest.fixture
def clients(
    store: Store, served: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], httpx.Client]:
    monkeypatch.setattr(app, "ROUTERS", (*app.ROUTERS, router))
    headers = {name: make_key(store, name, name) for name in ("ann", "bob")}
    api = served()
    return lambda name: api.client(headers=headers.get(name, {}))


def test_a_new_route_answers_its_tenant_and_nobody_else(clients: Callable[[str], httpx.Client]) -> None:
    with clients("ann") as ann, clients("bob") as bob, clients("nobody") as nobody:
        path = f"/v1/jobs/{ann.post('/v1/jobs', json=NIGHT).json()['id']}/length"
        assert ann.get(path).json() == {"characters": len(NIGHT["input"])}
        assert bob.get(path).status_code == 404
        assert nobody.get(path).status_code == 401


def test_its_errors_are_problems_and_its_document_is_written(clients: Callable[[str], httpx.Client]) -> None:
    with clients("ann") as ann:
        short = ann.post("/v1/jobs", json={"input": "Night."}).json()["id"]
        answer = ann.get(f"/v1/jobs/{short}/length")
        assert (answer.status_code, answer.json()["code"]) == (409, "too_short")
        assert answer.headers["content-type"] == "application/problem+json"
        described = ann.get("/openapi.json").json()["paths"]["/v1/jobs/{job_id}/length"]["get"]
        assert described["description"] == "How long the job's text is. 409 when it is a short one."
        assert {"401", "404", "409", "422", "503"} <= set(described["responses"])
