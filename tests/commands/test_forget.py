"""`headgate forget` on the command line."""

import io
import json
import sys
from pathlib import Path

import pytest

from headgate import settings
from headgate.commands import forget as command
from headgate.operations import forget
from headgate.privacy.store import Store
from headgate.settings import Settings

from ..toy_store import GUESTS
from .said import Headgate, files


def test_of_whom_nothing_is_held_is_said_and_nothing_is_written(unmade: Path, headgate: Headgate) -> None:
    said = headgate("forget", "adclicks", "Ann Other", "--yes")
    assert (said.code, said.err) == (0, "")
    assert "holds nothing of unit" in said.out
    assert "Ann" not in said.out
    assert not [name for name, data in files(unmade).items() if b"Ann" in data or "Ann" in name]
    assert headgate("forget", "adclicks", "--owed").out == "adclicks owes no forgetting.\n"


def test_the_key_that_verifies_is_shown_and_stays(unmade: Path, headgate: Headgate) -> None:
    key = headgate("forget", "--public-key").out.strip()
    assert len(bytes.fromhex(key)) == 32
    assert headgate("forget", "--public-key").out.strip() == key


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((), 2, "Say of which domain and which unit"),
        (("adclicks",), 2, "Say of which domain and which unit"),
        (("adclicks", "Ann", "--owed"), 2, "Say of which domain and which unit"),
        (("nowhere", "Ann", "--yes"), 2, "There is no domain 'nowhere'"),
        (("--verify", "missing.json"), 2, "There is no receipt missing.json"),
        (("adclicks", "Ann", "--yes", "--why", "ann asked"), 2, "The reason names the unit"),
    ],
)
def test_what_cannot_be_done_is_said(headgate: Headgate, arguments: tuple[str, ...], code: int, sentence: str) -> None:
    said = headgate("forget", *arguments)
    assert (said.code, sentence in said.sentence) == (code, True), said.err


def test_a_fault_of_ours_writes_no_name_anywhere(
    unmade: Path, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(here: Settings, *_: object, **__: object) -> None:
        raise RuntimeError("of ours")

    monkeypatch.setattr(forget, "forget_unit", fail)
    said = headgate("forget", "adclicks", "Ann Other", "--yes")
    assert said.code == 1
    assert "of ours" in (unmade / "logs" / "fault.log").read_text()
    assert not [name for name, data in files(unmade).items() if b"Ann" in data]


def test_it_asks_before_it_forgets_and_its_receipt_can_be_verified(
    unmade: Path, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "one_domain", lambda name: GUESTS)
    store = Store(settings.load(), "rooms", GUESTS.kinds)
    reference = store.put("Ann Other", b"of Ann", "note")
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    said = headgate("forget", "rooms", "Ann Other")
    assert (said.code, "rooms holds of it: 1 note (6 bytes)." in said.out) == (1, True)
    assert store.get(reference) == b"of Ann"
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    said = headgate("forget", "rooms", "Ann Other", "--why", "letter 17")
    assert (said.code, "rooms has forgotten unit" in said.out) == (0, True), said.err
    done = json.loads(headgate("forget", "rooms", "Ann Other", "--yes", "--json").out)
    assert (done["result"], done["kinds"]) == ("already", {"note": {"blobs": 1, "bytes": 6}})
    assert headgate("forget", "--verify", done["receipt"]).out.startswith("Sound: rooms forgot unit")
    told = json.loads(headgate("forget", "--verify", done["receipt"], "--json").out)
    assert (told["ours"], told["entered"]) == (True, True)
    assert headgate("forget", "--public-key").out.strip() == told["public_key"]
    assert not [name for name, data in files(unmade).items() if b"Ann" in data]
    assert headgate("ledger", "verify").code == 0
