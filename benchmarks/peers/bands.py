"""200 simulated per-minute series: do the bands hold, by horizon and inside events?"""

import tempfile
from pathlib import Path

import numpy as np

from headgate.domains.capacity.model import histories
from headgate.domains.capacity.model.backtest import try_all
from headgate.domains.capacity.model.event_features import active
from headgate.domains.capacity.model.intervals import certified, noise
from headgate.domains.capacity.simulated.simulator import simulate
from headgate.domains.capacity.simulated.sizes import LoadSizes
from headgate.domains.capacity.stages.train import weigh

DAYS, REGIONS, SERVICES, SEED = 112, 10, 20, 11


def report() -> str:
    with tempfile.TemporaryDirectory() as folder:
        simulate(Path(folder) / "raw", LoadSizes(days=DAYS, regions=REGIONS, services=SERVICES), seed=SEED)
        found = histories.load(Path(folder) / "raw")
    weights = [weigh(history) for history in found]
    noises = noise([one for *_, one in try_all(found, "tune", weights)], 60)
    bands = certified([one for *_, one in try_all(found, "certify", weights)], 60, noises)
    assert bands is not None
    hits: dict[str, list[tuple[float, float]]] = {}
    for history, _, tried in try_all(found, "test", weights):
        ahead = (tried.times + 60 - tried.origin.instant) / 86_400
        on = active(tried.events, tried.times, history.zone)
        spans = {"first week": ahead < 7, "second week": (ahead >= 7) & (ahead < 14), "later": ahead >= 14}
        spans |= {"inside events": on, "outside events": ~on, "all": on | True}
        for s, one in enumerate(tried.series):
            forecast, actual = tried.forecast[:, s], tried.actual[:, s]
            known = np.isfinite(actual)
            inside = []
            for nominal in (0.8, 0.9):
                ends = (bands.score(ahead, on, level) for level in ((1 - nominal) / 2, (1 + nominal) / 2))
                low, high = (noises[one.series].at(forecast, end) for end in ends)
                inside.append((actual >= low) & (actual <= high))
            for name, where in spans.items():
                if (where & known).any():
                    hits.setdefault(name, []).append(tuple(float(i[where & known].mean()) for i in inside))
    rows = []
    for name, values in hits.items():
        shares = np.array(values)
        error = 1.96 * shares.std(axis=0) / np.sqrt(len(shares))
        cells = " | ".join(f"{mean:.1%} ± {e:.1%}" for mean, e in zip(shares.mean(axis=0), error, strict=True))
        rows.append(f"| {name} | {cells} |")
    table = "\n".join(rows)
    return f"""## Bands of 200 simulated per-minute series

{REGIONS} regions × {SERVICES} services, {DAYS} days per minute (scenario calm, seed {SEED}); the last stretch of {int(ahead[-1]) + 1} days is the test. ± is 1.96 standard errors over
series, which share their regions' days: the true uncertainty is larger.

| where | nominal 80 % | nominal 90 % |
|---|---|---|
{table}
"""
