"""The World Cup's web site of 1998: a per-minute forecast for the 31 days from 26 June 1998.

    make worldcup        (python benchmarks/worldcup.py [--data FOLDER] [--out FILE])

Learns from the requests per minute up to 25 June and the calendar of all matches, which was known in advance. How the
level models are mixed, and how wide the bands are, is taken from origins inside those data.
"""

import argparse
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from headgate import settings
from headgate.domains.capacity.companions.calendar import Event
from headgate.domains.capacity.data.raw import Series
from headgate.domains.capacity.model.backtest import level_errors, try_out
from headgate.domains.capacity.model.clock import DAY
from headgate.domains.capacity.model.ensemble import ensemble_weights
from headgate.domains.capacity.model.event_features import active
from headgate.domains.capacity.model.fit import fit_batch
from headgate.domains.capacity.model.histories import History
from headgate.domains.capacity.model.intervals import certified, noise
from headgate.domains.capacity.model.levels import LEVEL_MODELS
from headgate.domains.capacity.model.origins import Origin
from headgate.domains.capacity.model.series_model import FLAT, Model, mixed
from headgate.files import atomic_file

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "capacity" / "worldcup98"
START, DAYS = datetime(1998, 6, 26, tzinfo=UTC), 31

#: A match with its half-time lasts so long.
MATCH = timedelta(minutes=110)

#: Origins inside the data, by day of June 1998: the first matches were on the 10th.
ORIGINS = (12, 15, 18, 21)

SERIES = Series("world/site/requests", "world", "site", "requests", "requests", "UTC", 60, "sum")
KNOWN = datetime(1997, 12, 4, 18, tzinfo=UTC)  # the draw


def load(data: Path) -> History:
    """The requests up to 25 June, with the matches and the tournament as events."""
    points = pl.read_csv(data / "requests_per_minute.csv.gz", try_parse_dates=True)
    times = points["minute_gmt"].dt.epoch("s").to_numpy()
    values = np.where(points["missing"].to_numpy() == 1, np.nan, points["requests"].to_numpy()).astype(np.float32)
    kick_offs = pl.read_csv(data / "matches.csv", try_parse_dates=True)["kickoff_gmt"].dt.replace_time_zone("UTC")
    events = [event(f"match-{i}", "match", at, at + MATCH) for i, at in enumerate(kick_offs, start=1)]
    first, last = kick_offs[0].date(), kick_offs[-1].date() + timedelta(days=1)
    events.append(event("tournament", "tournament", first, last))
    return History((SERIES,), times, values[:, None], tuple(events), ())


def event(name: str, kind: str, start: object, end: object) -> Event:
    """An event that was known since the draw; `start` and `end` are instants, or dates."""
    begin, over = (one.isoformat() for one in (start, end))  # type: ignore[attr-defined]
    return Event(name, 1, kind, name, "*", ("*",), begin, over, 1.0, KNOWN, "planned", "organiser", "")


def origins(history: History) -> list[Origin]:
    """Instants inside the data, each with the whole days that follow it."""
    end = history.until
    found = []
    for day in ORIGINS:
        instant = int(datetime(1998, 6, day, tzinfo=UTC).timestamp())
        found.append(Origin("tune", instant, (end - instant) // DAY))
    return found


def weigh(history: History) -> NDArray[np.float64]:
    """The weights [K, 1] of the level models, from all origins."""
    found = [level_errors(history, try_out(history, origin)[0], origin) for origin in origins(history)]
    return ensemble_weights(
        np.concatenate([errors for errors, _ in found]), np.concatenate([volume for _, volume in found])
    )


def fitted(history: History, weights: NDArray[np.float64]) -> Model:
    """The model of all that the data hold."""
    counts = weights[:, 0] > 0
    counts[LEVEL_MODELS.index(FLAT)] = True
    wanted = tuple(name for name, count in zip(LEVEL_MODELS, counts, strict=True) if count)
    return mixed(
        fit_batch(history.known(history.until), periods=DAYS + 1, wanted=wanted),
        weights[counts],
        origins(history)[0].ahead,
    )


def forecast(history: History) -> pl.DataFrame:
    """Quantiles of every minute of the 31 days."""
    weights = weigh(history)
    model = fitted(history, weights)
    tried = [try_out(history, origin, weights)[2] for origin in origins(history)]
    noises = noise(tried, 60)
    bands = certified(tried, 60, noises)
    assert bands is not None
    times = int(START.timestamp()) + 60 * np.arange(DAYS * 1440)
    values = np.exp(model.log_forecast(times, history.calendar))[:, 0]
    ahead = (times + 60 - START.timestamp()) / DAY
    on = active(history.calendar, times, "UTC")
    columns = {
        f"q{100 * level:02.0f}": noises[SERIES.series].at(values, bands.score(ahead, on, level))
        for level in (0.05, 0.1, 0.5, 0.9, 0.95)
    }
    return pl.DataFrame({"time_utc": times, **columns}).with_columns(
        pl.from_epoch("time_utc").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, help="state/worldcup98_forecast.csv if left out")
    asked = parser.parse_args()
    if not (asked.data / "requests_per_minute.csv.gz").is_file():
        parser.error(f"there are no World Cup data in {asked.data}: name their folder with --data")
    out = asked.out or settings.load().home / "worldcup98_forecast.csv"
    start = time.process_time()
    table = forecast(load(asked.data))
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(out) as draft:
        table.write_csv(draft, float_precision=2)
    print(f"{len(table):,} minutes from {START:%d %B %Y} are in {out} ({time.process_time() - start:.1f} s of CPU).")


if __name__ == "__main__":
    main()
