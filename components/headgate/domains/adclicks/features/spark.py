"""The feature kernel on Spark, for logs that one machine cannot hold: the same vectors to the last digit.

The clicks are brought together by user for what a user's clicks tell, then by IP key for what an IP's clicks tell, then
by day. `features.user_part` and `features.ip_part` see an entity's clicks in order of arrival, as they do on one
machine. A row takes its columns along from stage to stage, so nothing has to be joined.

Memory. A Python worker holds `CHUNK` clicks, or twice those that one entity made in 25 hours where these are more, at
600 bytes each: an IP with ten million clicks a day needs 12 GB in one worker. Spark's own sorts spill to disk. All
clicks of an entity are one worker's work, so the busiest IP bounds how soon it is done.

Workers read and write the folders that are named here: they lie on a file system that all of them share.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate.domains.adclicks.data import raw
from headgate.domains.adclicks.features.addresses import ip_keys
from headgate.domains.adclicks.features.kernel import (
    COLUMNS,
    FEATURES,
    IP_FEATURES,
    OWN_FEATURES,
    USER_FEATURES,
    Arrivals,
    arrivals,
    ip_part,
    own_part,
    user_part,
)
from headgate.domains.adclicks.features.windows import HISTORY
from headgate.errors import DataRefused, HeadgateError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

#: Clicks that the kernel takes at once, and that are read at once.
CHUNK = 1 << 17

#: Rows of the batches that workers hand to Spark.
_BATCH = 1 << 14

Part = Callable[[Arrivals, int], NDArray[np.float32]]
Batches = Iterator["pa.RecordBatch"]

_CLICKS = (
    "click_id string, event_time timestamp, utc_offset_min int, received_at timestamp, user_id string, "
    "session_id string, ip string, logged_in boolean"
)


def write(on: Path, out: Path, master: str, chunk: int = CHUNK) -> None:
    """Write the vectors of the clicks below `on` to `out/DAY.parquet`: click_id, received_at, FEATURES, by arrival.

    A click id counts once in the whole log, as its first arrival. `out` is an empty folder. Raises UsageError where
    Spark or Java is not installed or there are no clicks, DataRefused where a file is not of the raw schema, and
    HeadgateError where Spark fails.
    """
    files = sorted((on.resolve() / "clicks").glob("*.parquet"))
    if not files:
        raise UsageError(f"There are no click files in {on}: it must hold clicks/DAY.parquet.")
    with _session(master) as spark:
        rows = _checked(spark, files)
        clicks = _first_arrivals(_read(spark, files, rows))
        schema = _CLICKS
        for entity, part, names in (("user_id", user_part, USER_FEATURES), ("ip", ip_part, IP_FEATURES)):
            schema += _floats(names)
            sorted_clicks = clicks.repartition(entity).sortWithinPartitions(entity, "received_at", "click_id")
            work = partial(by_entity, entity=entity, part=part, names=names, chunk=chunk)
            clicks = sorted_clicks.mapInArrow(work, schema)
        _write_days(clicks.mapInArrow(_own, f"click_id string, received_at timestamp{_floats(FEATURES)}"), out)


def by_entity(batches: Batches, *, entity: str, part: Part, names: tuple[str, ...], chunk: int) -> Batches:
    """Rows in the order of `entity` and, within it, of arrival, with the columns `names` that `part` works out.

    A chunk leaves the youngest clicks of its last entity to the next one as history, so it may end anywhere. It is as
    large as that history at least: no click is counted more than a few times.
    """
    frames, since, history = _frames(batches), 0, None
    while (rows := _take(frames, max(chunk, since))) is not None:
        clicks = rows if history is None else pl.concat([history, rows])
        yield from _batches(rows, part(arrivals(clicks), since), names)
        last = clicks.row(-1, named=True)
        young = pl.col("received_at") >= last["received_at"] - pl.duration(microseconds=HISTORY)
        history = clicks.filter((pl.col(entity) == last[entity]) & young)
        since = len(history)


def _own(batches: Batches) -> Batches:
    """What is written of each row, with what the click tells by itself."""
    for rows in _frames(batches):
        kept = rows.select("click_id", "received_at", *USER_FEATURES, *IP_FEATURES)
        yield from _batches(kept, own_part(rows), OWN_FEATURES)


def _checked(spark: Any, files: list[Path]) -> list[int]:
    """The rows of each file; DataRefused for the first that is not of the raw schema."""
    named = spark.createDataFrame([(n, str(file)) for n, file in enumerate(files)], "n int, file string")
    looked = named.repartition(len(files)).mapInArrow(_check, "n int, rows bigint, refusal string")
    looks = sorted(looked.collect(), key=lambda look: look.n)
    for look in looks:
        if look.refusal:
            raise DataRefused(look.refusal)
    return [look.rows for look in looks]


def _check(batches: Batches) -> Batches:
    import pyarrow as pa

    for batch in batches:
        for row in batch.to_pylist():
            found: dict[str, Any] = {"n": row["n"], "rows": 0, "refusal": ""}
            try:
                found["rows"] = raw.check_file(Path(row["file"]), "clicks")
            except DataRefused as error:
                found["refusal"] = str(error)
            schema = pa.schema([("n", pa.int32()), ("rows", pa.int64()), ("refusal", pa.string())])
            yield pa.RecordBatch.from_pylist([found], schema)


def _read(spark: Any, files: list[Path], rows: list[int]) -> Any:
    """Every click, with its IP key for its IP and its `place` in the log."""
    pieces = [
        (str(file), start, (n << 40) + start)
        for n, (file, many) in enumerate(zip(files, rows, strict=True))
        for start in range(0, many, CHUNK)
    ]
    named = spark.createDataFrame(pieces, "file string, start bigint, place bigint")
    return named.repartition(len(pieces)).mapInArrow(_read_pieces, f"{_CLICKS}, place bigint")


def _read_pieces(batches: Batches) -> Batches:
    for batch in batches:
        for piece in batch.to_pylist():
            scan = raw.scan_table(Path(piece["file"]), "clicks").select(COLUMNS)
            clicks = scan.slice(piece["start"], CHUNK).collect()
            place = pl.int_range(piece["place"], piece["place"] + len(clicks), dtype=pl.Int64, eager=True)
            typed = clicks.with_columns(ip_keys(clicks["ip"]), pl.col("utc_offset_min").cast(pl.Int32), place=place)
            yield from _to_arrow(typed)


def _first_arrivals(clicks: Any) -> Any:
    """Each id once, as `features.in_order_of_arrival` keeps it: of equal arrivals, the first in the log."""
    from pyspark.sql import functions as sql

    first = sql.min(
        sql.struct("received_at", "place", *(name for name in COLUMNS if name not in ("click_id", "received_at")))
    )
    return clicks.groupBy("click_id").agg(first.alias("first")).select("click_id", "first.*").select(*COLUMNS)


def _write_days(vectors: Any, out: Path) -> None:
    """Write each day of arrival to a file of its own, in order of arrival."""
    from pyspark.sql import functions as sql

    daily = vectors.withColumn("day", sql.to_date("received_at")).repartition("day")
    draft = out.resolve() / "draft"
    daily.sortWithinPartitions("day", "received_at", "click_id").write.partitionBy("day").parquet(draft.as_uri())
    for file in draft.glob("day=*/*.parquet"):
        file.replace(out / f"{file.parent.name.removeprefix('day=')}.parquet")
    shutil.rmtree(draft)


def _floats(names: tuple[str, ...]) -> str:
    return "".join(f", {name} float" for name in names)


def _frames(batches: Batches) -> Iterator[pl.DataFrame]:
    return (cast(pl.DataFrame, pl.from_arrow(batch)) for batch in batches if batch.num_rows)


def _take(frames: Iterator[pl.DataFrame], least: int) -> pl.DataFrame | None:
    """The rows of the next of `frames`, `least` of them or all that are left; None where there are none."""
    taken: list[pl.DataFrame] = []
    while sum(map(len, taken)) < least and (frame := next(frames, None)) is not None:
        taken.append(frame)
    return pl.concat(taken, rechunk=True) if taken else None


def _batches(rows: pl.DataFrame, values: NDArray[np.float32], names: tuple[str, ...]) -> Batches:
    """`rows` with `values` [n, len(names)] as further columns."""
    yield from _to_arrow(rows.with_columns(pl.Series(name, values[:, n]) for n, name in enumerate(names)))


def _to_arrow(rows: pl.DataFrame) -> Batches:
    """Arrow as Spark takes it: with plain strings."""
    import pyarrow as pa

    table = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
    plain = [field.with_type(pa.string()) if pa.types.is_large_string(field.type) else field for field in table.schema]
    yield from table.cast(pa.schema(plain)).to_batches(_BATCH)


@contextmanager
def _session(master: str) -> Iterator[Any]:
    """A Spark session that ends with the block; what goes wrong in it is said in a sentence."""
    try:
        from py4j.protocol import Py4JError  # type: ignore[import-untyped]
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise UsageError("Spark is not installed: pip install 'headgate[spark]'.") from error
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        raise UsageError("Spark needs Java 17 or newer: install it, or name it by JAVA_HOME.")
    options: dict[str, Any] = {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.ui.showConsoleProgress": False,
        "spark.log.level": "ERROR",
    }
    if master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        options["spark.ui.enabled"] = False
    try:
        spark = SparkSession.builder.appName("headgate features").master(master).config(map=options).getOrCreate()
        try:
            yield spark
        finally:
            spark.stop()
    except (PySparkException, Py4JError) as error:
        raise HeadgateError(f"Spark did not get through ({_words(error)}): its own log says more.") from error


def _words(error: Exception) -> str:
    """What Spark says first, or the last line of a worker's traceback."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line[0].isspace()]
    plain = [line for line in lines if not line.startswith(("JVM stacktrace", "org.apache"))]
    at = -1 if any(line.startswith("Traceback") for line in plain) else 0
    return plain[at][:300] if plain else type(error).__name__
