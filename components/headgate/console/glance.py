"""What is seen of a domain in one glance: its headline over the versions, its pace, and what waits for a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from time import monotonic
from typing import Literal

from headgate.console import plots
from headgate.console.page import PREFIX
from headgate.console.state import Told, moment, window
from headgate.contract.limits import Headline
from headgate.decisions.pace import MINUTES, Pace
from headgate.domain import Domain
from headgate.registry import versions
from headgate.registry.aliases import Aliases
from headgate.registry.ledger import Entry
from headgate.settings import Settings

#: Versions whose headline is drawn.
DRAWN = 12

#: Seconds for which what the registry said of versions is said again.
FRESH = 15.0

#: Alerts are told for so long.
LATELY = timedelta(hours=24)


@dataclass(frozen=True)
class Score:
    """The headline of a version."""

    version: int
    value: float


@dataclass(frozen=True)
class Figure:
    """The headline over the versions, against its limit."""

    title: str
    now: str  # of the version that decides, or of the newest; "" where none was measured
    demanded: str  # "at most 1 %", or ""
    words: str
    plot: plots.Trend
    fine: bool


@dataclass(frozen=True)
class Rate:
    """Decisions a minute over the last hour."""

    now: str
    words: str
    plot: tuple[plots.Column, ...]


@dataclass(frozen=True)
class Waiting:
    """What waits for a person."""

    words: str
    tone: Literal["warn", "bad"]
    link: str = ""


class Scores:
    """The headlines of versions, asked of the registry now and then. Safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        """Nothing was asked yet."""
        self._settings, self._lock = settings, Lock()
        self._known: dict[str, tuple[float, list[Score]]] = {}

    def of(self, domain: Domain) -> list[Score]:
        """Those of `domain`; HeadgateError where the registry does not answer."""
        with self._lock:
            asked, scores = self._known.get(domain.name, (0.0, []))
        if asked and monotonic() - asked < FRESH:
            return scores
        scores = read_scores(self._settings, domain)
        with self._lock:
            self._known[domain.name] = (monotonic(), scores)
        return scores


def read_scores(settings: Settings, domain: Domain) -> list[Score]:
    """The headline of the newest versions, oldest first. HeadgateError where the registry does not answer."""
    if not versions.exist(settings):
        return []
    registry, metric = versions.client(settings), _headline(domain)[0]
    experiment = registry.get_experiment_by_name(domain.name)
    if experiment is None:
        return []
    newest = versions.all_versions(registry, domain.name)[:DRAWN]
    runs = {
        run.info.run_id: run.data
        for run in registry.search_runs([experiment.experiment_id], max_results=4 * DRAWN)  # the newest first
    }
    found = []
    for version in reversed(newest):
        data = runs.get(version.run_id)
        value = data.metrics.get(f"{data.tags.get(versions.TAG_MODEL, '')}/{metric}") if data else None
        if value is not None:
            found.append(Score(version.number, value))
    return found


def figure(domain: Domain, scores: Sequence[Score], champion: int | None) -> Figure:
    """The headline of `domain` as it is shown."""
    name, limit = _headline(domain)
    metric = next(one for one in domain.metrics if one.name == name)

    def text(value: float) -> str:
        return f"{100 * value:.3g} %" if metric.share else f"{value:.3g}"

    def fine(value: float) -> bool:
        return limit is None or metric.direction * (value - limit) >= 0

    demanded = "" if limit is None else f"{'at least' if metric.direction > 0 else 'at most'} {text(limit)}"
    shown = next((one for one in scores if one.version == champion), scores[-1] if scores else None)
    drawn = [(one.value, f"version {one.version}: {text(one.value)}", fine(one.value)) for one in scores]
    outside = [one.version for one in scores if not fine(one.value)]
    if shown is None:
        words = "no version was measured yet"
    else:
        words = f"version {shown.version} of {len(scores)}" if len(scores) > 1 else f"version {shown.version}"
        if outside:
            words += f"; outside: {', '.join(map(str, outside))}"
    return Figure(
        metric.title,
        text(shown.value) if shown else "",
        demanded,
        words,
        plots.trend(drawn, limit if scores else None),
        shown is None or fine(shown.value),
    )


def _headline(domain: Domain) -> tuple[str, float | None]:
    told: Headline | None = domain.limits.headline
    if told is not None:
        return told.metric, told.limit
    compared = domain.limits.comparisons
    return (compared[0].metric if compared else domain.metrics[0].name), None


def rate(domain: Domain, pace: Pace) -> Rate:
    """The pace of `domain` as it is shown."""
    if not pace.total:
        words = f"none in {MINUTES} minutes"
    elif pace.share is None:
        words = f"{pace.total:,} in {MINUTES} minutes"
    else:
        adverse = domain.decides.adverse_words
        words = f"{pace.total:,} in {MINUTES} minutes, {_percent(pace.share)} {adverse}"
    if not pace.whole:
        words += "; not all is counted yet"
    return Rate(f"{pace.last:,}", words, plots.columns(pace.decisions, pace.adverse))


def _percent(share: float) -> str:
    """A share in two digits that count: 1.9 %, 100 %."""
    percent = 100 * share
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"


def waiting(
    told: Told, known: Aliases | None, cases: tuple[int, int] = (0, 0), now: datetime | None = None
) -> list[Waiting]:
    """What waits for a person in a domain, most pressing first; `cases` of its queue, and how many of them are late."""
    found = []
    for entry in told.alerts:
        if (now or datetime.now(UTC)) - datetime.fromisoformat(entry.at) < LATELY:
            found.append(Waiting(f"Alert, {moment(entry.at)}: {entry.why}", "bad"))
    number, late = cases
    if number:
        words = f"{number:,} case{'s wait' if number > 1 else ' waits'} to be ruled on"
        words += f", {late:,} of them past the deadline" if late else ""
        found.append(Waiting(words, "bad" if late else "warn", f"{PREFIX}/{told.name}/queue"))
    challenger = known.of(versions.CHALLENGER) if known else None
    if challenger is not None:
        found.append(_challenger(told, challenger))
    for hold in told.ledger_state.holds:
        what = "Promotion is held" if hold is told.held else "Promotion is to be held"
        why = hold.why or "no reason was given"
        found.append(Waiting(f"{what} {window(hold)}, by {hold.who}: {why}", "warn"))
    run = told.last_run
    if run and run["result"] in ("data refused", "refused", "did not end"):
        ended = {"data refused": "refused its data", "refused": "was refused", "did not end": "did not end"}
        address = f"{PREFIX}/{told.name}/last-run" if run["result"] != "did not end" else ""
        found.append(Waiting(f"The last run {ended[run['result']]}", "bad", address))
    return found


def _challenger(told: Told, version: int) -> Waiting:
    verdict: Entry | None = next((one for one in told.verdicts if one.to_version == version), None)
    link = f"{PREFIX}/{told.name}/verdicts/{verdict.seq}" if verdict else ""
    what = "waits for a reviewer" if verdict and verdict.ruling == "review" else "is challenger"
    return Waiting(f"Version {version} {what}", "warn", link)
