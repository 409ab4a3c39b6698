"""Companions are followed while a process serves: what is new counts soon and at once, what is broken is only said."""

import json
import logging
from dataclasses import replace
from threading import Event
from types import SimpleNamespace

import pytest

from headgate.contract.companions import Companion, entries, in_words, logged
from headgate.errors import DataRefused
from headgate.serving import companions
from headgate.serving.companions import CompanionFollower


class Shelf:
    """A folder with a JSON file for each companion."""

    def __init__(self, folder):
        self.folder, self.reads = folder, []

    def write(self, name, text):
        draft = self.folder / f".{name}"
        draft.write_text(text)
        draft.replace(self.folder / f"{name}.json")

    def companion(self, name):
        path = self.folder / f"{name}.json"

        def identify(settings):
            return f"{len(path.read_text())}-{path.read_text()[:1]}" if path.exists() else None

        def read(settings):
            self.reads.append(name)
            try:
                return json.loads(path.read_text())
            except ValueError:
                raise DataRefused(f"{path.name} is not JSON: mend it.") from None

        return Companion(name, f"table of {name}", identify, read)


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path)


@pytest.fixture
def follower(shelf):
    domain = SimpleNamespace(name="rooms", companions=(shelf.companion("one"), shelf.companion("two")))
    return CompanionFollower([domain, SimpleNamespace(name="none", companions=())], None)


def _values(follower):
    return {name: held.value for name, held in follower.companions.of("rooms").items()}


def test_what_is_set_is_in_force_and_a_change_replaces_it(shelf, follower):
    follower.look("rooms")
    assert _values(follower) == {}
    shelf.write("one", "[1]")
    follower.look("rooms")
    first = follower.companions.of("rooms")["one"]
    assert (first.value, first.entry) == ([1], "one:3-[")
    shelf.write("one", "[1, 2]")
    follower.look("rooms")
    assert _values(follower) == {"one": [1, 2]}
    assert first.value == [1], "who took it before goes on with what was in force then"
    (shelf.folder / "one.json").unlink()
    follower.look("rooms")
    assert _values(follower) == {}


def test_what_has_not_changed_is_not_read_again(shelf, follower):
    shelf.write("one", "[1]")
    follower.look("rooms")
    before = follower.companions.of("rooms")
    follower.look("rooms")
    assert follower.companions.of("rooms") is before
    assert shelf.reads == ["one"]


def test_what_cannot_be_read_leaves_the_one_before_and_is_said_once(shelf, follower, caplog):
    shelf.write("one", "[1]")
    follower.look("rooms")
    shelf.write("one", "[1, ")
    with caplog.at_level(logging.INFO):
        follower.look("rooms")
        follower.look("rooms")
    assert _values(follower) == {"one": [1]}
    said = "table of one 3-[ stays in force: one.json is not JSON: mend it."
    assert follower.companions.problem("rooms", "one") == said
    assert [record.getMessage() for record in caplog.records] == [f"rooms: {said}"]
    shelf.write("one", "[3, 4]")
    follower.look("rooms")
    assert (_values(follower), follower.companions.problem("rooms", "one")) == ({"one": [3, 4]}, None)


def test_one_that_is_broken_does_not_hold_up_the_other(shelf, follower):
    shelf.write("one", "{")
    shelf.write("two", "[2]")
    follower.look("rooms")
    assert _values(follower) == {"two": [2]}
    assert follower.companions.problem("rooms", "one").startswith("No table of one is in force: ")


def test_both_of_a_domain_change_together(shelf, follower):
    shelf.write("one", "[1]")
    shelf.write("two", "[1]")
    follower.look("rooms")
    seen = []
    second = shelf.companion("two")

    def read(settings):
        seen.append(_values(follower))
        return second.read(settings)

    follower._domains["rooms"] = (shelf.companion("one"), replace(second, read=read))
    shelf.write("one", "[1, 2]")
    shelf.write("two", "[1, 2]")
    follower.look("rooms")
    assert seen == [{"one": [1], "two": [1]}], "the first is not in force before the second"
    assert _values(follower) == {"one": [1, 2], "two": [1, 2]}


def test_one_that_changes_while_it_is_read_waits_for_the_next_look(shelf, follower):
    shelf.write("one", "[1]")
    companion = shelf.companion("one")

    def read(settings):
        value = companion.read(settings)
        shelf.write("one", "[1, 2]")
        return value

    follower._domains["rooms"] = (replace(companion, read=read),)
    follower.look("rooms")
    assert _values(follower) == {}, "no value goes under the id of another"
    follower._domains["rooms"] = (companion,)
    follower.look("rooms")
    assert _values(follower) == {"one": [1, 2]}


def test_a_thread_follows_until_it_is_stopped_and_a_fault_of_ours_does_not_end_it(shelf, follower, monkeypatch):
    monkeypatch.setattr(companions, "PERIOD", 0.01)
    failed, done, look = Event(), Event(), follower.look

    def watched(domain):
        if not failed.is_set():
            failed.set()
            raise RuntimeError("a fault of ours")
        look(domain)
        if _values(follower) == {"one": [1]}:
            done.set()

    monkeypatch.setattr(follower, "look", watched)
    follower.start()
    try:
        follower.wait()
        assert failed.is_set()
        shelf.write("one", "[1]")
        assert done.wait(10)
    finally:
        follower.stop()


def test_the_log_names_what_was_used_and_a_reader_finds_it_again(shelf, follower):
    shelf.write("one", "[1]")
    shelf.write("two", "[1, 2]")
    follower.look("rooms")
    held = follower.companions.of("rooms")
    column = logged(held.values())
    assert entries(column) == {"one": held["one"].id, "two": held["two"].id}
    known = (shelf.companion("one"),)
    assert in_words(f"one:3-[ two:own-{held['two'].id}", known) == "table of one 3-[; two 6-[, the version's own"
    assert in_words("", known) == "none"
