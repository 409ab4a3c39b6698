"""The file format of a segment: an append-only file of frames that survives the death of whoever writes it.

::

    8 bytes   magic and format
    32 bytes  the slot: rows lost, first and last instant of the loss (µs since 1970), CRC-32 of the three
    frames    4 bytes length, 4 bytes CRC-32 of the payload, the payload in MessagePack; little-endian

The first frame is a list of column names; every other is a list of rows, one row a list in that order. Instants are
integers of microseconds since 1970, vectors the bytes of their float32. The slot is there from the start, so that a
loss can be noted in it when the disk has no room for one frame more.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

MAGIC = b"HGSEG\x00\x00\x01"

_SLOT = struct.Struct("<QqqI4x")
_FRAME = struct.Struct("<II")
_decode = msgspec.msgpack.Decoder().decode

#: Where the slot lies, and where frames begin.
SLOT_AT = len(MAGIC)
FRAMES_AT = SLOT_AT + _SLOT.size


@dataclass(frozen=True)
class Lost:
    """Rows that could not be written, and the instants (µs since 1970) between which that was."""

    rows: int = 0
    since: int = 0
    until: int = 0

    def and_(self, rows: int, since: int, until: int) -> "Lost":
        """With `rows` more, lost between two instants."""
        return Lost(self.rows + rows, min(self.since, since) if self.rows else since, max(self.until, until))


@dataclass(frozen=True)
class Content:
    """What a segment holds."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]
    lost: Lost
    torn: int  # bytes of a last frame that was cut off as it was written: it was never acknowledged
    damaged: int  # bytes from the first frame on that is not what was written: the disk's doing


def start(columns: Sequence[str]) -> bytes:
    """The bytes that a new segment begins with."""
    return MAGIC + slot(Lost()) + frame(msgspec.msgpack.encode(list(columns)))


def slot(lost: Lost) -> bytes:
    """The slot's bytes."""
    told = struct.pack("<Qqq", lost.rows, lost.since, lost.until)
    return told + struct.pack("<I4x", zlib.crc32(told))


def frame(payload: bytes) -> bytes:
    """A frame of what is in MessagePack already."""
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def read(path: Path) -> Content:
    """What the segment at `path` holds up to now; raises FileNotFoundError where it is gone."""
    data = memoryview(path.read_bytes())
    if bytes(data[:SLOT_AT]) != MAGIC:
        return Content((), (), Lost(), 0, len(data))
    frames, at, torn, damaged = [], FRAMES_AT, 0, 0
    while at < len(data):
        rest = len(data) - at
        length, crc = _FRAME.unpack_from(data, at) if rest >= _FRAME.size else (rest, 0)
        payload = data[at + _FRAME.size : at + _FRAME.size + length]
        if len(payload) < length or rest < _FRAME.size:
            torn = rest
            break
        if not length or zlib.crc32(payload) != crc:
            damaged = rest
            break
        frames.append(_decode(payload))
        at += _FRAME.size + length
    columns, batches = (tuple(frames[0]), frames[1:]) if frames else ((), [])
    return Content(columns, [row for batch in batches for row in batch], _lost(data), torn, damaged)


def _lost(data: memoryview) -> Lost:
    rows, since, until, crc = _SLOT.unpack_from(data, SLOT_AT)
    return Lost(rows, since, until) if zlib.crc32(data[SLOT_AT : SLOT_AT + 24]) == crc else Lost()


def table(content: Content, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The rows as a table of `schema`. A column that the segment does not have is null: it is older than the column."""
    values = dict(zip(content.columns, zip(*content.rows, strict=True), strict=True)) if content.rows else {}
    empty = [None] * len(content.rows)
    return pl.DataFrame([_series(name, values.get(name, empty), dtype) for name, dtype in schema.items()])


def _series(name: str, values: Sequence[Any], dtype: pl.DataType) -> pl.Series:
    if isinstance(dtype, pl.Datetime):
        return pl.Series(name, values, dtype=pl.Int64).cast(dtype)
    if isinstance(dtype, pl.Array):
        width = 4 * dtype.size
        if all(value is not None and len(value) == width for value in values):
            vectors = np.frombuffer(b"".join(values), dtype="<f4").reshape(-1, dtype.size)
            return pl.Series(name, vectors, dtype=dtype)
        return pl.Series(name, [None if v is None else np.frombuffer(v, "<f4").tolist() for v in values], dtype=dtype)
    return pl.Series(name, values, dtype=dtype)
