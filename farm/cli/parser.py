"""The arguments of the command line. Each command imports the parts that it needs, so a client starts quickly and needs
neither Redis nor Celery."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from importlib.metadata import version
from typing import get_args

from farm.audio_formats import ALSO_FORMATS, AUDIO_FORMATS, SUBTITLE_FORMATS
from farm.cli import narrate, orders, review, up, voices
from farm.cli.chapters import numbers, rule
from farm.cli.quotas import HELP, amount
from farm.cli.screen import EXIT_CODES
from farm.job import DEFAULT_TENANT, Lane
from farm.speech import PARAMETERS, Option
from farm.wire import ROOM_TONE_DBFS, TRIM_DBFS, Markup, Pauses, PresetName

Act = Callable[[argparse.Namespace], int]

_SETTINGS = """
settings come from FARM_ variables; FARM_URL and FARM_API_KEY say which farm to talk to (http://127.0.0.1:8000)
"""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="farm",
        description="An asynchronous text-to-speech farm: narration jobs in, audiobooks out.",
        epilog=EXIT_CODES + _SETTINGS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"farm {version('tts-farm')}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    command = _add(commands, "up", up.up, "run the embedded farm here until Ctrl-C")
    command.add_argument("--data", metavar="FOLDER", help="where everything lives (FARM_DATA_DIR, ./data)")
    command.add_argument("--host", help="address of the API (FARM_HOST, 127.0.0.1)")
    command.add_argument("--port", type=int, help="port of the API, 0 for a free one (FARM_PORT, 8000)")
    command.add_argument("--model", help="what the render workers serve (FARM_MODEL, espeak)")
    command.add_argument("--workers", type=int, metavar="N", help="render workers (1; of kokoro one for each core)")
    command.add_argument("--verbose", action="store_true", help="show the logs")

    command = _add(commands, "narrate", narrate.narrate, "turn a text or a document into an audio file")
    _add_text(command)
    command.add_argument("--list", action="store_true", help="show the chapters of the file, and narrate nothing")
    command.add_argument("-o", "--out", metavar="FILE", help="audio file; its suffix says the format (FILE.mp3)")
    _add_timeout(command)

    command = _add(commands, "submit", narrate.submit, "submit a text and return at once")
    _add_text(command)
    _add_idempotency_key(command)

    command = _add(commands, "preview", _later("preview", "preview"), "show what a text would be spoken as")
    _add_text(command)

    command = _add(commands, "batch", narrate.batch, "submit a JSON Lines file, one job a line, and see it through")
    command.add_argument("file", metavar="FILE.jsonl", help="one job a line, or - for stdin")
    command.add_argument("-o", "--out", metavar="FOLDER", help="save the audio of every job there")
    command.add_argument("--no-wait", action="store_true", help="return once it is accepted")
    _add_idempotency_key(command)
    _add_timeout(command)

    command = _add(commands, "status", orders.status, "show a job or a batch")
    command.add_argument("id", metavar="ID")
    command = _add(commands, "wait", narrate.wait, "wait for the end of a job or a batch")
    command.add_argument("id", metavar="ID")
    command.add_argument("-o", "--out", metavar="PATH", help="save the audio: a file for a job, a folder for a batch")
    _add_timeout(command)
    command = _add(commands, "download", orders.download, "save all results of a job or a batch as a ZIP archive")
    command.add_argument("id", metavar="ID")
    command.add_argument("-o", "--out", metavar="FILE.zip", help="(ID.zip)")
    command.add_argument("--partial", action="store_true", help="of a batch: leave out jobs that have no result")
    command = _add(commands, "listen", orders.listen, "print the address at which a player hears a job early")
    command.add_argument("id", metavar="JOB")
    command = _add(commands, "review", review.review, "show the segments of a job that somebody should listen to")
    command.add_argument("id", metavar="JOB")
    command = _add(commands, "cancel", orders.cancel, "stop a job or a batch")
    command.add_argument("id", metavar="ID")
    says = "take a failed or canceled job up again, or say one sentence of an ended one again"
    command = _add(commands, "retry", orders.retry, says)
    command.add_argument("id", metavar="ID")
    command.add_argument("--segment", type=int, metavar="N", help="only this one, under another seed")
    command.add_argument("--seed", type=int, metavar="S", help="of that segment (the one after its own)")

    command = _add(commands, "edit", _later("edit", "edit"), "change an ended job, and render only what changed")
    command.add_argument("id", metavar="JOB")
    command.add_argument("file", nargs="?", metavar="FILE", help="all of its text anew, or - for stdin")
    command.add_argument("--encoding", metavar="NAME", help="of that file, like gb18030")
    command.add_argument("--segment", type=int, action="append", default=[], metavar="N", help="a sentence; repeatable")
    command.add_argument("--text", action="append", default=[], help="in place of that; repeatable, one for each")
    says = "who speaks it, an empty one for who speaks what is around it; repeatable, one for each"
    command.add_argument("--speaker", action="append", default=[], metavar="VOICE", help=says)
    command.add_argument("--voice", help="of the whole job")
    command.add_argument(
        "--cast", action="append", default=[], type=_pair, metavar="NAME=VOICE", help="in place of its cast; repeatable"
    )
    command.add_argument(
        "--lexicon", action="append", metavar="NAME", help="in place of its lexicons; repeatable, an empty one for none"
    )
    command.add_argument("--language", help="BCP 47, like en or pt-BR")
    command.add_argument("--speed", type=float, help="0.5 to 2.0")
    command.add_argument("--markup", choices=get_args(Markup), help="what the text is written in")
    command.add_argument("--format", choices=tuple(AUDIO_FORMATS), help="of the audio")
    command.add_argument("--revision", type=int, metavar="N", help="only where the job is still at this one")
    command.add_argument("--dry-run", action="store_true", help="change nothing, and say what it would render")

    _add_voices(commands)
    _add_lexicons(commands)
    _add(commands, "queue", orders.queue, "show what waits, and who works on it")
    _add(commands, "doctor", _later("doctor", "doctor"), "check everything, and say how to mend what is wrong")
    says = "make the storage that FARM_STORAGE_URL names the farm's own, after its objects were moved or lost"
    _add(commands, "adopt-storage", _later("storage", "adopt_storage"), says)
    _add_keys(commands)
    _add_tenants(commands)
    return top


def _add_voices(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    group = commands.add_parser("voices", help="list, add and remove voices")
    verbs = group.add_subparsers(required=True, metavar="add|list|rm")
    _add(verbs, "list", voices.list_all, "the voices there are")
    verb = _add(verbs, "add", voices.add, "upload a voice: 1 to 60 seconds of speech")
    verb.add_argument("name")
    verb.add_argument("audio", metavar="FILE")
    verb.add_argument("--consent", required=True, help="who agreed that this voice is used, and where that is written")
    verb = _add(verbs, "rm", voices.remove, "remove an uploaded voice")
    verb.add_argument("name")


def _add_lexicons(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    group = commands.add_parser("lexicons", help="how words are said: put, get, list and delete lexicons")
    verbs = group.add_subparsers(required=True, metavar="list|put|get|delete")
    _add(verbs, "list", _later("lexicons", "list_all"), "the lexicons there are")
    verb = _add(verbs, "put", _later("lexicons", "put"), "make a new version of a lexicon")
    verb.add_argument("name")
    verb.add_argument("file", metavar="FILE", help="PLS, JSON, or lines like: Nguyen = win")
    verb = _add(verbs, "get", _later("lexicons", "get"), "print the entries of a lexicon as JSON")
    verb.add_argument("name", metavar="NAME", help="or NAME@VERSION")
    verb.add_argument("--pls", action="store_true", help="print PLS 1.0")
    verb = _add(verbs, "delete", _later("lexicons", "delete"), "delete a lexicon with all its versions")
    verb.add_argument("name")


def _add_keys(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    group = commands.add_parser(
        "keys", help="API keys, and quotas and secrets of their tenants (needs the farm's Redis)"
    )
    verbs = group.add_subparsers(required=True, metavar="create|list|limit|revoke|secret|rotate-secret|open")
    verb = _add(verbs, "create", _later("keys", "create"), "make a key; it is shown once")
    verb.add_argument("name")
    verb.add_argument("--tenant", help="whom it belongs to; keys of one tenant see the same jobs (the name)")
    verb.add_argument("--operator", action="store_true", help="it sees the whole farm: /metrics, workers, all queues")
    _add(verbs, "list", _later("keys", "list_all"), "the keys there are, with the limits and the use of their tenants")
    says = "set what the tenant of a key may have at most, or show it"
    verb = _add(verbs, "limit", _later("keys", "limit"), says)
    verb.add_argument("name")
    for limit, said in HELP.items():
        verb.add_argument(
            f"--{limit.replace('_', '-')}", type=amount, metavar="N", default=argparse.SUPPRESS, help=said
        )
    lanes = [*(str(lane) for lane in Lane), "none", "default"]
    verb.add_argument("--lane", choices=lanes, default=argparse.SUPPRESS, help="the highest priority of its jobs (all)")
    verb = _add(verbs, "revoke", _later("keys", "revoke"), "make a key worthless")
    verb.add_argument("name")
    verb = _add(verbs, "secret", _later("keys", "secret"), "show the secret that a tenant's webhooks are signed with")
    verb.add_argument("tenant", nargs="?", default=DEFAULT_TENANT, help="(that of a farm without keys)")
    says = "give the tenant of a key a new secret for its webhooks; the old one signs as well for 24 hours"
    verb = _add(verbs, "rotate-secret", _later("keys", "rotate_secret"), says)
    verb.add_argument("name")
    says = "let programs of the API's machine in without a key again, once all keys are revoked"
    _add(verbs, "open", _later("keys", "open_without_keys"), says)


def _add_tenants(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    group = commands.add_parser("tenants", help="delete all that a tenant has (needs access to Redis and storage)")
    verbs = group.add_subparsers(required=True, metavar="purge")
    verb = _add(verbs, "purge", _later("tenants", "purge"), "delete a tenant's jobs, batches, voices, audio and keys")
    verb.add_argument("tenant")
    verb.add_argument("--yes", action="store_true", help="do not ask")


def _add_text(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", help="text, EPUB, DOCX, PDF, HTML or FB2, or - for stdin")
    command.add_argument(
        "--encoding", metavar="NAME", help="of the text, like gb18030 (its byte order mark's, or UTF-8)"
    )
    command.add_argument(
        "--markdown",
        action=argparse.BooleanOptionalAction,
        help="the text is Markdown, whose marks are not read out (files named *.md are)",
    )
    command.add_argument("--voice", help="`farm voices list` shows them (the language's own)")
    command.add_argument(
        "--cast", action="append", default=[], type=_pair, metavar="NAME=VOICE",
        help="a voice for a name in the markup, or for the narrator; repeatable",
    )  # fmt: skip
    command.add_argument(
        "--lexicon",
        action="append",
        metavar="NAME",
        help="how words are said, or NAME@VERSION; repeatable, the first counts",
    )
    command.add_argument("--markup", choices=get_args(Markup), help="what the text is written in (docs/markup.md)")
    command.add_argument("--language", help="BCP 47, like en or pt-BR (the voice's own)")
    command.add_argument("--model", help="what renders (the farm's default)")
    for field in PARAMETERS.values():
        if field.option is not None:
            _add_parameter(command, field.option)
    command.add_argument(
        "--chapters",
        nargs="?",
        const=True,
        default=False,
        type=numbers,
        metavar="3-7,9",
        help='those chapters of a document; without numbers, cut a text at headings, or lines like "Chapter 1"',
    )
    command.add_argument(
        "--rule",
        action="append",
        default=[],
        type=rule,
        metavar="NAME=VALUE",
        help="what of a document is spoken, like notes=inline; repeatable (docs/documents.md)",
    )
    command.add_argument("--format", choices=tuple(AUDIO_FORMATS), help="of the audio (mp3)")
    command.add_argument("--loudness", type=float, metavar="LUFS", help="integrated loudness to reach, like -18")
    command.add_argument(
        "--preset", choices=get_args(PresetName), help="levels and limits of a shop; the table at the end has them"
    )
    command.add_argument("--loudness-per", choices=("recording", "chapter"), help="one gain, or one each (recording)")
    command.add_argument(
        "--trim", nargs="?", type=float, const=TRIM_DBFS, metavar="DBFS",
        help=f"cut off the silence around each clip's speech, what is below this ({TRIM_DBFS})",
    )  # fmt: skip
    command.add_argument(
        "--room-tone", nargs="?", type=float, const=ROOM_TONE_DBFS, metavar="DBFS",
        help=f"a quiet noise under the recording, so that no pause is digital silence ({ROOM_TONE_DBFS})",
    )  # fmt: skip
    command.add_argument(
        "--pause", action="append", default=[], type=_pause, metavar="WHERE=MS",
        help=f"silence in milliseconds, like chapter=2000; repeatable ({', '.join(Pauses.model_fields)})",
    )  # fmt: skip
    command.add_argument("--subtitles", action="append", choices=tuple(SUBTITLE_FORMATS), help="also saved; repeatable")
    command.add_argument(
        "--per-chapter", action="store_true", help="besides the whole, a file of each chapter; saved in NAME-chapters/"
    )
    command.add_argument(
        "--also", action="append", choices=tuple(ALSO_FORMATS), help="a book to be read along; saved beside the audio"
    )
    command.add_argument("--priority", choices=[str(lane) for lane in Lane], help="lane (normal)")
    command.add_argument("--on-review", choices=("deliver", "fail"), help="when a sentence needs a listener (deliver)")
    command.add_argument("--on-error", choices=("fail", "skip"), help="when a sentence can't be spoken (fail)")
    command.add_argument("--custom-id", metavar="NAME", help="your own name for the job")
    command.add_argument("--metadata", action="append", default=[], type=_pair, metavar="KEY=VALUE", help="repeatable")
    command.add_argument("--webhook", metavar="URL", help="told when the job has ended")


def _add_parameter(command: argparse.ArgumentParser, option: Option) -> None:
    if option.type is None:
        command.add_argument(option.flag, action="store_const", const=option.value, help=option.help)
    else:
        command.add_argument(option.flag, type=option.type, metavar=option.metavar, help=option.help)


def _add_idempotency_key(command: argparse.ArgumentParser) -> None:
    command.add_argument("--idempotency-key", metavar="KEY", help="the same key again is the same order")


def _add_timeout(command: argparse.ArgumentParser) -> None:
    command.add_argument("--timeout", type=float, metavar="SECONDS", help="how long to wait; the job goes on after it")


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, act: Act, help: str
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(act=act)
    return command


def _later(module: str, act: str) -> Act:
    def run(given: argparse.Namespace) -> int:
        chosen: Act = getattr(importlib.import_module(f"farm.cli.{module}"), act)
        return chosen(given)

    return run


def _pause(text: str) -> tuple[str, int]:
    where, ms = _pair(text)
    if where not in Pauses.model_fields or not ms.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not WHERE=MS; WHERE is one of {', '.join(Pauses.model_fields)}")
    return where, int(ms)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value
