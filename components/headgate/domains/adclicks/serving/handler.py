"""What is done with clicks from the counters to the log; the same for one click, a list, and many at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from headgate.api.problems import not_ready
from headgate.contract.host import Host
from headgate.contract.row import Role
from headgate.contract.slots import Canary, Loaded
from headgate.domains.adclicks.companions.lookups import Lookups
from headgate.domains.adclicks.data.schema import DEVICES
from headgate.domains.adclicks.features.click import Click, micros, now
from headgate.domains.adclicks.features.counters import Counters
from headgate.domains.adclicks.model.predictor import Predictor
from headgate.domains.adclicks.serving.log_rows import LoggedClick
from headgate.serving.metrics import DECISIONS, DEFAULTS, INCOMPLETE
from headgate.telemetry import Children

DOMAIN = "adclicks"

#: The slice of a click whose counters are not known.
UNKNOWN = "unknown"

Vectors = NDArray[np.float32]

_DECIDED, _DEFAULTS, _INCOMPLETE = Children(DECISIONS), DEFAULTS.labels(DOMAIN), INCOMPLETE.labels(DOMAIN)
_DEVICE = {name: code for code, name in enumerate(DEVICES)}


@dataclass(frozen=True)
class DecisionHandler:
    """Decides clicks with what `host` has loaded, and logs them before it answers."""

    host: Host
    counters: Counters
    lookups: Lookups

    async def __call__(self, clicks: Sequence[Click]) -> list[LoggedClick]:
        """Clicks [n] as they are logged, each judged by what came before it; a `Problem` where no version is loaded."""
        # Read once: a swap in between must not split a batch. Not counted either, since the client will ask again.
        champion, canary = self.host.slots.champion(DOMAIN), self.host.slots.canary(DOMAIN)
        if champion is None:
            raise not_ready("No version is loaded yet: /readyz says why. The clicks were not counted; send them again.")
        observed, at = await self.counters.observe(clicks), now()
        ids = self.host.recorder.ids(len(clicks), at)
        beside = self.lookups.companion
        payers = [self.lookups.advertiser(click.campaign) if click.campaign else None for click in clicks]
        seen = list(map(Seen, clicks, payers, ids, observed.complete))
        if observed.vectors is None:
            rows = _by_default(seen, at, beside)
        else:
            rows = _decide(seen, observed.vectors, champion, canary, at, beside)
        self.host.recorder.record(DOMAIN, rows)
        _count(rows)
        return rows


def _count(rows: Sequence[LoggedClick]) -> None:
    """Tell Prometheus what was answered."""
    for row in rows:
        _DECIDED[DOMAIN, row.slice, row.outcome].inc()
    defaults = sum(row.role == "default" for row in rows)
    if defaults:
        _DEFAULTS.inc(defaults)
    incomplete = sum(not row.complete for row in rows)
    if incomplete:
        _INCOMPLETE.inc(incomplete)


class Seen(NamedTuple):
    """A click as it was counted, and what is known of it beside its vector."""

    click: Click
    advertiser: str | None
    decision_id: str
    complete: bool


def _decide(
    seen: Sequence[Seen], vectors: Vectors, champion: Loaded, canary: Canary | None, at: datetime, beside: str
) -> list[LoggedClick]:
    """Decide clicks with `vectors` [n, d]: one call of the champion's model, one of the canary's for its users."""
    if canary is None:
        return _decided_by(champion, "champion", seen, vectors, at, beside)
    tries = np.array([canary.takes(one.click.user_id) for one in seen], dtype=bool)
    rows: dict[int, LoggedClick] = {}
    shares: list[tuple[Loaded, Role, Any]] = [(champion, "champion", ~tries), (canary.loaded, "canary", tries)]
    for loaded, role, where in shares:
        mine = np.flatnonzero(where).tolist()
        rows |= zip(mine, _decided_by(loaded, role, [seen[n] for n in mine], vectors[where], at, beside), strict=True)
    return [rows[n] for n in range(len(seen))]


def _decided_by(
    loaded: Loaded, role: Role, seen: Sequence[Seen], vectors: Vectors, at: datetime, beside: str
) -> list[LoggedClick]:
    """Clicks with `vectors` [n, d], decided by one version, as they are logged; `beside` names the companions."""
    predictor = cast(Predictor, loaded.predictor)
    device = np.array([_DEVICE[one.click.device] for one in seen], dtype=np.int64)
    decided = predictor.decide_vectors(vectors, device)
    instant, width, served = micros(at), vectors.itemsize * vectors.shape[1], vectors.tobytes()
    columns = (decided.leaf, decided.invalid, decided.score, decided.threshold)
    answers = zip(*(column.tolist() for column in columns), strict=True)
    return [
        LoggedClick(
            one.decision_id,
            instant,
            loaded.version,
            loaded.bundle,
            beside,
            role,
            predictor.slices[leaf],
            "invalid" if invalid else "valid",
            *_as_posted(one.click),
            served[n * width : n * width + width],
            score,
            threshold if threshold < np.inf else None,
            one.complete,
            one.advertiser,
        )
        for n, (one, (leaf, invalid, score, threshold)) in enumerate(zip(seen, answers, strict=True))
    ]


def _by_default(seen: Sequence[Seen], at: datetime, beside: str) -> list[LoggedClick]:
    """Clicks that nothing could decide in time: valid, to be decided by `headgate replay --pending`."""
    instant, unknown = micros(at), (None, None, None)  # vector, score and threshold
    return [
        LoggedClick(
            one.decision_id,
            instant,
            0,
            "",
            beside,
            "default",
            UNKNOWN,
            "valid",
            *_as_posted(one.click),
            *unknown,
            False,
            one.advertiser,
        )
        for one in seen
    ]


def _as_posted(click: Click) -> tuple[str, int, int, int, str, str, str, str, bool, str, int | None]:
    """The columns of a click, in the order of `LoggedClick`."""
    return (
        click.click_id,
        micros(click.event_time),
        click.utc_offset_min,
        micros(click.received_at),
        click.user_id,
        click.session_id,
        click.ip,
        click.device,
        click.logged_in,
        click.campaign,
        click.rfm,
    )
