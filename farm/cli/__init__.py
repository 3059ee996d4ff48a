"""The command `farm`, for terminals and scripts.

Data goes to stdout, as JSON with --json; progress and remarks go to stderr. Errors name what is wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    try:
        from farm.cli.command import run  # takes a third of a second, in which Ctrl-C may come as well

        return run(arguments)
    except KeyboardInterrupt:
        return 130
