"""The snapshot: all that was known of load at one as-of instant.

It is a source itself, cut at that instant: the points' own files, verbatim (an unchanged day is the same bytes every
day, so DVC keeps it once), the series, and the revisions of calendar and masks that were known by then. The newest
files may hold points that became known later: `raw.load_points` and `raw.load_matrix` leave them out, given `as_of`.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from headgate.data.sources import fetch, list_files, told_of
from headgate.domain import Request
from headgate.domains.capacity.companions.calendar import Row, cells, columns, companion_id, read_calendar, read_masks
from headgate.domains.capacity.companions.file import append
from headgate.domains.capacity.data import raw
from headgate.errors import DataRefused, UsageError
from headgate.files import read_json, sha256, write_json


@dataclass(frozen=True)
class Snapshot:
    """A snapshot on disk."""

    folder: Path  # a source: series.csv, points/, calendar.csv, masks.csv
    as_of: datetime
    seed: int
    calendar: str  # the id of all revisions known by then, as `companions.companion_id` gives it
    masks: str

    @property
    def base(self) -> Path | None:
        """The bundle whose model is to be calibrated again, if this run trains none."""
        folder = self.folder / "base"
        return folder if folder.is_dir() else None


def take_snapshot(request: Request, out: Path) -> None:
    """Fill `out` with what `request.source` held at `request.as_of`.

    Raises DataRefused where the source has no series.csv, no point known by then, or a file that does not follow the
    schema, and UsageError where there is no such source or no bundle in `request.base`.
    """
    with told_of(request.source, out):
        _take(request, out)


def _take(request: Request, out: Path) -> None:
    as_of = request.as_of.astimezone(UTC)
    texts = {file.name for file in list_files(request.source, suffix=".csv")}
    if "series.csv" not in texts:
        raise DataRefused(f"There is no series.csv in {request.source}: a source of load lists its series there.")
    points = []
    for file in list_files(request.source):
        table = file.name.partition("/")[0]
        if table == "points" and raw.day_of(out / file.name) <= as_of.date():
            points.append(file.name)
    kept = [name for name in ("series.csv", "calendar.csv", "masks.csv") if name in texts]
    sums = fetch(request.source, [*kept, *points], out)
    series = raw.read_series(out)
    for name in points:
        raw.check_file(out / name, series)
    if not raw.has_points(out, as_of):
        raise DataRefused(
            f"{request.source} has no point that was known at {as_of:%Y-%m-%d %H:%M} UTC: check --source and --as-of, "
            "or import the missing days."
        )
    if request.base:
        base = Path(request.base)
        if not (base / "manifest.json").is_file():
            raise UsageError(f"There is no bundle in {base} to calibrate again.")
        shutil.copytree(base, out / "base")
    facts = {
        "as_of": as_of.isoformat(),
        "seed": request.seed,
        "calendar": _cut(read_calendar, out, as_of),
        "masks": _cut(read_masks, out, as_of),
        "base": bool(request.base),
    }
    sums |= {name: sha256(out / name) for name in kept if (out / name).exists()}
    write_json(out / "snapshot.json", facts | {"files": {name: sums[name] for name in sums if (out / name).exists()}})


def _cut(read: Callable[[Path], tuple[Row, ...]], out: Path, as_of: datetime) -> str:
    """Leave in a companion of `out` the revisions known at `as_of`, in their order, and return their id."""
    rows = read(out)
    known = [row for row in rows if row.known_since <= as_of]
    if len(known) < len(rows):
        path = out / rows[0].FILE
        path.unlink()
        append(path, None, [cells(row) for row in known], columns(type(rows[0])))
    return companion_id(known)


def read_snapshot(folder: Path) -> Snapshot:
    """The snapshot in `folder`."""
    value = read_json(folder / "snapshot.json")
    as_of = datetime.fromisoformat(value["as_of"])
    return Snapshot(folder, as_of, value["seed"], value["calendar"], value["masks"])
