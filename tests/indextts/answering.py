"""A process beside the worker for tests: it answers, hangs, ends or fails as it is asked."""

from __future__ import annotations

import sys
import threading
from typing import Any

from farm.errors import BadInput


def begin(opening: int) -> Any:
    def answer(question: Any) -> Any:
        match question:
            case "hang":
                threading.Event().wait()
            case "end":
                raise SystemExit
            case "fail":
                raise BadInput("not that", pointer="/input")
            case "shout":
                sys.stdout.write("a customer's text")
                sys.stdout.flush()
        return opening, question

    return answer
