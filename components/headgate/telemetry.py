"""The log of a serving process: a line for people or a JSON object a line, with the request's id and no secret."""

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

from prometheus_client import Counter, Histogram

Format = Literal["plain", "json"]

#: The id of the request that is being answered; empty outside of one. The doors set it.
REQUEST_ID: ContextVar[str] = ContextVar("headgate_request_id", default="")

# Every repetition is bounded: what is logged may come from outside, and must not cost more than its length.
_SECRETS = (
    (re.compile(r"hg_[\w-]{8,256}"), "hg_…"),
    (re.compile(r"(?i)\b(bearer|basic)\s{1,8}[\w.~+/=-]{16,4096}"), r"\1 …"),
    (re.compile(r"(://[^\s:/@]{0,256}):\S{1,256}@"), r"\1:…@"),
    (re.compile(r"(?i)\b(password|passwd|pwd|secret|token|api_?key)=[^\s&;,'\"]{1,4096}"), r"\1=…"),
)


def redact(text: str) -> str:
    """`text` without bearer tokens and the passwords of URLs and connection strings."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


class _Plain(logging.Formatter):
    """A line for people, with the request's id at its end where there is one; tracebacks follow it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        request_id, said = REQUEST_ID.get(), super().formatMessage(record).rstrip()
        return f"{said} [{request_id}]" if request_id else said

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _Json(logging.Formatter):
    """One JSON object a line, for programs."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": redact(record.getMessage().rstrip()),
        }
        if request_id := REQUEST_ID.get():
            told["request_id"] = request_id
        if record.exc_info:
            told["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(told)  # escapes line ends and lone surrogates, so that a line stays a line


def handler(format: Format) -> logging.Handler:
    """A handler that writes `format` to standard error.

    The formatters redact, not a filter: a filter sees neither the finished message nor the traceback.
    """
    made = logging.StreamHandler()
    made.setFormatter(_Json() if format == "json" else _Plain())
    return made


def configure(format: Format) -> None:
    """Log this process in `format` to standard error, from INFO on."""
    logging.basicConfig(level=logging.INFO, handlers=[handler(format)])
    logging.getLogger("httpx").setLevel(logging.WARNING)


class Children(dict[tuple[Any, ...], Any]):
    """A metric's children by their labels: prometheus_client takes longer to find one than to count."""

    def __init__(self, metric: Counter | Histogram) -> None:
        """None yet."""
        super().__init__()
        self._metric = metric

    def __missing__(self, labels: tuple[Any, ...]) -> Any:
        """The child with `labels`, made when it is first asked for."""
        self[labels] = child = self._metric.labels(*labels)
        return child
