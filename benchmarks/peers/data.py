"""Real series of ../shared/data/capacity as histories, and what people knew of them."""

import gzip
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.data.raw import Series
from headgate.domains.capacity.model.histories import History

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "capacity"
WEEK = 7 * 86_400


def series(name: str, step: int, zone: str = "UTC", aggregation: str = "sum") -> Series:
    return Series(f"x/{name}/load", "x", name, "load", "", zone, step, aggregation)


def days_off(days: list[date]) -> tuple[Event, ...]:
    """Holidays of one kind, known for ever."""
    long_ago = datetime(1990, 1, 1, tzinfo=UTC)
    return tuple(
        Event(f"h{d}", 1, "holiday", "", "*", ("*",), f"{d}", f"{d + timedelta(1)}", 1.0, long_ago, "planned", "", "")
        for d in days
    )


def gridded(one: Series, times: np.ndarray, values: np.ndarray, events: tuple[Event, ...] = ()) -> History:
    """A history on a regular grid; what is not there is missing."""
    grid = np.arange(times[0], times[-1] + 1, one.step)
    found = np.full((len(grid), 1), np.nan, np.float32)
    found[(times - times[0]) // one.step, 0] = values
    return History((one,), grid, found, events, ())


def nasa() -> History:
    """Requests per minute of July and August 1995; the shut-down before a hurricane is masked."""
    rows = pl.read_csv(DATA / "nasa_http" / "requests_per_minute.csv.gz", try_parse_dates=True)
    known = rows.filter(pl.col("missing") == 0)
    times = known["minute_local_edt"].dt.epoch("s").to_numpy() + 4 * 3600
    events = days_off([date(1995, 7, 4), date(1995, 9, 4)])
    return gridded(series("nasa", 60, "America/New_York"), times, known["requests"].to_numpy(), events)


def api() -> History:
    """Requests a second of an e-commerce API, hourly, with the public holidays of the United States.

    Its times say UTC and show the clock of New York.
    """
    import holidays

    rows = pl.read_csv(DATA / "ms_cloud" / "api-01.csv", try_parse_dates=True)
    shown = rows["TimeStamp"].dt.replace_time_zone(None)
    local = shown.dt.replace_time_zone("America/New_York", ambiguous="earliest", non_existent="null")
    rows = rows.with_columns(t=local.dt.epoch("s")).drop_nulls("t").unique("t", keep="first").sort("t")
    one = series("api", 3600, "America/New_York", "mean")
    events = days_off(sorted(holidays.country_holidays("US", years=[2017, 2018])))
    return gridded(one, rows["t"].to_numpy(), rows["Value"].to_numpy(), events)


def taxi() -> History:
    """Taxi rides in New York every half hour, with the public holidays of the United States."""
    import holidays

    rows = pl.read_csv(DATA / "nab" / "nyc_taxi.csv", try_parse_dates=True)
    local = rows["timestamp"].dt.replace_time_zone("America/New_York", ambiguous="earliest", non_existent="null")
    rows = rows.with_columns(t=local.dt.epoch("s")).drop_nulls("t").unique("t", keep="first").sort("t")
    events = days_off(sorted(holidays.country_holidays("US", years=[2014, 2015])))
    return gridded(series("taxi", 1800, "America/New_York"), rows["t"].to_numpy(), rows["value"].to_numpy(), events)


def weeklies(newest: int, cut: int = 0) -> list[History]:
    """The weekly M4 series, the newest so many weeks of each, without the last `cut`; one history for each length."""
    with gzip.open(DATA / "m4_weekly" / "series.csv.gz", "rt") as file:
        rows = [line.strip().split(",") for line in file]
    groups: dict[int, list[tuple[str, np.ndarray]]] = {}
    for name, *values in rows:
        kept = np.array(values, dtype=np.float64)[: len(values) - cut][-newest:]
        groups.setdefault(len(kept), []).append((name, kept))
    found = []
    for length, group in sorted(groups.items()):
        times = 4 * 86_400 + WEEK * np.arange(2000 - length, 2000)
        values = np.stack([one for _, one in group], axis=1).astype(np.float32)
        found.append(History(tuple(series(name, WEEK) for name, _ in group), times, values, (), ()))
    return found
