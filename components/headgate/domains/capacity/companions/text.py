"""The text of the calendar and the masks: CSV records, and what each column takes.

`records` and `value` say what is wrong and what to do; `companions` makes rows of what they return.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from headgate.domains.capacity.companions import local_time
from headgate.errors import DataRefused

#: The region, or the services, of a row that applies to all.
ALL = "*"

EFFECTS = ("robots", "outage", "throttled", "load-test", "keep")


class Misfit(ValueError):
    """A value that its column does not take. `args`: the column, and what is wrong with what to do, no full stop."""


def value(column: str, text: str) -> Any:
    """The value of a cell of `column`. Raises Misfit."""
    try:
        return _PARSERS[column](text.strip())
    except ValueError as error:
        raise Misfit(column, str(error)) from None


def records(data: bytes, path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Each record's first line and its cells by column; lines without any text are left out."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        remedy = "convert it first (iconv -f ENCODING -t UTF-8)"
        raise DataRefused(f"{path}, line {line}: not UTF-8 text: {remedy}.") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error as error:
            raise DataRefused(f"{path}, line {line}: {error}: check the quotes of that line.") from error
        if record is None:
            break
        if header is None:
            header = [name.strip() for name in record]
            _check_header(header, path, columns)
        elif any(cell.strip() for cell in record):
            if len(record) != len(header):
                counts = f"{len(record)} fields, expected {len(header)} as in the header"
                raise DataRefused(f"{path}, line {line}: {counts}: quote a text that holds a comma.")
            yield line, dict(zip(header, record, strict=True))
    if header is None:
        raise DataRefused(f"{path} is empty: remove it, or write its header, {','.join(columns)}.")


def _check_header(header: list[str], path: Path, wanted: Sequence[str]) -> None:
    if missing := [column for column in wanted if column not in header]:
        hint = "save it with commas, not semicolons" if len(header) == 1 and ";" in header[0] else "add it"
        raise DataRefused(f"{path}, line 1: the column {', '.join(missing)} is missing: {hint}.")
    if unknown := [column for column in header if column not in wanted]:
        raise DataRefused(f"{path}, line 1: the column {', '.join(map(repr, unknown))} is unknown: remove it.")
    if twice := [column for column in wanted if header.count(column) > 1]:
        raise DataRefused(f"{path}, line 1: the column {', '.join(twice)} is there more than once: remove one.")


def either(text: str, choices: Sequence[str]) -> str:
    """What to say of a text that is none of `choices`."""
    return f"{text!r} is unknown: write {' or '.join(choices)}"


def _effect(text: str) -> str:
    if text not in EFFECTS:
        raise ValueError(either(text, EFFECTS))
    return text


def _id(text: str) -> str:
    if not text or not text.isprintable() or re.search(r"\s", text):
        raise ValueError(f"{text!r} is no id: write one without spaces, such as summer-sale-2026")
    return text


def _revision(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,8}", text, re.ASCII):
        raise ValueError(f"{text!r} is no revision: write 1, 2, 3 …")
    return int(text)


def _kind(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+", text):
        raise ValueError(f"{text!r} is no kind: write lower-case letters, digits and hyphens, such as flash-sale")
    return text


def _region(text: str) -> str:
    if not text or any(mark in text for mark in "/|") or (ALL in text and text != ALL):
        raise ValueError(f"{text!r} is no region: write one, or {ALL} for all")
    return text


def _services(text: str) -> tuple[str, ...]:
    names = sorted({name.strip() for name in text.split("|")})
    if not all(names) or any("/" in name for name in names) or (ALL in text and text != ALL):
        raise ValueError(f"{text!r} names no services: write them as cart|checkout, or {ALL} for all")
    return tuple(names)


def _time(text: str) -> str:
    return local_time.write(local_time.parse(text))


def _intensity(text: str) -> float:
    try:
        found = float(text or 1)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise ValueError(f"{text!r} is no intensity: write a number above 0, such as 1 or 2.5")
    return found


_PARSERS: dict[str, Callable[[str], Any]] = {
    "event": _id,
    "mask": _id,
    "revision": _revision,
    "kind": _kind,
    "name": str,
    "region": _region,
    "services": _services,
    "start": _time,
    "end": _time,
    "intensity": _intensity,
    "effect": _effect,
    "known_since": local_time.instant,
    "status": str,
    "author": str,
    "reason": str,
}
