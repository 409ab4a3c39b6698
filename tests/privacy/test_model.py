"""Whatever is put, read, forgotten, swept and reopened in whatever order, the store agrees with a dictionary."""

import shutil
import tempfile
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from hypothesis import settings as how
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from headgate import settings as settings_module
from headgate.privacy.references import Expired, Forgotten
from headgate.privacy.store import Store
from headgate.privacy.sweep import sweep

from .stores import KINDS, Turned, make_store

UNITS = st.sampled_from(["ann", "bob", "cid"])
CONTENTS = st.sampled_from([b"", b"1", b"2" * 1000, b"3" * 300_000])
LIFETIMES = {kind.name: kind.lifetime for kind in KINDS}


@dataclass
class Known:
    """What the model knows of a reference."""

    unit: str
    kind: str
    content: bytes
    until: datetime | None
    forgotten: bool = False


class Dictionary(RuleBasedStateMachine):
    """The store beside what it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.settings = replace(settings_module.load(), home=self.folder / "state")
        self.clock = Turned()
        self.known: dict[str, Known] = {}
        self.last: dict[str, datetime] = {}  # when a unit was last forgotten
        self.store: Store = make_store(self.settings, self.clock)

    @rule()
    def reopen(self) -> None:
        """Another process goes on."""
        self.store.index.database.close()
        self.store.keys.database.close()
        self.store = make_store(self.settings, self.clock)

    @rule(unit=UNITS, content=CONTENTS, kind=st.sampled_from(sorted(LIFETIMES)), as_file=st.booleans())
    def put(self, unit: str, content: bytes, kind: str, as_file: bool) -> None:
        given: bytes | Path = content
        if as_file:
            given = self.folder / "upload"
            given.write_bytes(content)
        lifetime = LIFETIMES[kind]
        known = Known(unit, kind, content, None if lifetime is None else self.clock.now + lifetime)
        reference = self.store.put(unit, given, kind)
        before = self.known.get(reference, known)
        assert (before.unit, before.kind, before.content) == (unit, kind, content)
        self.known[reference] = known

    @rule(unit=UNITS)
    def forget(self, unit: str) -> None:
        held = [one for one in self.known.values() if one.unit == unit and not one.forgotten]
        erased = self.store.forget(unit)
        counted = sum(told["blobs"] for told in erased.kinds.values())
        assert counted >= sum(one.until is None or one.until > self.clock.now for one in held)
        for one in held:
            one.forgotten = True
        self.last[unit] = self.clock.now

    @rule(hours=st.integers(0, 40))
    def turn(self, hours: int) -> None:
        self.clock.turn(hours=hours)

    @rule()
    def sweep(self) -> None:
        sweep(self.store)

    @invariant()
    def agree(self) -> None:
        """Every reference there ever was leads to just what it should."""
        for reference, known in self.known.items():
            if known.forgotten:
                assert self._raised(reference, Forgotten) == self.last[known.unit]
            elif known.until is not None and known.until <= self.clock.now:
                assert self._raised(reference, Expired) == known.until
            else:
                assert self.store.get(reference) == known.content

    def _raised(self, reference: str, kind: type[Forgotten] | type[Expired]) -> datetime:
        try:
            self.store.get(reference)
        except kind as gone:
            return gone.at
        raise AssertionError(f"{reference} is still there")

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


TestDictionary = Dictionary.TestCase
TestDictionary.settings = how(max_examples=15, stateful_step_count=20, deadline=None, derandomize=True)
