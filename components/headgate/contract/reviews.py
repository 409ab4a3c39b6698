"""What a domain declares where people rule on its decisions: cases, who reads them, and how a case looks.

A case waits for a *reading*: the first; for a share of the cases a second one, by somebody who does not see the first;
a third where those two disagree; and one of an appeal, by somebody who has not read the case before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from headgate.contract.host import Host

Reading = Literal["first", "second", "third", "appeal"]

#: What happens with a case that nobody has read by its deadline, where that is no outcome: it is left as the version
#: decided it, or it waits on, for those who read what is escalated.
LEAVE, ESCALATE = "leave", "escalate"

#: Keys of the queue's page itself: no outcome can have one of them.
RESERVED = frozenset("jkusrln?/")


@dataclass(frozen=True)
class Role:
    """What whoever has a scope may read."""

    reads: tuple[Reading, ...] = ("first", "second")
    escalated: bool = False  # also first readings whose deadline is over


@dataclass(frozen=True)
class Case:
    """A case as those who read it may know it. Nothing in it tells whether and how others have read it."""

    key: str
    domain: str
    title: str  # in lists, in words
    why: str = ""  # it is here, in words
    kind: str = ""  # a word of the domain's own
    subjects: tuple[str, ...] = ()  # references to what it is about: to the store, to units
    about: Mapping[str, Any] = field(default_factory=dict)  # plain values that the card shows
    decision_id: str | None = None
    priority: float = 0.0
    opened: datetime | None = None
    deadline: datetime | None = None


@dataclass(frozen=True)
class Card:
    """How a case looks on the queue's page: what it is about in large type and facts beside it, or one's own template.

    `template` is drawn with `case`, `card` and `values`; all that it is given is escaped.
    """

    subject: str
    facts: Mapping[str, str] = field(default_factory=dict)  # name → value, in words
    words: str = ""  # a sentence below the subject
    template: str = "console/queue_card.html"
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reviews:
    """How people rule on the decisions of a domain."""

    card: Callable[[Case, Host], Card]
    choices: Mapping[str, str]  # the outcomes that a person can rule, each with the key of its button
    roles: Mapping[str, Role]  # scope of a token, one of the domain's own → what it may read
    labels: type[msgspec.Struct] | None = None  # what a ruling tells beside its outcome; every field with a default
    lease_seconds: float = 120.0  # that a claim holds without a sign of its reader
    undo_seconds: float = 60.0  # in which a ruling can be taken back; only then another reads the case
    second_share: float = 0.0  # of the cases are read by a second reader
    agree_on: Sequence[str] = ("outcome",)  # in which two readers must agree, else a third decides: labels too
    deadline_seconds: float | None = None  # from the opening of a case that names none itself
    at_expiry: str = LEAVE  # an outcome, LEAVE or ESCALATE, for a case that names none itself
    at_once: int = 2  # claims that one person can hold: the card that is read, and the next one

    def __post_init__(self) -> None:
        """Raise ValueError where the queue could not be worked as it is declared."""
        if not self.choices or not self.roles:
            raise ValueError("reviews need an outcome that can be ruled, and a role that rules")
        keys = list(self.choices.values())
        if len(set(keys)) < len(keys) or any(len(key) != 1 or key.lower() in RESERVED for key in keys):
            raise ValueError(f"every outcome needs a key of its own, none of {' '.join(sorted(RESERVED))}: {keys}")
        if not 0 <= self.second_share <= 1 or self.lease_seconds <= 0 or self.undo_seconds < 0 or self.at_once < 1:
            raise ValueError("a share is from 0 to 1, a lease longer than nothing, and one case can be held at least")
        if strange := set(self.agree_on) - {"outcome", *self.label_names}:
            raise ValueError(f"readers cannot agree on {', '.join(sorted(strange))}: no label is called so")

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels' names."""
        return self.labels.__struct_fields__ if self.labels is not None else ()


def alternatives(declared: Any) -> list[Any]:
    """The types that a label can have by its declaration, None and all that only limits it apart."""
    if get_origin(declared) is Annotated:
        return alternatives(get_args(declared)[0])
    if get_origin(declared) in (Union, UnionType):
        return [kind for one in get_args(declared) for kind in alternatives(one)]
    return [] if declared is type(None) else [declared]
