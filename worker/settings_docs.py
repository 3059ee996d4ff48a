"""`python -m worker.settings_docs` prints docs/settings.md: the settings of the farm, and those of its own engines.

The generator stands in worker/ because farm/ can't import the engines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from farm.settings import Settings, Variables
from worker.engine import EngineSettings
from worker.engines import OWN, find

_TITLE = """# Settings

Printed by `python -m worker.settings_docs` from `farm/settings.py` and the settings of each engine; a test keeps it so.
"""
_S3 = """
S3 is reached by these of the `AWS_` variables: `AWS_ENDPOINT_URL` (else `AWS_ENDPOINT_URL_S3`), `AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION` (else `AWS_DEFAULT_REGION`), `AWS_CA_BUNDLE`, and those by
which a cloud gives keys to its machines (`AWS_ROLE_ARN`, `AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_CONTAINER_…`,
`AWS_EC2_METADATA_…`).

Traces go where the `OTEL_` variables say that OpenTelemetry itself has: [observability.md](observability.md#traces).

Nothing else decides: no other variable of a library (`CELERY_BROKER_URL`, `WEB_CONCURRENCY`, `AWS_PROFILE`,
`HTTPS_PROXY`, …), and no file in a home folder (`~/.aws`). A process says at its start which of them it ignores."""


def main() -> None:
    print(_TITLE)
    print("\n".join(_table(Settings)))
    print(_S3)
    for settings, models in by_settings().items():
        print(f"\n## {' and '.join(models)}\n\nRead by a render worker with this `FARM_MODEL`.\n")
        print("\n".join(_table(settings)))


def by_settings() -> Mapping[type[EngineSettings], list[str]]:
    """The farm's own engines that have settings, with the models that share them."""
    found: dict[type[EngineSettings], list[str]] = {}
    for name in OWN:
        if (settings := find(name).settings).variables():
            found.setdefault(settings, []).append(name)
    return found


def _table(settings: type[Variables]) -> Iterator[str]:
    yield "| variable | default | |\n|---|---|---|"
    for name, field in settings.variables().items():
        default = "" if field.default in (None, (), {}) else f"`{field.default}`"
        yield f"| `{name}` | {default} | {field.description} |"


if __name__ == "__main__":
    main()
