"""The requests that known clients send, replayed: what docs/clients.md promises to their users."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from farm.store import Store
from tests.api.conftest import Served
from tests.api.stage import Stage
from tests.api.test_access import make_key
from tests.api.test_speech import decoded

DOCS = (Path(__file__).parents[2] / "docs" / "clients.md").read_text("utf-8")
TEXT = "The front door is open."

# What each sends, with the defaults that it ships with: body, headers beside those of every JSON request, format.
REQUESTS: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "Open WebUI": (
        {"model": "tts-1", "input": TEXT, "voice": "alloy"},
        {"Authorization": "Bearer sk-none", "X-OpenWebUI-User-Name": "ann"},
        "mp3",
    ),
    "Open WebUI with additional parameters": (
        {"model": "tts-1-hd", "input": TEXT, "voice": "nova", "stream": False, "response_format": "flac", "speed": 1.2},
        {"Authorization": "Bearer sk-none"},
        "flac",
    ),
    "SillyTavern": (
        {"input": TEXT, "response_format": "mp3", "voice": "shimmer", "speed": 1, "model": "tts-1"},
        {"Authorization": "Bearer"},  # and a blank, which no server gets to see
        "mp3",
    ),
    "Home Assistant, openai_tts": (
        {"model": "tts-1", "input": TEXT, "voice": "onyx", "response_format": "mp3", "speed": 1.0},
        {},
        "mp3",
    ),
    "Home Assistant, openai_tts with streaming": (
        {"model": "tts-1", "input": TEXT, "voice": "onyx", "response_format": "opus", "speed": 1.0},
        {"Accept-Encoding": "gzip, deflate, br"},
        "opus",
    ),
    "wyoming_openai": (
        {"input": TEXT, "model": "tts-1", "voice": "echo", "response_format": "wav", "speed": 1.0},
        {"Authorization": "Bearer none", "Accept": "application/octet-stream", "X-Stainless-Lang": "python",
         "X-Stainless-Raw-Response": "stream"},
        "wav",
    ),
    "a client of openedai-speech or Kokoro": (
        {"model": "gpt-4o-mini-tts", "input": TEXT, "voice": "fable", "stream": True, "lang_code": "a",
         "download_format": "mp3", "return_download_link": False, "volume_multiplier": 1.0,
         "normalization_options": {"normalize": True}},
        {"Authorization": "Bearer not-needed"},
        "mp3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("client", REQUESTS)
def test_the_request_is_answered_with_audio_of(client: str, api: httpx.Client, stage: Stage) -> None:
    body, headers, format = REQUESTS[client]
    with stage.rendering():
        answer = api.post("/v1/audio/speech", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert decoded(answer.content, format)[1] > 0


def test_the_command_for_curl_is_answered(api: httpx.Client, stage: Stage) -> None:
    command = re.search(r"```sh\n(curl .*?)```", DOCS, re.DOTALL)
    assert command is not None
    words = shlex.split(command[1].replace("\\\n", " "))
    assert words[1] == "http://127.0.0.1:8000/v1/audio/speech"
    headers = dict(word.split(": ", 1) for before, word in pairwise(words) if before == "-H")
    body = json.loads(words[words.index("-d") + 1])
    with stage.rendering():
        answer = api.post("/v1/audio/speech", json=body, headers=headers)
    assert (answer.status_code, answer.content[:4]) == (200, b"RIFF")


def test_the_lists_that_open_webui_reads_at_its_start_are_there(api: httpx.Client) -> None:
    models, voices = api.get("/v1/audio/models").json(), api.get("/v1/audio/voices").json()
    assert [model["id"] for model in models["models"]] == ["espeak", "indextts-2"]
    assert {"id", "name"} <= voices["voices"][0].keys()


def test_wyoming_openai_reads_the_voices_in_both_shapes(api: httpx.Client) -> None:
    shaped, plain = (api.get("/v1/audio/voices", params=params).json()["voices"] for params in ({}, {"legacy": "true"}))
    assert [voice["id"] for voice in shaped] == plain


@pytest.fixture
def locked(store: Store, served: Callable[..., Served]) -> Iterator[httpx.Client]:
    """A farm with keys, asked without one."""
    make_key(store, "ann", "ann")
    with served().client() as client:
        yield client


@pytest.mark.parametrize("path", ["/v1/audio/models", "/v1/audio/voices"])
def test_without_its_key_open_webui_is_told_so_in_words_that_it_shows(locked: httpx.Client, path: str) -> None:
    answer = locked.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert "API key" in answer.json()["error"]["message"]
