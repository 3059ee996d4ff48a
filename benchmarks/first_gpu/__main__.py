"""What can this GPU do with the farm, and what goes wrong on it? One command of at most ten minutes, no download.

    python -m benchmarks.first_gpu --out DIR                the first GPU, real architecture, random weights
    python -m benchmarks.first_gpu --out DIR --only decode  some probes alone; may be repeated
    python -m benchmarks.first_gpu --out DIR --tiny --device cpu      shows on a CPU that every probe works

It goes on after each failure, prints one table, and writes DIR/table.md, results.json, log.txt and trace.json.gz.
docs/gpu.md says what each row means and where to send the table. Ends with 0 if every probe was asked, whatever it
answered; with 2, and a line, where there is no PyTorch or no GPU to ask about.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.first_gpu.probes import PROBES, Probe
from benchmarks.first_gpu.table import Result, as_json, as_markdown, as_text, not_run, summary

if TYPE_CHECKING:
    from benchmarks.first_gpu.bench import Plan

_USUAL_S = 600.0  # of all probes; whoever gives more has a slow card, and gives more to each
_LEAST_S = 5.0  # with less than this left, a probe is not begun
_PATIENCE = 5.0  # times a probe's seconds, where the tiny model shows on a busy CPU that it works


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parse(arguments)
    if (obstacle := obstacle_to(given.device)) is not None:
        print(f"error: {obstacle}", file=sys.stderr)
        return 2
    from benchmarks.first_gpu.bench import Plan  # imports PyTorch

    out: Path = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    checkpoints = {version: path for version, path in (("2", given.checkpoint), ("2.5", given.checkpoint_25)) if path}
    wanted = [probe for probe in PROBES if not given.only or probe.name in given.only]
    with tempfile.TemporaryDirectory(prefix="first-gpu-", dir=given.scratch) as scratch:
        plan = Plan(out, Path(scratch), given.device, given.tiny, checkpoints)
        results = ask_all(wanted, plan, given.minutes * 60, _print)
    print(f"\n{summary(results)}; {out / 'table.md'}")
    return 0


def ask_all(probes: Sequence[Probe], plan: Plan, seconds: float, say: Callable[[str], None]) -> list[Result]:
    """One result for each probe, in their order. The table is written after each, so that nothing is lost when this
    process is ended from outside."""
    from benchmarks.first_gpu.host import Host

    title = f"First GPU, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    deadline = time.monotonic() + seconds
    patience = _PATIENCE if plan.tiny else max(1.0, seconds / _USUAL_S)
    results: list[Result] = []
    host = Host(plan)
    try:
        for probe in probes:
            left = deadline - time.monotonic()
            if left < _LEAST_S:
                result = Result(probe.name, 0.0, [not_run(probe.name, "no time was left; ask for it with --only")])
            else:
                result = host.ask(probe, min(probe.seconds * patience, left))
            results.append(result)
            say(as_text(result))
            (plan.out / "table.md").write_text(as_markdown(title, results))
            (plan.out / "results.json").write_text(as_json(title, results))
    finally:
        host.close()
    return results


def obstacle_to(device: str) -> str | None:
    """Why no probe could be asked about this device. The driver is asked how many GPUs there are, which makes no
    context of CUDA: this process must have none."""
    if find_spec("torch") is None:
        return "PyTorch is not installed here; docs/gpu.md has the command"
    torch: Any = import_module("torch")
    kind, _, number = device.partition(":")
    if kind != "cuda":
        return None
    build = f"PyTorch {torch.__version__}"
    if torch.version.cuda is None:
        return f"{build} is a build without CUDA; install the one for your driver, or say --tiny --device cpu"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) < there:
        return None
    reason = " ".join(str(said[0].message).split()) if said else "what does nvidia-smi say?"
    return f"{build} of CUDA {torch.version.cuda} sees {there} GPUs here, and not {device}: {reason}"


def _print(text: str) -> None:
    print(text, flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the table, the log and the trace")
    parser.add_argument(
        "--minutes", type=float, default=_USUAL_S / 60, help="in which it ends, more for a slow card (default: 10)"
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu")
    parser.add_argument("--tiny", action="store_true", help="a model of 16 MB; shows that the probes work, no figures")
    parser.add_argument("--only", action="append", metavar="PROBE", choices=[probe.name for probe in PROBES])
    parser.add_argument("--checkpoint", type=Path, help="a folder of version 2, instead of random weights")
    parser.add_argument("--checkpoint-25", type=Path, help="a folder of version 2.5, instead of random weights")
    parser.add_argument("--scratch", type=Path, help="where random weights are written (default: the system's)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
