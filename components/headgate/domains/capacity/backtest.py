"""Rolling origins: what a recipe would have forecast at earlier instants, knowing only what was known then.

The newest stretch of the history tests, the one before it certifies, those before tune::

    |------------ history ------------|–tune–|–tune–|–certify–|–test–|
                                      ^ origin        every stretch is `ahead` periods long
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from headgate.domains.capacity.clock import DAY, local_days
from headgate.domains.capacity.companions import Event, as_of
from headgate.domains.capacity.design import fast, slow
from headgate.domains.capacity.fit import Fitted, chunks, fit
from headgate.domains.capacity.history import History
from headgate.domains.capacity.lending import share_kinds
from headgate.domains.capacity.model import Model, mixed
from headgate.domains.capacity.opinions import OPINIONS
from headgate.domains.capacity.tried import Origin, Role, Tried

Floats = NDArray[np.float64]

#: The shortest history that an origin may be forecast from, in periods, and the longest stretch ahead that is tried.
LEAST, MOST = {1: 14, 7: 60}, {1: 92, 7: 104}

#: Stretches that tune, at most.
TUNES = 3


def origins(history: History) -> list[Origin]:
    """The origins of `history`, oldest first; none where it is too short to try anything."""
    every = max(history.step // DAY, 1)
    days = (history.until - int(history.times[0])) // DAY
    periods = days // every
    least = LEAST[min(every, 7)]
    ahead = min(MOST[min(every, 7)], (periods - least) // 3, periods // 4)
    if ahead < 1:
        return []
    last = history.until - history.until % DAY if history.step < DAY else history.until
    roles: list[Role] = ["test", "certify", *["tune"] * TUNES]  # type: ignore[list-item]
    found = [Origin(role, last - (i + 1) * ahead * every * DAY, ahead) for i, role in enumerate(roles)]
    enough = int(history.times[0]) + least * every * DAY
    return [origin for origin in reversed(found) if origin.instant >= enough]


def try_out(history: History, origin: Origin, weights: Floats | None = None) -> tuple[Fitted, Model, Tried]:
    """Fit what was known at `origin`, mix by `weights` [K, S] (evenly if None), and forecast."""
    batch = history.known(origin.instant)
    wanted = OPINIONS if weights is None else tuple(n for n, w in zip(OPINIONS, weights, strict=True) if w.any())
    fitted = fit(batch, periods=origin.ahead + 1, wanted=wanted)
    chosen = np.full((len(OPINIONS), len(history.series)), 1 / len(OPINIONS)) if weights is None else weights
    used = chosen[[OPINIONS.index(name) for name in wanted]]
    model = mixed(fitted, used)
    return fitted, model, against(history, model, origin, batch.events)


def try_all(
    histories: Sequence[History], role: Role, weights: Sequence[Floats | None]
) -> list[tuple[History, Fitted, Tried]]:
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


def against(history: History, model: Model, origin: Origin, events: tuple[Event, ...]) -> Tried:
    """The forecast of `model` for the stretch after `origin`, beside what came."""
    low = int(np.searchsorted(history.times, origin.instant))
    end = origin.instant + origin.ahead * model.design.days * DAY
    high = int(np.searchsorted(history.times, end))
    times = history.times[low:high]
    return Tried(
        origin, history.series, times, np.exp(model.log_forecast(times, events)), history.actual()[low:high], events
    )


def level_errors(history: History, fitted: Fitted, origin: Origin) -> tuple[Floats, Floats]:
    """How wrong each opinion was on the log level, [T, K, S], and what each period was worth, [T, S].

    An opinion on a period is held against what was seen of it, over the same steps.
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
    said = np.stack([opinion.level(slow_events)[row[starts]] for opinion in fitted.opinions.values()], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.where((seen > 0) & (usual > 0), np.log(seen) - np.log(usual), np.nan)
    return level[:, None, :] - said, seen


def roles(tried: Sequence[Origin], role: Role) -> list[Origin]:
    """The origins of one role."""
    return [origin for origin in tried if origin.role == role]
