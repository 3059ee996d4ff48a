"""A webhook receiver: verifies what the farm sends, prints it, and ignores what comes twice.

    FARM_WEBHOOK_SECRET=whsec_… python examples/receiver.py 9000

In a program, `with Receiver(secret) as receiver:` listens on a free port of this machine; submit jobs with
`receiver.url` and call `receiver.wait_for(…)`. For production, do the same three things in your own web framework:
verify, remember the id, answer at once and work afterwards.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from standardwebhooks import Webhook, WebhookVerificationError

Event = dict[str, Any]
MAX_BODY = 20_000  # bytes; Standard Webhooks keeps payloads below this


class Receiver:
    """Collects verified events in `events`, each id once, and counts what it refused."""

    def __init__(self, secret: str, *, port: int = 0, on_event: Callable[[Event], None] | None = None) -> None:
        self.events: list[Event] = []
        self.refused = 0
        self._seen: set[str] = set()
        self._webhook = Webhook(secret)
        self._on_event = on_event
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="receiver", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/"

    def wait_for(self, wanted: Callable[[list[Event]], bool], timeout: float) -> bool:
        """Waits until `wanted` holds for the list of events. False when `timeout` seconds pass first."""
        with self._changed:
            return self._changed.wait_for(lambda: wanted(self.events), timeout)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, body: bytes, headers: dict[str, str]) -> int:
        """The status code of the answer."""
        try:
            event = self._webhook.verify(body, headers)
        except (WebhookVerificationError, ValueError):  # ValueError: a signature header or body out of form
            with self._changed:
                self.refused += 1
            return 401
        with self._changed:
            if headers["webhook-id"] not in self._seen:
                self._seen.add(headers["webhook-id"])
                self.events.append(event)
                if self._on_event:
                    self._on_event(event)
                self._changed.notify_all()
        return 204

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_POST(self) -> None:
                length = self.headers.get("content-length", "")
                if not length.isdigit() or int(length) > MAX_BODY:
                    self.send_response(413)
                else:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    self.send_response(receiver._take(self.rfile.read(int(length)), headers))
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Events are printed by whoever wants them; requests are not."""

        return Handler


def show(event: Event) -> None:
    print(event["timestamp"], event["type"], event["data"], flush=True)


def main() -> None:
    secret = os.environ.get("FARM_WEBHOOK_SECRET")
    if not secret:
        sys.exit("set FARM_WEBHOOK_SECRET to the secret that the farm signs your webhooks with")
    if not re.fullmatch(r"whsec_[A-Za-z0-9+/]{32,}={0,2}", secret.strip()):
        sys.exit("FARM_WEBHOOK_SECRET is no secret of webhooks: whsec_ and at least 24 bytes in base64")
    try:
        receiver = Receiver(secret.strip(), port=int(sys.argv[1]) if len(sys.argv) > 1 else 0, on_event=show)
    except (ValueError, OverflowError, OSError) as error:
        sys.exit(f"usage: python examples/receiver.py [PORT]: {error}")
    with receiver:
        print(f"listening on {receiver.url}; stop with Ctrl-C", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
