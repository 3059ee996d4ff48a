"""A whole run with canaries in all that is secret: requests good and bad, outages, a killed worker, redirects to
storage, webhooks. Afterwards no canary is in a log, and no secret in an answer that it was not made for."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from api.listening.tickets import without_ticket
from farm.store import Store, registry
from farm.webhooks.secrets import secret_for
from tests.api.test_voices import recording
from tests.chaos.rig import Rig
from tests.patience import patient
from tests.s3_server import SECRET_KEY, S3Server
from tests.webhook.listener import Listener, answers

KEY, WRONG = "farm_canarykeyofeve", "farm_canarywrongkey"
MASTER = "whsec_" + base64.b64encode(b"canary master secret, 32 bytes !").decode()
TEXT = "Canarytext flies over the sea."
# What only its tenant may read, of the texts: they are in no log.
PRIVATE = (
    "anarytext",
    "canarymeta",
    "canaryname",
    "canarytoken",
    "anaryperson",
    "canaryfile",
    "canaryidem",
    "canaryasked",
)


@dataclass
class Heard:
    """What the run saw: every answer that was a refusal, and the secrets that answers gave to those they were for."""

    refusals: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    addresses: list[str] = field(default_factory=list)  # for listening

    def listen(self, answer: httpx.Response) -> None:
        answer.read()
        if answer.status_code >= 400:
            path = without_ticket(answer.request.url.path)
            self.refusals.append(f"{answer.status_code} {path} {answer.headers} {answer.text}")
        if answer.status_code == 307 and answer.request.url.path.endswith("/stream.m3u8"):
            self.addresses.append(str(answer.request.url.join(answer.headers["location"])))
            self.secrets["an address"] = self.addresses[-1].split("/")[-2].rpartition(".")[2]
        elif answer.status_code == 307:
            query = httpx.URL(answer.headers["location"]).query.decode()
            self.secrets["a presigned query"] = query.partition("X-Amz-Signature=")[2].partition("&")[0]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    folder = tmp_path_factory.mktemp("canaries")
    s3 = S3Server(folder / "s3")
    s3.start()
    with Rig(folder / "farm", s3=s3, environment={"FARM_WEBHOOK_SECRET": MASTER}) as rig:
        yield rig
    s3.stop()


def test_no_canary_is_in_a_log_and_no_secret_in_a_refusal(rig: Rig) -> None:
    heard = Heard()
    with closing(Store.connect(rig.direct_redis_url)) as store:
        store.run(registry.put_key(hashlib.sha256(KEY.encode()).hexdigest(), "eve", "eve", operator=True))
    heard.secrets |= {"the key": KEY, "the wrong key": WRONG, "the master": MASTER, "its bytes": MASTER[6:]}
    heard.secrets |= {"eve's secret": secret_for("eve", MASTER), "the storage's": SECRET_KEY}
    hooks: dict[str, Any] = {"event_hooks": {"response": [heard.listen]}, "trust_env": False, "timeout": patient(60)}
    with httpx.Client(base_url=rig.url, headers={"Authorization": f"Bearer {KEY}"}, **hooks) as eve:
        _work(rig, eve, heard)
        _refused(eve)
        _broken(rig, eve, heard.addresses[0])
    with httpx.Client(base_url=rig.url, headers={"Authorization": f"Bearer {WRONG}"}, **hooks) as stranger:
        stranger.get("/v1/jobs", params={"custom_id": "canaryasked"})
    assert len(heard.refusals) > 15
    for name, secret in heard.secrets.items():
        assert secret
        assert [said for said in heard.refusals if secret in said] == [], name
    document = httpx.get(f"{rig.url}/openapi.json", trust_env=False).text
    logs = {log: log.read_text(errors="replace") for log in (rig.data / "logs").iterdir()}
    assert {log.name for log in logs} >= {"api.log", "desk.log", "render.log"}
    for canary in (*heard.secrets.values(), *PRIVATE):
        assert canary not in document
        assert [line for log in logs.values() for line in log.splitlines() if canary in line] == []


def _work(rig: Rig, eve: httpx.Client, heard: Heard) -> None:
    """Requests that succeed, and one whose job fails; with a receiver that is content, and one that is not."""
    receivers = [Listener(answers(status)) for status in (200, 500)]
    for receiver in receivers:
        hook = {"url": f"{receiver.url}?token=canarytoken"}
        asked = {"input": TEXT, "webhook": hook, "custom_id": "canaryname", "metadata": {"k": "canarymeta"}}
        job = eve.post("/v1/jobs", json=asked, headers={"Idempotency-Key": f"canaryidem{receiver.port}"}).json()["id"]
        assert eve.get(f"/v1/jobs/{job}", params={"wait": 60}).json()["status"] == "succeeded"
        eve.get(f"/v1/jobs/{job}/audio")
        eve.get(f"/v1/jobs/{job}/segments")
        eve.get(f"/v1/jobs/{job}/stream.m3u8")
        eve.get("/v1/jobs", params={"custom_id": "canaryasked"})
        while not eve.get(f"/v1/jobs/{job}/deliveries").json()["data"][0]["attempts"]:
            pass  # the desk delivers in a moment; pytest's timeout is the limit
    for receiver in receivers:
        assert receiver.requests
        receiver.close()
    lines = json.dumps({"input": TEXT, "custom_id": "canaryname"}).encode()
    batch = eve.post("/v1/batches", files={"file": ("canaryfile.jsonl", lines)}).json()["id"]
    eve.get(f"/v1/batches/{batch}", params={"wait": 60})
    eve.post("/v1/audio/speech", json={"input": TEXT, "lang_code": "canaryasked"})
    voice = {"name": "eve", "consent": "Canaryperson, by letter"}
    assert eve.post("/v1/voices", data=voice, files={"audio": ("canaryfile.wav", recording())}).status_code == 201
    signed_in = eve.post("/v1/session")
    heard.secrets["the session"] = next(iter(signed_in.cookies.values()))


def _refused(eve: httpx.Client) -> None:
    """Every kind of refusal, each with a canary in the request."""
    for body in (
        b'{"input": "Canarytext',
        json.dumps({"input": TEXT, "voice": "nobody"}).encode(),
        json.dumps({"input": TEXT + "\x00"}).encode(),
        json.dumps({"input": TEXT, "speed": "fast"}).encode(),
        json.dumps({"input": [TEXT]}).encode(),
        json.dumps({"chapters": [{"input": TEXT, "title": "a\nb"}]}).encode(),
        json.dumps({"input": TEXT, "webhook": {"url": "http://u:canarytoken@10.0.0.1/?t=canarytoken"}}).encode(),
        json.dumps({"input": TEXT, "metadata": {"k": ["canarymeta"]}}).encode(),
        b"\xff" + TEXT.encode(),
    ):
        for path in ("/v1/jobs", "/v1/audio/speech"):
            eve.post(path, content=body, headers={"Content-Type": "application/json"})
    eve.post("/v1/jobs", content=TEXT.encode())
    eve.post("/v1/jobs", json={"input": "Another."}, headers={"Idempotency-Key": "canaryidem\xff".encode("latin-1")})
    eve.post("/v1/voices", data={"name": "eve", "consent": "no"}, files={"audio": ("canaryfile.wav", b"Canarytext")})
    eve.post("/v1/voices", data={"name": "eve", "consent": "true"}, files={"audio": ("canaryfile.wav", b"Canarytext")})
    eve.post("/v1/batches", files={"file": ("canaryfile.jsonl", b'{"input": "Canarytext"}\n{"input": 1}')})
    eve.get("/v1/jobs", params={"after": "canaryasked"})
    eve.get("/v1/jobs", headers={"Cookie": "farm_session=canaryasked", "Authorization": f"Basic {KEY}"})


def _broken(rig: Rig, eve: httpx.Client, address: str) -> None:
    """Storage, Redis and a worker are away while work is asked for."""
    long = {"input": TEXT * 5_000}  # goes to storage before it is accepted

    def ask() -> None:
        for body in ({"input": TEXT, "metadata": {"k": "canarymeta"}}, long):
            with suppress(httpx.TransportError):
                eve.post("/v1/jobs", json=body)
        with suppress(httpx.TransportError):
            eve.get("/v1/jobs", params={"custom_id": "canaryasked"})
        with suppress(httpx.TransportError):
            eve.get(heard_early)

    listed = eve.get(address).text.splitlines()
    heard_early = urljoin(address, next(line for line in listed if line.endswith(".m4s")))
    assert rig.s3_line is not None
    with rig.s3_line.during(rig.s3_line.cut):
        ask()
    with rig.redis_line.during(rig.redis_line.cut):
        ask()
    job = eve.post("/v1/jobs", json=long).json()["id"]
    killed = {name: rig.kill(name) for name in ("render", "desk")}
    for name, pid in killed.items():
        rig.replaced(name, pid)
    eve.delete(f"/v1/jobs/{job}")
