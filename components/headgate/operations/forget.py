"""Forget a unit wherever it is held: store, decision log, exports, whatever else its domain has; and say so for good.

It is noted before the first deed and goes on from there, whoever runs it again: `headgate forget`, `headgate gc`, a
restore. What was held is counted first, so that the receipt tells all of it however often it was cut off.
"""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from headgate.contract.live import DecisionLog
from headgate.data import datasets
from headgate.decisions.compaction import compact
from headgate.decisions.layout import log_folder
from headgate.decisions.redaction import held, redact
from headgate.domain import Domain
from headgate.errors import HeadgateError, UsageError
from headgate.privacy.index import Forgetting
from headgate.privacy.pseudonyms import unit_pseudonym
from headgate.privacy.receipts import Receipt, Statement, keep_receipt, public_key, sign
from headgate.privacy.store import Store
from headgate.registry.ledger import Entry, Ledger, me
from headgate.settings import Settings

#: Seconds that one forgetting waits for another of the same domain, and for segments that are still written: serving
#: closes and folds one within two minutes.
LOCK_SECONDS, OPEN_SECONDS = 600.0, 180.0

#: Of the places of a statement, the decision log's rows and the raw files that were made of it.
LOG, RAW = "log rows", "raw files of the log"


@dataclass(frozen=True)
class Done:
    """How it ended."""

    domain: str
    unit: str  # its pseudonym
    result: Literal["forgotten", "already", "nothing"]
    at: str  # when it was forgotten; "" where it never was
    kinds: Mapping[str, Mapping[str, int]]
    places: Mapping[str, int]
    receipt: str  # where that lies; "" where there is none

    def words(self) -> str:
        """What went, and how to show it."""
        if self.result == "nothing":
            return f"{self.domain} holds nothing of unit {self.unit}, and never forgot it: check how it is called."
        said = {"forgotten": "has forgotten", "already": "had already forgotten"}[self.result]
        words = f"{self.domain} {said} unit {self.unit}, as it was on {self.at[:16].replace('T', ' ')} UTC"
        if listed := told_of(self.kinds, self.places):
            words += f": {listed}"
        return f"{words}.\nThe receipt is {self.receipt}; `headgate forget --verify FILE` holds one against the ledger."


def told_of(kinds: Mapping[str, Mapping[str, int]], places: Mapping[str, int]) -> str:
    """What is held, or was, in words; empty for nothing."""
    words = [f"{told['blobs']:,} {kind} ({told['bytes']:,} bytes)" for kind, told in kinds.items()]
    return ", ".join([*words, *(f"{count:,} {place}" for place, count in places.items() if count)])


def look(settings: Settings, domain: Domain, unit: str) -> str:
    """What is held of the `unit` of that name now, in words; of what only the domain knows, nothing is said."""
    found = _held(settings, domain, unit_pseudonym(settings, domain.name, unit), datetime.now(UTC))
    return told_of(*found)


def forget_unit(
    settings: Settings, domain: Domain, unit: str, *, who: str = "", why: str = "", wait: float = OPEN_SECONDS
) -> Done:
    """Forget the `unit` of that name. Run again it does what is left, or says since when it is forgotten.

    Raises HeadgateError where a serving process goes on writing a segment that holds rows of it for longer than `wait`
    seconds: all else is gone then, and whoever runs it next does the rest.
    """
    if unit.casefold() in why.casefold():
        raise UsageError("The reason names the unit, and the ledger never forgets: give another.")
    pseudonym = unit_pseudonym(settings, domain.name, unit)
    store = Store(settings, domain.name, domain.kinds)
    with _alone(settings, domain):
        past = store.index.forgettings(pseudonym)
        if past and past[-1].state != "done":
            return _go_on(settings, domain, store, past[-1], wait)
        there = bool(store.index.of_unit(pseudonym)) or any(
            _in_log(settings, domain, pseudonym, store.clock()).values()
        )
        beside = {} if there else _beside(settings, domain, pseudonym)
        if not (there or any(beside.values())):
            return _nothing(settings, domain, pseudonym, past)
        begun = store.begin(pseudonym, who or me(), why)
        if beside:
            begun = store.index.note(begun, {"places": beside})
        return _go_on(settings, domain, store, begun, wait)


def finish_owed(settings: Settings, domain: Domain, *, wait: float = OPEN_SECONDS) -> list[Done]:
    """Do what is left of forgettings that were cut off.

    And again those that the ledger tells of and the index does not: what they are about came back with a restore.
    """
    store, done = Store(settings, domain.name, domain.kinds), []
    with _alone(settings, domain):
        known = {(one.unit, one.at) for one in store.index.forgettings()}
        for entry in forgotten_entries(settings, domain.name):
            unit, at = entry.details["unit"], datetime.fromisoformat(entry.details["at"])
            if (unit, at) not in known:
                store.index.begin(unit, at, entry.who, f"Told by the ledger's entry {entry.seq}.")
        for one in store.index.forgettings():
            if one.state != "done":
                done.append(_go_on(settings, domain, store, one, wait))
    return done


def forgotten_entries(settings: Settings, domain: str | None = None) -> list[Entry]:
    """What the ledger says was forgotten; asking makes no ledger."""
    if settings.ledger is None and not (settings.home / "ledger.db").is_file():
        return []
    return [entry for entry in Ledger(settings).entries(domain) if entry.what == "forgotten"]


def _held(
    settings: Settings, domain: Domain, unit: str, until: datetime
) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """How much the store holds of a unit, by kind, and in how many rows of the log it stands."""
    kinds: dict[str, dict[str, int]] = {}
    for blob in Store(settings, domain.name, domain.kinds).index.of_unit(unit):
        told = kinds.setdefault(blob.kind, {"blobs": 0, "bytes": 0})
        told["blobs"] += 1
        told["bytes"] += blob.size
    return kinds, _in_log(settings, domain, unit, until)


def _in_log(settings: Settings, domain: Domain, unit: str, until: datetime) -> dict[str, int]:
    """In how many rows of the log something personal of a unit stands."""
    log = _personal_log(domain)
    return {LOG: held(settings, log, unit, until) if log else 0}


def _go_on(settings: Settings, domain: Domain, store: Store, begun: Forgetting, wait: float) -> Done:
    """Do all that is left of a forgetting, in order: what is done already is found done."""
    log = _personal_log(domain)
    if LOG not in begun.told.get("places", {}):
        places = _in_log(settings, domain, begun.unit, begun.at)
        survey = {} if "kinds" in begun.told else store.survey(begun.unit)
        begun = store.index.note(begun, {**begun.told, **survey, "places": {**begun.told.get("places", {}), **places}})
    store.erase(begun)
    if log is not None:
        _redact(settings, log, begun, wait)
        if raw := _drop_raw(settings, log):
            begun = _counted(store, begun, {RAW: raw})
    begun = _counted(store, begun, _beside(settings, domain, begun.unit))
    receipt = _receipt(settings, domain, begun)
    path = keep_receipt(settings, receipt)
    store.index.done(begun)
    return _done(settings, receipt, "forgotten", path)


def _redact(settings: Settings, log: DecisionLog, begun: Forgetting, wait: float) -> None:
    """Let nothing personal of the unit stand in the log. A row that is being written is waited for."""
    deadline = time.monotonic() + wait
    while True:
        compact(settings, log)
        still = redact(settings, log, begun.unit, begun.at).still_open
        if not still:
            return
        if time.monotonic() > deadline:
            raise HeadgateError(
                f"Unit {begun.unit} of {log.name} is forgotten but for rows that a serving process still writes "
                f"({', '.join(still)}): it folds them within two minutes. Run `headgate forget {log.name} --owed` then."
            )
        time.sleep(0.2)


def _drop_raw(settings: Settings, log: DecisionLog) -> int:
    """Remove the raw files that were made of the log before; they are made anew of what is left. How many they were."""
    raw, home = log_folder(settings, log.name) / "raw", log_folder(settings, log.name)
    count = sum(1 for path in raw.rglob("*") if path.is_file())
    if raw.is_dir():
        raw.rename(home / f".tmp-gone-{uuid4().hex[:8]}")
    for gone in home.glob(".tmp-gone-*"):
        shutil.rmtree(gone, ignore_errors=True)
    return count


def _beside(settings: Settings, domain: Domain, unit: str) -> dict[str, int]:
    """Let the domain forget what only it knows of; how much went, by its own words."""
    return {} if domain.forget is None else dict(domain.forget(settings, unit))


def _counted(store: Store, begun: Forgetting, more: Mapping[str, int]) -> Forgetting:
    """Note what else went: at least as much as was counted before it was cut off."""
    places = dict(begun.told["places"])
    fresh = {name: max(count, places.get(name, 0)) for name, count in more.items()}
    if not any(count != places.get(name) for name, count in fresh.items()):
        return begun
    return store.index.note(begun, {**begun.told, "places": {**places, **fresh}})


def _receipt(settings: Settings, domain: Domain, done: Forgetting) -> Receipt:
    """The receipt of what was done, with the ledger's entry about it, which is appended unless it is there."""
    told = done.told
    hashes = {kind: tuple(found) for kind, found in told["hashes"].items()}
    places = {name: count for name, count in told["places"].items() if count}
    statement = Statement(domain.name, done.unit, done.at.isoformat(), told["kinds"], places, told["salt"], hashes)
    entry = _entered(settings, domain, done, statement)
    return sign(settings, statement, entry.seq, entry.hash)


def _entered(settings: Settings, domain: Domain, done: Forgetting, statement: Statement) -> Entry:
    for entry in reversed(forgotten_entries(settings, domain.name)):
        if entry.details.get("statement") == statement.digest():
            return entry
    details: dict[str, Any] = {
        "unit": done.unit,
        "at": statement.at,
        "statement": statement.digest(),
        "blobs": sum(kind["blobs"] for kind in statement.kinds.values()),
        "places": dict(statement.places),
        "public_key": public_key(settings),
    }
    why = done.why or "It was asked for."
    return Ledger(settings).append(Entry(domain.name, "forgotten", done.who or me(), why, details=details))


def _nothing(settings: Settings, domain: Domain, unit: str, past: list[Forgetting]) -> Done:
    """What to say where nothing is held: since when it is forgotten, or that it never was there."""
    if not past:
        return Done(domain.name, unit, "nothing", "", {}, {}, "")
    receipt = _receipt(settings, domain, past[-1])
    return _done(settings, receipt, "already", keep_receipt(settings, receipt))


def _done(settings: Settings, receipt: Receipt, result: Literal["forgotten", "already"], path: Path) -> Done:
    told = receipt.statement
    return Done(told.domain, told.unit, result, told.at, told.kinds, told.places, str(path))


def _personal_log(domain: Domain) -> DecisionLog | None:
    """The domain's log, where its rows tell whom they are about."""
    return domain.live.log if domain.live and domain.live.log.unit is not None else None


def _alone(settings: Settings, domain: Domain) -> Any:
    return datasets.exclusively(settings, domain.name, suffix="forget.lock", wait=LOCK_SECONDS)
