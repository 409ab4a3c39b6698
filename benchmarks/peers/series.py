"""NASA per minute, an e-commerce API hourly, taxi rides half-hourly: the last stretch, forecast at once."""

import numpy as np

from headgate.domains.capacity.model.backtest import against, try_out
from headgate.domains.capacity.model.histories import History
from headgate.domains.capacity.model.levels import LEVEL_MODELS
from headgate.domains.capacity.model.origins import Origin
from headgate.domains.capacity.model.series_model import mixed
from headgate.domains.capacity.stages.train import fit_all, weigh
from peers import data
from peers.rivals import by_statsforecast, cpu, naive, paired, profile, prophet, summed, wape

#: What is forecast: days ahead, and the steps that the figures are of (those of the slowest rival).
WHAT = {"nasa": (28, 3600), "api": (90, 3600), "taxi": (60, 1800)}


def report() -> str:
    parts = [_one(name, getattr(data, name)(), *what) for name, what in WHAT.items()]
    rows = "\n".join(parts)
    return f"""## NASA, an e-commerce API, taxi rides

WAPE of the last stretch, forecast at once from what was known before it; at the step that is named. Theta and ETS see
the series at that step with a season of a day, all others see it as it is. *Linear* is the regression alone. The
interval is of Headgate's WAPE minus the best rival's, bootstrapped over weeks.

| series | Headgate | best rival | difference, 95 % | Prophet | Prophet, flat | linear | profile | seasonal naive | Theta | ETS | CPU s, Headgate / Prophet |
|---|---|---|---|---|---|---|---|---|---|---|---|
{rows}
"""


def _one(name: str, history: History, days: int, step: int) -> str:
    instant = history.until - days * 86_400
    origin = Origin("test", int(instant), days)
    cut = int(np.searchsorted(history.times, instant))
    before = History(history.series, history.times[:cut], history.values[:cut], history.calendar, history.masks)
    start = cpu()
    weights = weigh(before)
    model, _ = fit_all(before, weights)
    tried = against(history, model, origin, history.known(int(instant)).events)
    cost = cpu() - start
    zone, own = history.zone, history.step
    actual = tried.actual[:, 0].astype(float)
    seen = history.actual()[:cut, 0].astype(float)
    everything = try_out(history, origin)[0]
    alone = np.zeros((len(LEVEL_MODELS), 1))
    alone[0] = 1
    linear = against(history, mixed(everything, alone), origin, tried.events).forecast[:, 0]
    start = cpu()
    said = {"prophet": prophet(before.times, seen, tried.times, zone, history.calendar)}
    rival_cost = cpu() - start
    said["flat"] = prophet(before.times, seen, tried.times, zone, history.calendar, growth="flat")
    week = 7 * 86_400 // own
    said |= {"linear": linear, "profile": profile(seen, len(actual), week), "naive": naive(seen, len(actual), week)}
    factor = step // own
    coarse = {key: summed(values, factor) for key, values in said.items()}
    steps, past = summed(actual, factor), summed(seen, factor)
    for key, model_name in (("theta", "DynamicOptimizedTheta"), ("ets", "AutoETS")):
        coarse[key] = by_statsforecast(model_name, past, len(steps), 86_400 // step)
    mine = summed(tried.forecast[:, 0], factor)
    errors = {key: wape(values, steps) for key, values in coarse.items()}
    best = min(errors, key=lambda key: errors[key])
    low, high = paired(mine, coarse[best], steps, 7 * 86_400 // step)
    cells = " | ".join(
        f"{errors[key]:.3f}" for key in ("prophet", "flat", "linear", "profile", "naive", "theta", "ets")
    )
    where = f"{name}, {days} d, {step // 60} min"
    return (
        f"| {where} | **{wape(mine, steps):.3f}** | {best} {errors[best]:.3f} | {low:+.3f} to {high:+.3f} | {cells} | "
        f"{cost:.1f} / {rival_cost:.0f} |"
    )
