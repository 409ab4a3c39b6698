"""Rolling origins: what a recipe would have forecast at earlier instants, knowing only what was known then.

The newest stretch of the history tests, the one before it certifies, those before tune. A long history certifies at a
second origin, half a stretch earlier, since one origin is one draw of what all series have in common::

    |------------ history ------------|–tune–|–tune–|–certify–|–test–|
                                      ^ origin        every stretch is `ahead` periods long
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.companions.calendar import Event, as_of
from headgate.domains.capacity.model.clock import DAY, local_days
from headgate.domains.capacity.model.cold_start import lend
from headgate.domains.capacity.model.design import fast, slow
from headgate.domains.capacity.model.event_transfer import share_kinds
from headgate.domains.capacity.model.fit import Fitted, chunks, fit_batch
from headgate.domains.capacity.model.histories import History
from headgate.domains.capacity.model.levels import LEVEL_MODELS
from headgate.domains.capacity.model.origins import Origin, OriginForecast, Role
from headgate.domains.capacity.model.series_model import Model, mixed

Floats = NDArray[np.float64]

#: The shortest history that an origin may be forecast from, in periods, and the longest stretch ahead that is tried.
LEAST, MOST = {1: 14, 7: 60}, {1: 92, 7: 104}

#: Stretches that tune, at most.
TUNES = 3


def origins(history: History) -> list[Origin]:
    """The origins of `history`, oldest first; none where it is too short to try anything."""
    every, ahead = max(history.step // DAY, 1), reach(history)
    if ahead < 1:
        return []
    last = history.until - history.until % DAY if history.step < DAY else history.until
    enough = int(history.times[0]) + LEAST[min(every, 7)] * every * DAY

    def origin(role: Role, back: float) -> Origin:
        return Origin(role, last - round(back * ahead) * every * DAY, ahead)

    plenty = [origin("tune", 3.5 + i) for i in range(TUNES)] + [origin("certify", 2.5)]
    scarce = [origin("tune", 3.0 + i) for i in range(TUNES)]
    found = [*(plenty if plenty[0].instant >= enough else scarce), origin("certify", 2.0), origin("test", 1.0)]
    return sorted((one for one in found if one.instant >= enough), key=lambda one: one.instant)


def reach(history: History) -> int:
    """How many periods ahead a history can try a forecast; 0 where it is too short."""
    every = max(history.step // DAY, 1)
    periods = (history.until - int(history.times[0])) // DAY // every
    return max(0, min(MOST[min(every, 7)], (periods - LEAST[min(every, 7)]) // 3, periods // 4))


def try_out(history: History, origin: Origin, weights: Floats | None = None) -> tuple[Fitted, Model, OriginForecast]:
    """Fit what was known at `origin`, mix by `weights` [K, S] (evenly if None), and forecast."""
    batch = history.known(origin.instant)
    wanted = (
        LEVEL_MODELS if weights is None else tuple(n for n, w in zip(LEVEL_MODELS, weights, strict=True) if w.any())
    )
    fitted = fit_batch(batch, periods=origin.ahead + 1, wanted=wanted)
    chosen = np.full((len(LEVEL_MODELS), len(history.series)), 1 / len(LEVEL_MODELS)) if weights is None else weights
    used = chosen[[LEVEL_MODELS.index(name) for name in wanted]]
    model = lend(mixed(fitted, used), fitted)
    return fitted, model, against(history, model, origin, batch.events)


def try_all(
    histories: Sequence[History], role: Role, weights: Sequence[Floats | None]
) -> list[tuple[History, Fitted, OriginForecast]]:
    """Forecast at every origin of `role`: series of one step lend each other the kinds of events seen by then."""
    found = []
    most = max((len(roles(origins(history), role)) for history in histories), default=0)
    for number in range(1, most + 1):
        fits = []
        for history, chosen in zip(histories, weights, strict=True):
            mine = roles(origins(history), role)
            if len(mine) >= number:
                fits.append((history, mine[-number], *try_out(history, mine[-number], chosen)[:2]))
        shared = share_kinds([model for *_, model in fits])
        for (history, origin, fitted, _), model in zip(fits, shared, strict=True):
            events = as_of(history.calendar, datetime.fromtimestamp(origin.instant, UTC))
            found.append((history, fitted, against(history, model, origin, events)))
    return found


def against(history: History, model: Model, origin: Origin, events: tuple[Event, ...]) -> OriginForecast:
    """The forecast of `model` for the stretch after `origin`, beside what came."""
    low = int(np.searchsorted(history.times, origin.instant))
    end = origin.instant + origin.ahead * model.design.days * DAY
    high = int(np.searchsorted(history.times, end))
    times = history.times[low:high]
    return OriginForecast(
        origin, history.series, times, np.exp(model.log_forecast(times, events)), history.actual()[low:high], events
    )


def level_errors(history: History, fitted: Fitted, origin: Origin) -> tuple[Floats, Floats]:
    """How wrong each level model was on the log level, [T, K, S], and what each period was worth, [T, S].

    A level model of a period is held against what was seen of it, over the same steps.
    """
    low, high = np.searchsorted(history.times, (origin.instant, origin.instant + origin.ahead * fitted.every * DAY))
    times, actual = history.times[low:high], history.actual()[low:high]
    events = as_of(history.calendar, datetime.fromtimestamp(origin.instant, UTC))
    X = fast(fitted.design, times, events).X
    row = (local_days(times, history.zone, history.step) - fitted.dates[0]) // fitted.every
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    known = ~np.isnan(actual)
    seen = np.add.reduceat(np.where(known, actual, 0), starts, dtype=np.float64)
    usual = np.concatenate(
        [
            np.add.reduceat(np.where(known[:, part], np.exp(X @ fitted.fast[:, part]), 0), starts)
            for part in chunks(len(history.series))
        ],
        axis=1,
    )
    columns = slow(fitted.design, fitted.dates, events)
    slow_events = columns.X[:, columns.of("event")]
    said = np.stack([one.level(slow_events)[row[starts]] for one in fitted.level_models.values()], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.where((seen > 0) & (usual > 0), np.log(seen) - np.log(usual), np.nan)
    return level[:, None, :] - said, seen


def roles(tried: Sequence[Origin], role: Role) -> list[Origin]:
    """The origins of one role."""
    return [origin for origin in tried if origin.role == role]
