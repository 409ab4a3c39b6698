"""The watch: what the champion does to those who are known to be good, from the decision log, as it happens.

Each look counts the decisions that are new since the last one, decides those on units known to be good once more with
the version before, on the same inputs, and asks the sequential tests. Where one of them shows harm that the version
before would not do, the champion is rolled back and the domain held: once, until a person releases it. Harm that a
rollback would not cure, and everything else, is told to people (`alerts`). The rate of adverse decisions plays no part:
attacks raise it too.

Tests begin anew with every UTC day and every change of champion, so their level is that of a day; what is too slight to
show within one is the gate's to find.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import polars as pl

from headgate.contract.limits import Watch
from headgate.decisions import alerts, tally
from headgate.decisions.alerts import WHO, Alert
from headgate.decisions.drift import drifted
from headgate.decisions.latency import Latency
from headgate.decisions.observed import watched_rows
from headgate.decisions.reading import parts
from headgate.decisions.redeciding import Redecider
from headgate.decisions.reviews.cases import expire
from headgate.decisions.state import State
from headgate.decisions.tally import Finding
from headgate.domain import Domain
from headgate.errors import HeadgateError
from headgate.privacy.pseudonyms import unit_pseudonyms
from headgate.registry import changes, versions
from headgate.registry.ledger import Ledger
from headgate.registry.ledger_state import LedgerState, state_of
from headgate.settings import Settings

log = logging.getLogger(__name__)

#: Seconds between two looks.
PERIOD = 5.0

#: Decisions that are further in the future than this were made by a clock that is wrong.
AHEAD = timedelta(hours=1)


@dataclass(frozen=True)
class Looked:
    """What a look at one domain found and did."""

    domain: str
    version: int | None  # the champion that was watched
    day: date | None = None
    rows: int = 0  # that were new
    findings: tuple[Finding, ...] = ()
    rolled_back: str = ""  # why, where it did
    alerts: tuple[str, ...] = ()

    def words(self) -> str:
        """A line, and one more for each thing that happened."""
        if self.version is None:
            return f"{self.domain}: no version decides, so there is nothing to watch."
        good = next((one.units for one in self.findings if one.slice == tally.EVERYTHING), 0)
        said = f"{self.domain} version {self.version}: {self.rows:,} new decisions; {good:,} good units since midnight."
        return "\n".join([said, *([f"Rolled back. {self.rolled_back}"] if self.rolled_back else []), *self.alerts])


class Watcher:
    """Watches one domain. Looks are cheap: what was counted and the version before stay in memory between them."""

    def __init__(
        self, settings: Settings, domain: Domain, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """`now` is this instant, with a zone."""
        self._settings, self._domain, self._now = settings, domain, now
        self._ledger = Ledger(settings)
        self._folder = settings.home / "watch" / domain.name
        self._state = State.load(self._folder)
        self._latency = Latency(settings, domain)
        self._loaded: tuple[int, Redecider] | None = None  # the version before
        self._as_of: tuple[int, datetime | None] | None = None  # of the champion's data

    def look(self) -> Looked:
        """Count what is new, act on what it shows, tell what there is to tell. Looking again does nothing more."""
        name, watch = self._domain.name, self._domain.limits.watch
        if self._domain.reviews is not None:
            expire(self._settings, self._domain)
        entries = self._ledger.entries(name)
        where = state_of(entries)
        looked = Looked(name, where.champion)
        if where.champion is not None and watch is not None:
            since = datetime.fromisoformat(next(one.at for one in reversed(entries) if one.what == "changed"))
            looked = self._act(watch, where, self._count(watch, where.champion, where.previous, since))
        entries = self._ledger.entries(name)
        made, now = self._made_as_of(where), self._now()
        facts = alerts.due(self._settings, self._domain, entries, state_of(entries), made, now)
        known = alerts.told(entries)
        return self._tell(looked, *facts, *(one for one in self._latency.look(now) if one.key not in known))

    def _count(self, watch: Watch, champion: int, previous: int | None, since: datetime) -> Looked:
        """Count the new decisions, day by day up to the newest that has any."""
        first = self._state or State(max(since, self._now()).date(), champion, previous, since)
        state = first.at(max(first.day, since.date()), champion, previous, since)
        rows, later = 0, True
        while later:
            later = False
            for part, found in parts(self._settings, self._domain.logs.log, state.opens, self._now() + AHEAD):
                mine = found.filter(pl.col("version") == champion, pl.col("role") != "default")
                mine = mine.filter(pl.col("decided_at") > state.seen.get(part, datetime.min.replace(tzinfo=UTC)))
                today = mine.filter(pl.col("decided_at").dt.date() == state.day)
                later = later or len(today) < len(mine)
                if len(today):
                    rows += len(today)
                    watched = self._unnamed(watched_rows(self._domain, watch, today))
                    good = state.good(watched)
                    before = self._before(watch, previous, today.filter(good))
                    upto = today["decided_at"][-1]
                    state = state.add(part, upto, watched.filter(good), before, watch.after)
            if later:
                self._ended(watch, state)
                state = state.at(state.day + timedelta(days=1), champion, previous, since)
        if state is not self._state:
            state.save(self._folder)
            self._state = state
        return Looked(self._domain.name, champion, state.day, rows, tuple(tally.findings(state.units, watch)))

    def _unnamed(self, watched: pl.DataFrame) -> pl.DataFrame:
        """Observations with pseudonyms for units, where the log can forget: what is kept between looks names nobody."""
        if self._domain.logs.log.unit is None:
            return watched
        pseudonym = unit_pseudonyms(self._settings, self._domain.name)
        names = {unit: pseudonym(unit) for unit in watched["unit"].drop_nulls().unique()}
        return watched.with_columns(unit=pl.col("unit").replace_strict(names, default=None, return_dtype=pl.String))

    def _before(self, watch: Watch, previous: int | None, rows: pl.DataFrame) -> pl.Series:
        """Whether the version before would have wronged each of `rows`; null where it cannot be asked."""
        asked = previous is not None and self._domain.logs.redecide is not None
        try:
            if asked and previous is not None and (self._loaded is None or self._loaded[0] != previous):
                version = versions.wanted(self._settings, self._domain.name, str(previous))
                predictor = self._domain.load(versions.fetch(version, self._settings))
                self._loaded = previous, Redecider(self._settings, self._domain, predictor)
        except HeadgateError as error:
            log.error("%s is not held against version %s: %s", self._domain.name, previous, error)
        if not asked or self._loaded is None or self._loaded[0] != previous:
            return pl.Series([None] * len(rows), dtype=pl.Boolean)
        others = self._loaded[1].rows(rows)
        wronged = watched_rows(self._domain, watch, others)["numerator"] > 0
        return wronged.set(others["outcome"].is_null(), None)

    def _act(self, watch: Watch, where: LedgerState, looked: Looked) -> Looked:
        """Roll back where a finding calls for it; else tell of it, once."""
        shown = [finding for finding in looked.findings if finding.harm]
        if not shown or looked.version is None:
            return looked
        worst = max(shown, key=lambda one: (one.curable, max(one.log_wronged, one.log_newly)))
        words = worst.words(watch, looked.version, where.previous)
        reason = ""
        if not worst.curable:
            reason = "No version stands before it" if where.previous is None else "The version before does no better"
        elif any(hold.who == WHO for hold in where.holds):
            reason = "The watch has rolled back already, and was not released"
        elif not self._roll_back(where, words):
            reason = f"Version {where.previous} is not there to go back to"
        else:
            return replace(looked, rolled_back=words)
        key = f"harm:{looked.version}:{looked.day}:{worst.slice}"
        return self._tell(looked, Alert(looked.domain, "harm", key, f"{words} {reason}: a person should look."))

    def _roll_back(self, where: LedgerState, words: str) -> bool:
        """Roll back to the version that was held against; False where it is not what a rollback would go back to."""
        registry = versions.client(self._settings)
        with changes.change_session(registry, self._ledger, self._domain.name) as at:
            now = at.ledger_state()
            target = changes.fallback(at, now)
            if now.champion != where.champion or target is None or target.number != where.previous:
                return False
            changes.rollback(at, None, who=WHO, why=words)
        log.warning("%s is rolled back: %s", self._domain.name, words)
        return True

    def _ended(self, watch: Watch, state: State) -> None:
        """A day is over: has anything drifted?"""
        name, version = self._domain.name, state.champion
        moved = drifted(self._settings, self._domain.logs.log, version, state.since, watch.drifting, state.day)
        if moved:
            worst = "; ".join(f"{one.column} in {one.slice} (PSI {one.psi:.2f})" for one in moved[:5])
            words = f"On {state.day} {len(moved)} distributions were far from version {version}'s first day: {worst}."
            self._tell(Looked(name, version), Alert(name, "drift", f"drift:{version}:{state.day}", words))

    def _tell(self, looked: Looked, *facts: Alert) -> Looked:
        """Tell the facts that were not told yet."""
        known = alerts.told(self._ledger.entries(looked.domain)) if facts else set()
        new = [alerts.tell(self._settings, self._ledger, fact) for fact in facts if fact.key not in known]
        return replace(looked, alerts=(*looked.alerts, *(entry.why for entry in new)))

    def _made_as_of(self, where: LedgerState) -> datetime | None:
        """As of when the champion's data was; None where the registry does not say."""
        if where.champion is not None and (self._as_of is None or self._as_of[0] != where.champion):
            try:
                version = versions.wanted(self._settings, self._domain.name, str(where.champion))
            except HeadgateError:  # asked again at the next look
                return None
            text = version.tags.get(versions.TAG_AS_OF, "")
            self._as_of = where.champion, datetime.fromisoformat(text) if text else None
        return self._as_of[1] if self._as_of else None
