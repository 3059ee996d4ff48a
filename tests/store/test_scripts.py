"""The Lua scripts as texts: the files that a package must carry."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LUA = ROOT / "farm" / "lua"


def test_the_package_carries_every_lua_file() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["package-data"]["farm"]
    carried = {path for pattern in patterns for path in (ROOT / "farm").glob(pattern)}
    assert set(LUA.rglob("*.lua")) <= carried
