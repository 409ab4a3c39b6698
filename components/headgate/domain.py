"""THE contract: what a domain must supply. A domain is a value, not a subclass.

Every step takes folders and fills a folder, so the same function is a Prefect task, a DVC stage and a unit under test.
A step fills `out`, an empty folder that takes its place in `work` when the step ends well; it may read what stands in
`work` from the steps before it (``work/"snapshot"`` and so on) and nothing else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from headgate.access.tokens import SCOPES
from headgate.contract.cadence import DAILY, Cadence
from headgate.contract.checks import Check
from headgate.contract.companions import Companion
from headgate.contract.demonstration import Demonstration
from headgate.contract.expectations import Expectation, Profile
from headgate.contract.host import Host
from headgate.contract.kinds import Kind
from headgate.contract.limits import Limits, Metric
from headgate.contract.live import Live
from headgate.contract.outcomes import Outcomes
from headgate.contract.predictor import Predictor
from headgate.contract.rehearsal import Rehearsal
from headgate.contract.requests import Requests
from headgate.contract.results import Decided, Imported, Scored
from headgate.contract.reviews import Reviews
from headgate.contract.sizes import Simulate, Sizes
from headgate.domains import NAMES as NAMES
from headgate.errors import UsageError
from headgate.settings import Settings


@dataclass(frozen=True)
class Request:
    """What a run is asked for: all that was known at `as_of`, from `source`; with `base`, that bundle's model again."""

    source: str
    as_of: datetime
    base: str | None = None
    seed: int = 0

    def recalibrating(self, bundle: Path) -> "Request":
        """The same request for the model of `bundle`, to be calibrated again and not trained."""
        return replace(self, base=str(bundle))


@dataclass(frozen=True)
class Domain:
    """Everything that differs between domains, and nothing else. What a domain has not, it leaves out."""

    name: str  # of the registered model, the URL's prefix, the folder
    title: str
    snapshot: Callable[[Request, Path], None]
    profile: Callable[[Path], Profile]
    expectations: Sequence[Expectation]
    train: Callable[[Path, Path], None]
    calibrate: Callable[[Path, Path], None]
    evaluate: Callable[[Path, Path, Path], None]  # (bundle, work, out): any version on the test rows, its lines first
    judge: Callable[[Path, Path | None], list[Check]]  # the domain's own checks: (work, champion's evaluation or None)
    plots: Callable[[Path, Path], None]  # (work, out): the pictures a reviewer wants
    metrics: tuple[Metric, ...]
    limits: Limits
    load: Callable[[Path], Predictor]
    decide: Callable[[Path, Path, Path], Decided]  # (bundle, raw files, out file)
    score: Callable[[Path, Path, datetime | None], Scored]  # (bundle, raw files, from when on)
    routes: Callable[[Host], list[Any]]  # they tell its recorder every decision before it is answered
    simulate: Simulate
    scenarios: Mapping[str, str]  # what `simulate` can play, by name, each in a line
    demo: Sizes  # of the demonstration; the class of the domain's own sizes
    small: Sizes  # enough for a version that its gate lets pass: for tests and drills
    cadence: Cadence = DAILY  # how often it retrains
    depends_on: tuple[str, ...] = ()  # domains whose log it reads: they are retrained before it
    outcomes: Outcomes | None = None  # None: it decides nothing
    live: Live | None = None  # None: it answers nothing that is logged
    import_data: Callable[..., Imported] | None = None  # (source, out, *, format, mapping, tz, facts): → the raw schema
    formats: Mapping[str, str] = field(default_factory=dict)  # what `import_data` takes, the usual one first
    scopes: Mapping[str, str] = field(default_factory=dict)  # of tokens, beside those of all: "NAME.ROLE" → in words
    reviews: Reviews | None = None  # None: no person rules on its decisions
    companions: tuple[Companion, ...] = ()  # mutable inputs that no version holds
    kinds: tuple[Kind, ...] = ()  # of bytes about persons or things that it keeps in the store
    forget: Callable[[Settings, str], Mapping[str, int]] | None = None  # what else it holds of a unit's pseudonym: gone
    pages: Callable[[Host], list[Any]] | None = None  # pages of the console, below the domain's name
    requests: Requests | None = None  # what a load sends; None: it has none
    commands: Callable[[], Any] | None = None  # `headgate DOMAIN …`, a typer.Typer of several; None: it has no own
    rehearsal: Callable[[], Rehearsal] | None = None  # what drills need; None: it has none
    demonstration: Demonstration = field(default=Demonstration())  # what `make run` shows beside its versions
    promotion: Literal["auto", "review"] = "auto"

    @property
    def logs(self) -> Live:
        """What it supplies of its live decisions; UsageError where nothing of it is logged."""
        if self.live is None:
            raise UsageError(f"{self.name} logs no decisions, so there are none to read, watch or decide again.")
        return self.live

    @property
    def decides(self) -> Outcomes:
        """What its decisions can be; UsageError where it decides nothing."""
        if self.outcomes is None:
            raise UsageError(f"{self.name} decides nothing, so nothing can be counted or decided again.")
        return self.outcomes

    @property
    def ruled_on(self) -> Reviews:
        """How people rule on its decisions; UsageError where nobody does."""
        if self.reviews is None:
            raise UsageError(f"Nobody rules on the decisions of {self.name}: it declares no reviews.")
        return self.reviews


@dataclass(frozen=True)
class Late:
    """A function that is imported when it is first called: naming a domain must load no model library."""

    place: str  # "package.module:name"

    def resolve(self) -> Callable[..., Any]:
        """The function itself."""
        module, _, name = self.place.partition(":")
        found: Callable[..., Any] = getattr(import_module(module), name)
        return found

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call it."""
        return self.resolve()(*arguments, **named)


def late(place: str) -> Callable[..., Any]:
    """The function at `place` ("package.module:name"), imported when it is first called.

    No type checker sees it: `tests/test_contract.py` imports all of them and holds them against the contract.
    """
    return Late(place)


def get_domain(name: str) -> Domain:
    """The domain called `name`, from ``headgate.domains.NAME.domain.NAME``; imports no other."""
    if name not in NAMES:
        raise UsageError(f"There is no domain {name!r}; there are: {', '.join(NAMES)}.")
    domain: Domain = getattr(import_module(f"headgate.domains.{name}.domain"), name.upper())
    return domain


def known_scopes(domains: Iterable[Domain]) -> dict[str, str]:
    """The scopes that a token can have where `domains` are served, each with what it may do."""
    return SCOPES | {scope: words for domain in domains for scope, words in domain.scopes.items()}


def in_order(domains: Sequence[Domain]) -> list[Domain]:
    """`domains`, each after those that it depends on, and else in their order. Raises UsageError in a circle."""
    left, done = list(domains), list[Domain]()
    while left:
        waiting = {domain.name for domain in left}
        ready = next((domain for domain in left if not waiting & set(domain.depends_on)), None)
        if ready is None:
            raise UsageError(f"These domains depend on each other: {', '.join(sorted(waiting))}.")
        left.remove(ready)
        done.append(ready)
    return done
