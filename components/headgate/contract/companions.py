"""Companions: what decisions rest on beside the version, and people change any time: a calendar, a gallery, settings.

A process that serves follows them as it follows versions. Every decision logs which of them it used, by id, and is
decided again with the same. A version has some of its own, from when it was made; those count where none is set.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from headgate.settings import Settings

#: What the id of a version's own companion begins with in the log.
OWN = "own-"

#: Values of companions by name, where there are none.
NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Companion:
    """A mutable input of a domain.

    `identify` is asked each second, so it must cost next to nothing: an id of what is in force, without spaces, the
    same whenever the value is the same; None where none is set. `read` gives that value, which nobody changes any more.
    Both raise HeadgateError in a sentence that says what to mend. `recall` gives the value again that had an id at an
    instant, and says likewise where it is gone; without it, a logged row must hold all that the companion gave.
    """

    name: str  # in the log, and by which the value is asked for
    title: str  # in words
    identify: Callable[[Settings], str | None]
    read: Callable[[Settings], Any]
    recall: Callable[[Settings, str, datetime], Any] | None = None
    scope: str = "operate"  # a token with it may change the companion


@dataclass(frozen=True)
class InForce:
    """What a process uses of a companion now."""

    name: str
    id: str
    value: Any
    since: datetime  # this process has it

    @property
    def entry(self) -> str:
        """How the log names it."""
        return f"{self.name}:{self.id}"


class Companions:
    """What is in force in this process. One thread writes at a time (`serving.companions`), requests read.

    All of a domain change together: who takes `of` once never sees half a change.
    """

    def __init__(self, look: Callable[[str], None] = lambda domain: None) -> None:
        """Nothing is in force; `look` brings a domain up to date."""
        self._held: dict[str, Mapping[str, InForce]] = {}
        self._problems: dict[tuple[str, str], str] = {}
        self._look = look

    def of(self, domain: str) -> Mapping[str, InForce]:
        """What `domain` decides with beside its version, by name. A request reads it once."""
        return self._held.get(domain, NONE)

    def problem(self, domain: str, name: str) -> str | None:
        """Why what is set as `name` is not what is in force; None where all is well."""
        return self._problems.get((domain, name))

    def problems(self, domain: str) -> list[str]:
        """What is wrong with the companions of a domain."""
        return [problem for (of, _), problem in list(self._problems.items()) if of == domain]

    def refresh(self, domain: str) -> None:
        """Look at once: for who has just changed one, or shows it to people."""
        self._look(domain)

    def put(self, domain: str, held: Mapping[str, InForce]) -> None:
        """Let `held` be in force for `domain` from now on, and nothing else."""
        self._held[domain] = held

    def report(self, domain: str, name: str, problem: str | None) -> None:
        """Note what is wrong with a companion, or that nothing is."""
        if problem is None:
            self._problems.pop((domain, name), None)
        else:
            self._problems[domain, name] = problem


def logged(held: Iterable[InForce]) -> str:
    """The column `companions` of a row that was decided with `held`; "" where there are none."""
    return " ".join(one.entry for one in held)


def entries(column: str) -> dict[str, str]:
    """The inverse of `logged`: id by name."""
    return {name: identity for name, _, identity in (entry.rpartition(":") for entry in column.split())}


def in_words(column: str, known: Iterable[Companion]) -> str:
    """Which companions a row names: with their titles, and whether they were the version's own."""
    titles = {one.name: one.title for one in known}
    told = []
    for name, identity in entries(column).items():
        whose = ", the version's own" if identity.startswith(OWN) else ""
        told.append(f"{titles.get(name, name)} {identity.removeprefix(OWN)}{whose}".strip())
    return "; ".join(told) or "none"
