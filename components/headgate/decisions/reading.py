"""Read the decision log: part by part in bounded memory, folded and still open alike, and what holds of it now."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from headgate.contract.live import DecisionLog
from headgate.contract.row import COMMON
from headgate.decisions import rulings, segment_format
from headgate.decisions.layout import (
    GAPS,
    SUFFIX,
    began,
    check,
    corrections_folder,
    log_folder,
    open_folder,
    part_file,
)
from headgate.files import read_json
from headgate.settings import Settings

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: Clocks of one machine may step; by so much a row may lie outside the time that its part's name says.
SLACK = timedelta(hours=1)


@dataclass(frozen=True)
class Gap:
    """An interval whose log is incomplete: `rows` were answered and could not be written.

    Where the disk gave back other bytes than were written, how many rows that were is not known: `damaged` says so.
    """

    part: str
    since: datetime
    until: datetime
    rows: int
    damaged: int = 0  # bytes


def schema(log: DecisionLog) -> dict[str, pl.DataType]:
    """The columns of a row of `log`."""
    return COMMON | dict(log.own)


def parts(
    settings: Settings, log: DecisionLog, since: datetime | None = None, until: datetime | None = None
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield (part id, rows decided in [since, until)) part by part, at most some 50,000 rows at once, as `real` ones.

    A part is what one worker logged within a minute or 16 MiB; its id never changes, and neither does a part of the
    past: folding moves it and keeps id and rows. Parts come in the order in which they began, and the rows of one part
    in the order of `decided_at`; parts of several workers overlap. Parts without such rows are left out.
    """
    inside = real(log)
    if since is not None:
        inside &= pl.col("decided_at") >= since
    if until is not None:
        inside &= pl.col("decided_at") < until
    for part in listed(settings, log.name, since, until):
        rows = read_part(settings, log, part, inside)
        if len(rows):
            yield part, rows


def real(log: DecisionLog) -> pl.Expr:
    """Which logged rows are of people's traffic, and not of a game day.

    What counts, compares, learns or corrects reads through `parts` and so leaves game days out: the watch, drift,
    shadows, replays, and companions that are made of the log. The export does so by itself. What must know of every row
    reads `read_part`: `find`, since a decision of a game day can be asked for, and the warming of counters, which have
    counted them.
    """
    rehearsed = log.rehearsed
    return pl.lit(True) if rehearsed is None else ~rehearsed


def find(settings: Settings, log: DecisionLog, decision_id: str) -> tuple[str, pl.DataFrame] | None:
    """The part and the row of one decision; None where the log has none of that id."""
    wanted = pl.col("decision_id") == decision_id
    try:
        day = datetime.strptime(decision_id[:8], "%Y%m%d").replace(tzinfo=UTC)
        window: tuple[datetime | None, datetime | None] = (day, day + timedelta(days=1))
    except ValueError:
        window = (None, None)
    for part in listed(settings, log.name, *window):
        rows = read_part(settings, log, part, wanted)
        if len(rows):
            return part, rows
    return None


def gaps(settings: Settings, domain: str, since: datetime | None = None, until: datetime | None = None) -> list[Gap]:
    """The intervals in [since, until) whose log is incomplete, in order of time."""
    check(log_folder(settings, domain))
    found: dict[str, Gap] = {}
    for path in open_folder(settings, domain).glob(f"[!.]*{SUFFIX}"):  # first: see `listed`
        with suppress(FileNotFoundError):
            if gap := gap_in(path, segment_format.read(path)):
                found[gap.part] = gap
    for path in log_folder(settings, domain).glob(f"????-??-??/[!.]*{GAPS}"):
        part, told = path.name.removesuffix(GAPS), read_json(path)
        since_, until_ = datetime.fromisoformat(told["since"]), datetime.fromisoformat(told["until"])
        found[part] = Gap(part, since_, until_, told["rows"], told["damaged"])
    kept = (g for g in found.values() if (since is None or g.until >= since) and (until is None or g.since < until))
    return sorted(kept, key=lambda gap: gap.since)


def effective(settings: Settings, log: DecisionLog, rows: pl.DataFrame, part: str | None = None) -> pl.DataFrame:
    """`rows` with the decision that holds now: that of the newest correction, and above all a person's ruling.

    Replaces version, bundle, slice, outcome and whatever else a correction has, and adds `replay` (String: which
    replay decided, or null) and `ruled` (Boolean: a person did, or the policy of a case that nobody ruled on in time).
    With `part`, the part that all `rows` are of, only its corrections are read; of rulings, only those on `rows`.
    """
    home = corrections_folder(settings, log.name)
    check(home)
    ids = rows["decision_id"].implode()
    name = "*" if part is None else part
    corrected = [
        pl.scan_parquet(path, glob=False)
        .filter(pl.col("decision_id").is_in(ids))
        .with_columns(replay=pl.lit(path.parent.name))
        .collect()
        for path in sorted(home.glob(f"*/{name}.parquet"))
        if path.parent.name != rulings.RULINGS
        and not path.parent.name.startswith(".")
        and not path.name.startswith(".")
    ]
    held = rows.with_columns(replay=pl.lit(None, pl.String), ruled=pl.lit(False))
    if corrected:
        newest = pl.concat(corrected, how="diagonal_relaxed").sort("corrected_at", maintain_order=True)
        newest = newest.unique("decision_id", keep="last", maintain_order=True)
        held = _put(held, newest, [c for c in newest.columns if c in held.columns and c not in FIXED])
    named = rows["decision_id"].to_list()
    if ruled := rulings.held(settings, log.name, named):
        told = pl.Series("outcome", [ruled.get(one) for one in named], dtype=pl.String)
        held = held.with_columns(outcome=pl.coalesce(told, pl.col("outcome")), ruled=told.is_not_null())
    return held


#: What no correction changes.
FIXED = ("decision_id", "decided_at", "role", "companions")


def gap_in(path: Path, content: segment_format.Content) -> Gap | None:
    """What is missing from the segment at `path`, which holds `content`, if anything is."""
    part = path.stem
    if content.lost.rows:
        since, until = (EPOCH + timedelta(microseconds=us) for us in (content.lost.since, content.lost.until))
        return Gap(part, since, until, content.lost.rows, content.damaged)
    if content.damaged:
        return Gap(part, began(part), datetime.fromtimestamp(path.stat().st_mtime, UTC), 0, content.damaged)
    return None


def listed(settings: Settings, domain: str, since: datetime | None = None, until: datetime | None = None) -> list[str]:
    """The ids of the parts that may hold rows decided in [since, until), in the order in which they began."""
    check(log_folder(settings, domain))
    # Open ones first: what is folded in between is then seen twice, and not never.
    names = {path.stem for path in open_folder(settings, domain).glob(f"[!.]*{SUFFIX}")}
    for day in log_folder(settings, domain).glob("????-??-??"):
        midnight = datetime.combine(date.fromisoformat(day.name), datetime.min.time(), UTC)
        if since is None or midnight + timedelta(days=1) + SLACK > since:
            names |= {path.stem for path in day.glob("[!.]*.parquet")}
    wanted = [name for name in names if until is None or began(name) < until + SLACK]
    return sorted(wanted, key=lambda name: (began(name), name))


def read_part(
    settings: Settings,
    log: DecisionLog,
    part: str,
    where: pl.Expr | None = None,
    columns: Mapping[str, pl.DataType] | None = None,
) -> pl.DataFrame:
    """The rows of one part where `where` holds, in the order of `decided_at`; none where its time was over.

    With `columns`, only those of the schema.
    """
    wanted, chosen = columns or schema(log), pl.lit(True) if where is None else where
    folded = part_file(settings, log.name, part)
    for _ in range(2):  # it may be folded while it is looked for
        with suppress(FileNotFoundError):
            scan = pl.scan_parquet(folded, glob=False)
            has = scan.collect_schema()
            kept = {c: pl.col(c).cast(dtype) if c in has else pl.lit(None, dtype) for c, dtype in wanted.items()}
            return scan.filter(chosen).sort("decided_at", maintain_order=True).select(**kept).collect()
        with suppress(FileNotFoundError):
            content = segment_format.read(open_folder(settings, log.name) / f"{part}{SUFFIX}")
            rows = segment_format.table(content, schema(log)).filter(chosen)
            return rows.sort("decided_at", maintain_order=True).select(list(wanted))
    return pl.DataFrame(schema=wanted)


def _put(rows: pl.DataFrame, others: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """`rows` with `columns` of `others` where those have a row of the same decision."""
    told = others.select("decision_id", *(pl.col(c).cast(rows.schema[c]).alias(f"_{c}") for c in columns), _hit=True)
    joined = rows.join(told, on="decision_id", how="left", maintain_order="left")
    hit = pl.col("_hit").fill_null(False)
    chosen = {c: pl.when(hit).then(pl.col(f"_{c}")).otherwise(pl.col(c)) for c in columns}
    return joined.with_columns(**chosen).select(rows.columns)
