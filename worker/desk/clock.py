"""A place in a recording as subtitles and chapters write it: 01:02:03.456."""

from __future__ import annotations


def clock(milliseconds: int, point: str = ".") -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}"
