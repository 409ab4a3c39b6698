"""Stores for tests: kinds of all sorts, a clock that tests turn, and a search through every byte below a folder."""

import gzip
import io
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from headgate.contract.kinds import Kind
from headgate.privacy.store import Store
from headgate.settings import Settings

NOTE = Kind("note", "notes", timedelta(days=30), ("text/plain", "application/json"))
PICTURE = Kind("picture", "pictures", None, ("image/png",), keyed=True)
SCAN = Kind("scan", "scans", timedelta(hours=1), keyed=True)
KINDS = (NOTE, PICTURE, SCAN)

START = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Turned:
    """A clock."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **by: float) -> None:
        self.now += timedelta(**by)


def make_store(settings: Settings, clock: Turned | None = None, domain: str = "rooms") -> Store:
    return Store(settings, domain, KINDS, clock=clock or Turned())


def found(folder: Path, *wanted: bytes) -> list[str]:
    """Every file below `folder` that holds one of `wanted`, in its name or its bytes, raw or unpacked."""
    hits = []
    for path in sorted(folder.rglob("*")):
        if any(one in str(path.relative_to(folder)).encode() for one in wanted):
            hits.append(f"{path} (its name)")
        if path.is_file():
            hits += [where for where, data in _contents(str(path), path.read_bytes()) if any(w in data for w in wanted)]
    return hits


def _contents(where: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Bytes as they are, and whatever can be unpacked of them."""
    yield where, data
    if data[:4] == b"PAR1":
        table = pl.read_parquet(io.BytesIO(data))
        yield f"{where} (its rows)", repr(table.rows()).encode()
        for name, dtype in table.schema.items():
            if dtype == pl.Binary:
                yield f"{where} ({name})", b"\0".join(value for value in table[name] if value is not None)
    elif data[:2] == b"\x1f\x8b":
        yield from _contents(f"{where} (gunzipped)", gzip.decompress(data))
    elif data[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                inner = tar.extractfile(member)
                if inner is not None:
                    yield from _contents(f"{where}/{member.name}", inner.read())
