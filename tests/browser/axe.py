"""axe-core, which finds what people with a screen reader, a keyboard or weak eyes can't use. MPL-2.0, for tests alone.

npm fetches it once, into the environment of the tests. Its bytes are compared with those that were tried. FARM_TEST_AXE
names a file that is there already.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest
from playwright.sync_api import Page

VERSION = "4.14.1"
_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"  # of axe.min.js
_RUN = """async () => {
    const { violations } = await axe.run(document, { resultTypes: ['violations'] });
    return violations.map(({ id, impact, help, nodes }) => (
        { id, impact, help, where: nodes.map((node) => node.target.join(' ')) }));
}"""


def source() -> str:
    """The script that gives a page `axe`."""
    file = Path(os.environ.get("FARM_TEST_AXE") or Path(sys.prefix) / "share" / f"axe-core-{VERSION}" / "axe.min.js")
    if not file.exists():
        _fetch(file)
    script = file.read_bytes()
    if hashlib.sha256(script).hexdigest() != _SHA256:
        pytest.fail(f"{file} is not axe-core {VERSION}; delete it, and it is fetched again")
    return script.decode()


def serious(page: Page) -> list[str]:
    """What is wrong with the page as it stands, in words. It was opened with the script, and without its policy."""
    return [
        f"{found['impact']}: {found['help']} ({found['id']}) at {', '.join(found['where'][:5])}"
        for found in page.evaluate(_RUN)
        if found["impact"] in ("serious", "critical")
    ]


def _fetch(file: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.fail(f"npm is missing: apt-get install -y --no-install-recommends npm, or put axe.min.js at {file}")
    with tempfile.TemporaryDirectory() as folder:
        command = (npm, "pack", "--silent", f"axe-core@{VERSION}", "--pack-destination", folder)
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
        packed = Path(folder) / f"axe-core-{VERSION}.tgz"
        if not packed.exists():
            pytest.fail(f"npm could not fetch axe-core {VERSION}: {done.stderr.strip()}")
        with tarfile.open(packed) as archive:
            script = archive.extractfile("package/axe.min.js")
            assert script is not None
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(script.read())
