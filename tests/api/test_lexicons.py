"""Lexicons over HTTP: versions that never change, JSON and PLS, jobs that name them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from api.admission import Catalog
from farm.errors import BadInput
from farm.layout import lexicon_key, lexicons_prefix
from farm.lexicon.entries import MAX_BYTES, Lexicon
from farm.lexicon.pls import read_pls, write_pls
from farm.store import Store, quotas
from farm.stored import LexiconVersion, StoredLexicon
from farm.wire import JobRequest
from tests.api.backstage import ESPEAK, INDEXTTS_25, Backstage
from tests.api.conftest import Served
from tests.api.test_access import make_key

ADA = {"written": "Ada", "alias": "Ayda"}
PLS = """<?xml version="1.0"?>
<lexicon version="1.0" xmlns="http://www.w3.org/2005/01/pronunciation-lexicon" alphabet="x-cmu" xml:lang="en">
  <lexeme><grapheme>minute</grapheme><phoneme>M IH1 . N AH0 T</phoneme>
    <phoneme prefer="true">M AY0 . N UW1 T</phoneme></lexeme>
  <lexeme><grapheme>WWW</grapheme><grapheme>www</grapheme><alias>World &amp; Web</alias></lexeme>
</lexicon>"""


def put(api: httpx.Client, *entries: dict[str, Any], name: str = "names") -> httpx.Response:
    return api.post("/v1/lexicons", json={"name": name, "entries": list(entries)})


def shown(answer: httpx.Response) -> list[dict[str, Any]]:
    return [{key: value for key, value in entry.items() if value is not None} for entry in answer.json()["entries"]]


def test_a_lexicon_has_versions_and_the_same_entries_make_no_new_one(api: httpx.Client) -> None:
    first = put(api, ADA)
    assert (first.status_code, first.headers["Location"]) == (201, "/v1/lexicons/names@1")
    assert (put(api, ADA).status_code, put(api, ADA).json()["version"]) == (200, 1)
    second = put(api, ADA, {"written": "Bob", "alias": "Rob"}).json()
    assert (second["ref"], second["versions"], second["size"]) == ("names@2", [1, 2], 2)
    assert shown(api.get("/v1/lexicons/names@1")) == [{**ADA, "case": "exact"}]
    assert len(shown(api.get("/v1/lexicons/names"))) == 2
    assert [each["ref"] for each in api.get("/v1/lexicons").json()["data"]] == ["names@2"]


def test_a_deleted_lexicon_is_gone_with_its_bytes(api: httpx.Client, backstage: Backstage) -> None:
    put(api, ADA)
    put(api, ADA, name="same")
    used = backstage.store.run(quotas.account("default")).standing
    assert api.delete("/v1/lexicons/names").status_code == 204
    assert [api.get("/v1/lexicons/names").status_code, api.delete("/v1/lexicons/names").status_code] == [404, 404]
    assert shown(api.get("/v1/lexicons/same"))  # whose entries are the same object
    api.delete("/v1/lexicons/same")
    assert list(backstage.storage.list(lexicons_prefix("default"))) == []
    assert backstage.store.run(quotas.account("default")).standing != used


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "a b", "entries": [ADA]}, "/name"), ({"name": "a", "entries": []}, "/entries"),
        ({"name": "a", "entries": [{"written": "x"}]}, "/entries/0"), ({"name": "a", "entries": [ADA], "x": 1}, "/x"),
        ({"name": "a", "entries": [{"written": "a.*", "regex": "x"}]}, "/entries/0/regex"),
    ],
)  # fmt: skip
def test_a_wrong_lexicon_is_refused_by_its_field(api: httpx.Client, body: dict[str, Any], pointer: str) -> None:
    answer = api.post("/v1/lexicons", json=body)
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


def test_a_lexicon_that_is_too_large_is_refused(api: httpx.Client) -> None:
    answer = api.post("/v1/lexicons", content=b" " * (MAX_BYTES + 1), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert put(api, *({"written": f"w{n}", "alias": "x"} for n in range(10_001))).status_code == 422


def test_pls_comes_in_and_goes_out(api: httpx.Client) -> None:
    pls = {"Content-Type": "application/pls+xml"}
    answer = api.post("/v1/lexicons", params={"name": "web"}, content=PLS.encode(), headers=pls)
    assert (answer.status_code, answer.json()["alphabets"]) == (201, ["cmu"])
    assert answer.json()["notes"] == ["1 further pronunciations of words are not kept"]
    assert shown(api.get("/v1/lexicons/web")) == [
        {"written": "minute", "cmu": "M AY0 . N UW1 T", "language": "en", "case": "exact"},
        {"written": "WWW", "alias": "World & Web", "language": "en", "case": "exact"},
        {"written": "www", "alias": "World & Web", "language": "en", "case": "exact"},
    ]
    out = api.get("/v1/lexicons/web", params={"format": "pls"})
    assert out.headers["content-type"].startswith("application/pls+xml")
    again = api.post("/v1/lexicons", params={"name": "web"}, content=out.content, headers=pls)
    assert (again.status_code, again.json()["version"]) == (200, 1)


def test_what_pls_can_not_say_comes_back_too() -> None:
    entries = [
        {"written": "kube", "alias": "koober", "match": "prefix", "case": "any"},
        {"written": "行", "pinyin": "XING2", "language": "zh"}, {"written": "<&>a", "alias": "\"b\""},
    ]  # fmt: skip
    lexicon = Lexicon.model_validate({"entries": entries})
    rows, _, _ = read_pls(write_pls(lexicon.entries).encode())
    assert Lexicon.model_validate({"entries": rows}) == lexicon


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (PLS.replace("x-cmu", "ipa"), "line 3, column 62: no model here reads the alphabet 'ipa'; there are x-pinyin"),
        (PLS.replace("M AY0 . N UW1 T", "M AY"), "line 3: "), (PLS[:-5], "not well-formed XML"),
        ("<speak/>", "is no lexicon; expected <lexicon>"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><lexicon/>', "DOCTYPE is not read"),
        (PLS.replace("<alias>World &amp; Web</alias>", ""), "line 5"),
        (PLS.replace("alias>", "sound>"), "<sound> can't stand here"),
    ],
)  # fmt: skip
def test_wrong_pls_is_refused_by_its_line(api: httpx.Client, body: str, why: str) -> None:
    answer = api.post(
        "/v1/lexicons", params={"name": "a"}, content=body.encode(), headers={"Content-Type": "application/pls+xml"}
    )
    assert (answer.status_code, why in answer.json()["detail"]) == (422, True), answer.json()["detail"]


def test_a_lexicon_of_another_type_is_refused(api: httpx.Client) -> None:
    assert api.post("/v1/lexicons", content=b"a=b", headers={"Content-Type": "text/plain"}).status_code == 415


def test_each_tenant_has_its_own(store: Store, served: Callable[..., Served]) -> None:
    server = served()
    keys = [make_key(store, tenant, tenant) for tenant in ("ann", "bob")]
    with server.client(headers=keys[0]) as ann, server.client(headers=keys[1]) as bob:
        put(ann, ADA)
        assert bob.get("/v1/lexicons").json()["data"] == []
        assert [bob.get("/v1/lexicons/names").status_code, bob.delete("/v1/lexicons/names").status_code] == [404, 404]
        refused = bob.post("/v1/jobs", json={"input": "Ada", "lexicons": ["names"]})
        assert refused.json()["code"] == "unknown_lexicon"
        assert put(bob, {**ADA, "alias": "x"}).json()["version"] == 1


# --- jobs -------------------------------------------------------------------------------------------------------------


def version(number: int, digest: str, *alphabets: str) -> LexiconVersion:
    return LexiconVersion(number=number, digest=digest, alphabets=list(alphabets))


CATALOG = Catalog(
    cards={card.name: card for card in (ESPEAK, INDEXTTS_25)},
    default_model="espeak", uploads={"anna": "d1"}, signs_webhooks=False, allow=(), retention_s=3600,
    lexicons={
        "names": StoredLexicon(versions=[version(1, "d1"), version(2, "d2")]),
        "chinese": StoredLexicon(versions=[version(4, "d4", "pinyin")]),
    },
)  # fmt: skip


def admitted(**request: Any) -> dict[str, str]:
    return CATALOG.admit(JobRequest.model_validate({"input": "Ada.", **request})).spec.lexicons


def test_a_job_keeps_the_version_that_is_the_newest_when_it_is_accepted() -> None:
    assert list(admitted(lexicons=["names@1", "names"]).items()) == [("names@1", "d1"), ("names@2", "d2")]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("name", "did you mean names?"), ("names@3", "there is no lexicon 'names@3'"),
        ("chinese", "pronunciations in pinyin, and model 'espeak' does not read them"),
    ],
)  # fmt: skip
def test_a_lexicon_that_a_job_can_not_have_is_refused_by_its_place(name: str, why: str) -> None:
    with pytest.raises(BadInput) as raised:
        admitted(lexicons=["names", name])
    assert (raised.value.fields[0].pointer, why in raised.value.message) == ("/lexicons/1", True), raised.value.message
    assert admitted(model="indextts-2.5", voice="anna", lexicons=["chinese"]) == {"chinese@4": "d4"}


def test_a_preview_shows_what_the_lexicons_matched(api: httpx.Client) -> None:
    put(api, ADA)
    text = "Ada's dog. [voice:de]Ada."
    preview = api.post("/v1/preview", json={"input": text, "lexicons": ["names"], "markup": "tags"}).json()
    assert [row["spoken"] for row in preview["segments"]] == ["Ayda's dog.", "Ayda."]
    assert [(each["start"], each["lexicon"], each["spoken"]) for each in preview["matches"]] == [
        (0, "names@1", "Ayda"), (21, "names@1", "Ayda"),
    ]  # fmt: skip


def test_a_preview_with_a_lost_lexicon_says_so(api: httpx.Client, backstage: Backstage) -> None:
    put(api, ADA)
    (stored,) = backstage.storage.list(lexicons_prefix("default"))
    backstage.storage.delete(stored.key)
    preview = api.post("/v1/preview", json={"input": "Ada", "lexicons": ["names"]}).json()
    assert preview["refusals"][0]["pointer"] == "/lexicons"


def test_a_batch_names_lexicons_once_for_all_of_its_jobs(api: httpx.Client, backstage: Backstage) -> None:
    put(api, ADA)
    body = {"jobs": [{"input": "Ada."}, {"input": "Bob."}], "defaults": {"lexicons": ["names"]}}
    assert api.post("/v1/batches", json=body).status_code == 202
    (stored,) = backstage.storage.list(lexicons_prefix("default"))
    assert stored.key == lexicon_key("default", stored.key.rpartition("/")[2].removesuffix(".json"))
    assert json.loads(backstage.storage.get(stored.key)) == {"entries": [ADA]}
    assert api.post("/v1/batches", json={**body, "defaults": {"lexicons": ["nobody"]}}).status_code == 422
