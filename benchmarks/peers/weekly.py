"""150 weekly series of M4, two years ahead: accuracy beside its peers, and whether the bands hold."""

import numpy as np

from headgate.domains.capacity.model.backtest import against, level_errors, try_out
from headgate.domains.capacity.model.ensemble import ensemble_weights
from headgate.domains.capacity.model.intervals import certified, noise
from headgate.domains.capacity.model.levels import LEVEL_MODELS
from headgate.domains.capacity.model.origins import Origin
from headgate.domains.capacity.model.series_model import mixed
from peers import data
from peers.rivals import by_statsforecast, naive, prophet, wape

WEEKS = 104
NEWEST = 416


def report() -> str:
    errors, names = _accuracy(NEWEST, 0, rivals=True)
    chosen = {years: _accuracy(years * 52, WEEKS, rivals=False)[0]["Headgate"] for years in (5, 8, 12)}
    rows = []
    for name in ["Headgate", *(n for n in names if n != "Headgate")]:
        gap = errors["Headgate"] - errors[name]
        random = np.random.default_rng(0)
        low, high = np.quantile(gap[random.integers(0, len(gap), (4000, len(gap)))].mean(axis=1), (0.025, 0.975))
        against_it = "" if name == "Headgate" else f"{gap.mean():+.4f} ({low:+.4f} to {high:+.4f})"
        rows.append(f"| {name} | {errors[name].mean():.4f} | {np.median(errors[name]):.4f} | {against_it} |")
    table = "\n".join(rows)
    windows = ", ".join(f"{years} years {values.mean():.4f}" for years, values in chosen.items())
    return f"""## Weekly series of M4, two years ahead

150 series, the last {WEEKS} weeks of each forecast from the weeks before; WAPE, mean and median over series, and the
paired difference of the mean (bootstrap over series). Theta and ETS without a season, which is their better setting.
Level models are mixed by an origin two years before. The history that is learned from was chosen without the test, on the
data before it ({windows}; the newest 8 years are used).

| model | mean | median | Headgate minus it |
|---|---|---|---|
{table}

{_bands()}
"""


def _accuracy(newest: int, cut: int, *, rivals: bool) -> tuple[dict[str, np.ndarray], list[str]]:
    found: dict[str, list[float]] = {}
    kept = []
    for history in data.weeklies(newest, cut):
        week = history.step
        test, tune = (Origin(role, history.until - n * WEEKS * week, WEEKS) for role, n in (("test", 1), ("tune", 2)))
        if len(history.times) < 2 * WEEKS + 20:
            tune = Origin("tune", test.instant - 52 * week, 52)
        before = try_out(history, tune)[0]
        fitted, _, tried = try_out(history, test)
        kept.append((history, fitted, tried, test, level_errors(history, before, tune)))
    # one mixture over all series: errors of unequal stretches are padded with what is unknown
    longest = max(len(errors) for *_, (errors, _) in kept)
    errors = np.concatenate([_padded(e, longest) for *_, (e, _) in kept], axis=2)
    volume = np.concatenate([_padded(v, longest) for *_, (_, v) in kept], axis=1)
    weights, at = ensemble_weights(errors, volume), 0
    for history, fitted, tried, test, _ in kept:
        S = len(history.series)
        said = {"Headgate": against(history, mixed(fitted, weights[:, at : at + S]), test, ()).forecast}
        at += S
        if rivals:
            alone = np.zeros((len(LEVEL_MODELS), S))
            alone[0] = 1
            said["linear"] = against(history, mixed(fitted, alone), test, ()).forecast
            seen = history.values[:-WEEKS].astype(float)
            times = history.times[:-WEEKS]
            columns = {
                "Prophet": lambda y: prophet(times, y, tried.times, daily=False),  # noqa: B023
                "seasonal naive": lambda y: naive(y, WEEKS, 52),
                "last weeks' profile": lambda y: np.full(WEEKS, y[-4:].mean()),
                "DynamicOptimizedTheta": lambda y: by_statsforecast("DynamicOptimizedTheta", y, WEEKS, 1),
                "AutoETS": lambda y: by_statsforecast("AutoETS", y, WEEKS, 1),
            }
            for name, call in columns.items():
                said[name] = np.stack([call(seen[:, s]) for s in range(S)], axis=1)
        for name, values in said.items():
            found.setdefault(name, []).extend(wape(values[:, s], tried.actual[:, s]) for s in range(S))
    return {name: np.array(values) for name, values in found.items()}, list(found)


def _padded(values: np.ndarray, rows: int) -> np.ndarray:
    whole = np.full((rows, *values.shape[1:]), np.nan)
    whole[: len(values)] = values
    return whole


def _bands() -> str:
    """Coverage two years ahead: σ from an origin seven years back, quantiles from two, five and four years back."""
    tuned, certifying, tests = [], [], []
    for history in data.weeklies(8 * 52 + 2 * WEEKS):
        if len(history.times) < 3.5 * WEEKS + 60:
            continue
        even = np.full((len(LEVEL_MODELS), len(history.series)), 0.0)
        even[1], even[4] = 0.5, 0.5
        for number, stretch in ((3.5, tuned), (2.5, certifying), (2, certifying), (1, tests)):
            origin = Origin("test", history.until - int(number * WEEKS) * history.step, WEEKS)
            stretch.append(try_out(history, origin, even)[2])
    noises = noise(tuned, 7 * 86_400)
    bands = certified(certifying, 7 * 86_400, noises)
    assert bands is not None
    rows = []
    spans = {"1–13 weeks": (0, 13), "14–52 weeks": (13, 52), "53–104 weeks": (52, 104), "all": (0, 104)}
    for name, (low, high) in spans.items():
        cells = []
        for nominal in (0.8, 0.9):
            inside, count = [], []
            for tried in tests:
                ahead = (tried.times + 7 * 86_400 - tried.origin.instant) / 86_400
                calm = np.zeros(len(ahead), dtype=bool)
                ends = [bands.score(ahead, calm, level) for level in ((1 - nominal) / 2, (1 + nominal) / 2)]
                for s, one in enumerate(tried.series):
                    bottom, top = (noises[one.series].at(tried.forecast[:, s], end) for end in ends)
                    hit = (tried.actual[:, s] >= bottom) & (tried.actual[:, s] <= top)
                    inside.append(hit[low:high].mean())
                    count.append(1)
            error = np.std(inside) / np.sqrt(len(inside))
            cells.append(f"{np.mean(inside):.1%} ± {1.96 * error:.1%}")
        rows.append(f"| {name} | {cells[0]} | {cells[1]} |")
    table = "\n".join(rows)
    return f"""Coverage of the last {WEEKS} weeks ({sum(len(t.series) for t in tests)} series that are long enough): each series' σ from an
origin seven years back, the quantiles from two, five and four years back, pooled over series; ± is 1.96 standard errors over series.

| horizon | nominal 80 % | nominal 90 % |
|---|---|---|
{table}"""
