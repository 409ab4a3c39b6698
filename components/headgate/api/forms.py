"""multipart/form-data in pieces: the parts of a form as they come, however the body is cut."""

import re
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from headgate.api.problems import Problem

#: Longest name of a file that is kept, in characters.
MAX_NAME = 120

_UNFIT = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Begun:
    """A part begins; `filename` is None where it is no file."""

    name: str
    filename: str | None


class Ended:
    """The part that began last is whole."""


#: What `FormParser.feed` tells: a part begins, some of its bytes, it ends.
Event = Begun | memoryview | Ended


class FormParser:
    """Takes the body of a form in pieces, and tells what has come.

    It holds no bytes but of a part's head, which the parser bounds. Pieces of a file are views on what was fed.
    """

    def __init__(self, content_type: str) -> None:
        """`content_type` is the request's; `Problem` (400) where it names no boundary."""
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        if not boundary:
            raise _malformed("its Content-Type names no boundary")
        self._events: list[Event] = []
        self._field, self._value, self._head = b"", b"", dict[bytes, bytes]()
        self.ended = False  # whether the form's last boundary has come
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._head.clear,
                    "on_header_field": self._on_field,
                    "on_header_value": self._on_value,
                    "on_header_end": self._on_header,
                    "on_headers_finished": self._on_part,
                    "on_part_data": lambda data, start, end: self._events.append(memoryview(data)[start:end]),
                    "on_part_end": lambda: self._events.append(Ended()),
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise _malformed(str(error)) from None

    def feed(self, data: bytes) -> list[Event]:
        """What `data` brings; `Problem` (400) where it is no form. What follows the form's end is passed over."""
        if self.ended:
            return []
        self._events = []
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _malformed(str(error)) from None
        return self._events

    def finish(self) -> None:
        """Raise `Problem` (400) where the body ends before the form does."""
        if not self.ended:
            raise _malformed("it ends before its last boundary")

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._head[self._field.lower()] = self._value
        self._field = self._value = b""

    def _on_part(self) -> None:
        kind, said = parse_options_header(self._head.get(b"content-disposition", b"").decode("latin-1"))
        if kind != b"form-data" or b"name" not in said:
            raise FormParserError("a part has no name")
        filename = said[b"filename"].decode("utf-8", "replace") if b"filename" in said else None
        self._events.append(Begun(said[b"name"].decode("utf-8", "replace"), filename))

    def _on_end(self) -> None:
        self.ended = True


def shown(filename: str) -> str:
    """A sender's name of a file, fit to be shown: no path, no control characters, not long."""
    return _UNFIT.sub("", re.split(r"[/\\]", filename)[-1])[-MAX_NAME:]


def _malformed(why: str) -> Problem:
    return Problem(400, "malformed", f"The body is no form ({why}): send it as multipart/form-data.")
