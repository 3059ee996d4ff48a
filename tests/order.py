"""The order in which processes that run tests beside each other take the files: all in turn, and short ones at the end.
One process takes all files that use the running farm of a test session, so that one is started and not three.

Files of some folders mostly wait, for processes and for sockets, and those of others calculate. Evenly mixed they leave
no processor without work. The folders whose files calculate last till the end, because each of these files is over
soon: the last file of a run keeps nobody waiting. Files that take minutes begin.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadFileScheduling

CALCULATE = ("pure", "containers", "webhook")
LONGEST = tuple(
    f"{folder}/test_{name}.py"
    for folder, names in {
        "indextts": ("first_gpu", "engine", "suite"),
        "chaos": ("storage_faults", "kills", "redis_faults", "engines", "restarts"),
    }.items()
    for name in names
)
_OTHERS_END = 0.8  # of the way
_FARM = re.compile(r"\((?:[^()]*, )?(?:farm: Local|client: Farm|command: Command)\b")  # fixtures of a function


def in_turn(files: Iterable[Path]) -> list[Path]:
    """Files of tests/<folder>/, each once."""
    folders: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(set(files)):
        folders[file.parent.name].append(file)
    places = {
        file: (number + 0.5) / len(members) * (1 if folder in CALCULATE else _OTHERS_END)
        for folder, members in folders.items()
        for number, file in enumerate(members)
    }
    return sorted(places, key=lambda file: ("/".join(file.parts[-2:]) not in LONGEST, places[file], file))


@cache
def uses_the_farm(file: Path) -> bool:
    return bool(_FARM.search(file.read_text("utf-8")))


class Rooms(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """As --dist loadfile, but for the files that use the farm."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "the farm" if uses_the_farm(self.config.rootpath / file) else file
