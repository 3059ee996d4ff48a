"""The table of engines: its list, its entries, and the messages about engines that can't be used."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from farm.errors import EXIT_MISCONFIGURED, Misconfigured
from farm.settings import Settings, misspelt
from worker.engine import Engine, EngineSettings, Entry
from worker.engines import OWN, fetch, find, load, names
from worker.engines.espeak.engine import Espeak

A_MODULE = """
from pydantic import Field
from pydantic_settings import SettingsConfigDict
from worker.engine import EngineSettings, Entry

class Settings(EngineSettings):
    model_config = SettingsConfigDict(env_prefix="FARM_{prefix}_")
    height: int = Field(3, ge=1, description="of the tones")

class Engine:
    class card:
        name = "tones"
    def __init__(self, settings):
        self.height = settings.height
    def close(self):
        pass

ENGINE = Entry(Engine, Settings)
"""


class Site:
    """A folder of installed distributions that bring engines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self, module: str = A_MODULE.format(prefix="TONES"), *, name: str = "tones", brought_by: str = "tts-farm-tones",
        value: str = "some_tones:ENGINE",
    ) -> None:  # fmt: skip
        (self.folder / "some_tones.py").write_text(module)
        info = self.folder / f"{brought_by.replace('-', '_')}-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {brought_by}\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text(f"[tts_farm.engines]\n{name} = {value}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "some_tones", raising=False)
    return Site(tmp_path)


def loaded(name: str = "tones") -> Engine:
    return load(Settings.read(model=name))


# --- the farm's own engines -------------------------------------------------------------------------------------------


def test_the_engines_of_the_farm_are_listed_without_importing_one() -> None:
    program = (
        "import sys; from worker.engines import names; print(*names());"
        "print([name for name in sys.modules if name.startswith('worker.engines.')])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    listed, imported = said.splitlines()
    assert set(listed.split()) >= {"espeak", "kokoro", "indextts-2", "indextts-2.5"}
    assert imported == "[]"


@pytest.mark.parametrize("name", OWN)
def test_every_entry_is_found_without_torch(name: str) -> None:
    program = f"import sys; from worker.engines import find; find({name!r}); print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "False\n"


def test_an_engine_is_loaded_by_its_name() -> None:
    engine = loaded("espeak")
    assert isinstance(engine, Espeak)
    engine.close()


def test_a_name_that_nobody_brings_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(Misconfigured, match=r"^FARM_MODEL=espresso: no such engine; this farm has espeak, kokoro, "):
        loaded("espresso")


def test_an_engine_without_files_has_none_to_fetch() -> None:
    with pytest.raises(Misconfigured, match="espeak has no files to fetch"):
        fetch("espeak", Settings.read())


@pytest.mark.parametrize("name", OWN)
def test_the_api_and_the_cli_take_the_variables_of_an_engine_for_no_misspellings(name: str) -> None:
    assert misspelt(dict.fromkeys(find(name).settings.variables(), "")) == []


@pytest.mark.parametrize("name", OWN)
def test_every_setting_of_an_engine_has_a_default_and_a_sentence(name: str) -> None:
    fields = find(name).settings.variables().items()
    assert [variable for variable, field in fields if field.is_required() or not field.description] == []


def test_a_misspelt_setting_of_an_engine_is_warned_about_where_the_engine_is_known() -> None:
    settings = find("indextts-2").settings
    said = misspelt({"FARM_INDEXTTS_SLOT": "4", "FARM_PROT": "1"}, settings)
    assert said == ["FARM_INDEXTTS_SLOT is not a setting; did you mean FARM_INDEXTTS_SLOTS?"]


def test_a_wrong_value_of_an_engine_is_refused_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_INDEXTTS_STEPS", "many")
    with pytest.raises(Misconfigured, match=r"^FARM_INDEXTTS_STEPS: "):
        loaded("indextts-2")


# --- engines of other distributions -----------------------------------------------------------------------------------


def test_an_engine_of_another_distribution_is_listed_and_loaded(site: Site) -> None:
    site.install()
    assert names() == [*OWN, "tones"]
    assert loaded().height == 3  # type: ignore[attr-defined]


def test_it_gets_its_own_settings_from_the_environment(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install()
    monkeypatch.setenv("FARM_TONES_HEIGHT", "5")
    assert loaded().height == 5  # type: ignore[attr-defined]
    monkeypatch.setenv("FARM_TONES_HEIGHT", "0")
    with pytest.raises(Misconfigured, match=r"^FARM_TONES_HEIGHT: "):
        loaded()


def test_its_variables_are_misspelt_only_to_the_worker_that_loads_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site.install()
    assert misspelt({"FARM_TONES_HEIGHT": "1", "FARM_TONES_HIGHT": "1"}) == []
    monkeypatch.setenv("FARM_TONES_HIGHT", "1")
    with caplog.at_level(logging.WARNING):
        loaded()
    assert caplog.messages == ["FARM_TONES_HIGHT is not a setting; did you mean FARM_TONES_HEIGHT?"]


def test_a_module_that_can_not_be_imported_is_named_with_its_distribution_and_the_way_out(site: Site) -> None:
    site.install("import a_library_that_nobody_has")
    assert "tones" in names()
    with pytest.raises(Misconfigured) as raised:
        loaded()
    for part in ("tones", "tts-farm-tones", "a_library_that_nobody_has", "reinstall"):
        assert part in raised.value.message


@pytest.mark.parametrize("value", ["some_tones:ENGINES", "no_such_module:ENGINE"])
def test_an_entry_point_that_leads_nowhere_is_named(site: Site, value: str) -> None:
    site.install(value=value)
    with pytest.raises(Misconfigured, match=f"engine tones of the distribution tts-farm-tones .*{value}"):
        loaded()


def test_an_entry_point_that_is_no_entry_is_refused(site: Site) -> None:
    site.install(value="some_tones:Engine")
    with pytest.raises(Misconfigured, match=r"has a type at some_tones:Engine in place of a worker\.engine\.Entry"):
        loaded()


def test_settings_with_a_foreign_prefix_are_refused(site: Site) -> None:
    site.install(A_MODULE.format(prefix="WEBHOOK"))
    with pytest.raises(Misconfigured, match="begin with 'FARM_WEBHOOK_' in place of FARM_TONES_"):
        loaded()


def test_a_card_with_another_name_is_refused(site: Site) -> None:
    site.install(A_MODULE.format(prefix="BELLS"), name="bells")
    with pytest.raises(Misconfigured, match="FARM_MODEL=bells has the name tones on its card"):
        loaded("bells")


def test_two_distributions_with_one_name_are_both_named(site: Site) -> None:
    site.install()
    site.install(brought_by="other-tones")
    with pytest.raises(Misconfigured, match=r"other-tones and tts-farm-tones|tts-farm-tones and other-tones"):
        loaded()
    assert names().count("tones") == 1


def test_an_engine_of_the_farm_can_not_be_replaced_by_stealth(site: Site) -> None:
    site.install(name="espeak")
    with pytest.raises(Misconfigured, match="tts-farm and tts-farm-tones both bring an engine of this name"):
        loaded("espeak")


# --- python -m worker.engines -----------------------------------------------------------------------------------------


def listing(*arguments: str, site: Path | None = None) -> tuple[int, list[dict[str, object]]]:
    program = "import runpy; runpy.run_module('worker.engines', run_name='__main__', alter_sys=True)"
    before = f"import sys; sys.path.insert(0, {str(site)!r});" if site else ""
    done = subprocess.run(
        [sys.executable, "-c", before + program, *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, [json.loads(row) for row in done.stdout.splitlines()]


def test_the_table_is_printed_with_what_is_wrong_in_it(site: Site) -> None:
    site.install("import a_library_that_nobody_has")
    code, rows = listing(site=site.folder)
    assert code == EXIT_MISCONFIGURED
    assert [row["name"] for row in rows] == [*OWN, "tones"]
    assert "a_library_that_nobody_has" in str(rows[-1]["error"])


def test_the_embedded_farm_can_ask_how_long_a_start_may_take() -> None:
    code, (row,) = listing("indextts-2")
    assert (code, row["start_s"], row["fetches"]) == (0, 7200.0, True)
    assert listing("espresso")[0] == EXIT_MISCONFIGURED


def test_an_entry_needs_no_more_than_a_way_to_load() -> None:
    entry = Entry(lambda settings: Espeak())
    assert (entry.settings, entry.fetch, entry.start_s) == (EngineSettings, None, 120.0)
