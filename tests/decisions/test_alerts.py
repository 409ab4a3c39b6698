"""Alerts: each fact once, in the ledger always, to the webhook if it answers, and never at anyone's expense."""

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from headgate.contract.cadence import Cadence
from headgate.decisions import alerts
from headgate.decisions.alerts import Alert
from headgate.domain import Domain
from headgate.files import write_json
from headgate.registry.ledger import Entry, Ledger
from headgate.registry.ledger_state import state_of
from headgate.settings import Settings, load

from ..toy import ROOMS

NOW = datetime.now(UTC)
ALERT = Alert("rooms", "harm", "harm:7", "Version 7 wrongs people.", {"slice": "hall"})


@dataclass
class Webhook:
    """An address that answers with the given codes, the last one for ever, and keeps what it was told."""

    codes: list[int]
    url: str = ""
    heard: list[dict[str, Any]] = field(default_factory=list)
    told: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    hook = Webhook([200])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(hook.codes.pop(0) if len(hook.codes) > 1 else hook.codes[0])
            self.end_headers()
            hook.told.set()

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hook.url = f"http://user:secret@127.0.0.1:{server.server_port}/services/T0KEN?key=secret"
        yield hook
        server.shutdown()


@pytest.fixture
def here(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path))
    return load()


def test_an_alert_stands_in_the_ledger_and_reaches_the_webhook(here: Settings, webhook: Webhook) -> None:
    entry = alerts.tell(replace(here, alert_url=webhook.url), Ledger(here), ALERT)
    assert webhook.told.wait(10)
    told = webhook.heard[0]
    assert (told["domain"], told["kind"], told["key"], told["words"]) == ("rooms", "harm", "harm:7", ALERT.words)
    assert ALERT.words in told["text"]
    assert entry.details == {"kind": "harm", "key": "harm:7", "slice": "hall"}
    assert alerts.told(Ledger(here).entries("rooms")) == {"harm:7"}


def test_without_a_webhook_the_ledger_has_it_all_the_same(here: Settings) -> None:
    alerts.tell(here, Ledger(here), ALERT)
    assert [entry.what for entry in Ledger(here).entries()] == ["alert"]


def test_a_webhook_that_fails_once_is_tried_again(webhook: Webhook) -> None:
    webhook.codes = [503, 200]
    assert alerts.send(webhook.url, ALERT, wait=lambda seconds: None)
    assert len(webhook.heard) == 2


def test_a_webhook_that_never_takes_it_is_given_up_and_its_secrets_stay_out_of_the_log(
    webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.codes, waited = [500], []
    with caplog.at_level(logging.ERROR):
        assert not alerts.send(webhook.url, ALERT, wait=waited.append)
    assert (len(webhook.heard), waited) == (3, [1.0, 4.0])
    said = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("headgate"))
    assert "harm:7" in said
    assert "127.0.0.1" in said
    assert not {word for word in ("secret", "T0KEN", "user") if word in said}


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "no address", "http://[", "ftp://example.invalid/x"])
def test_an_address_that_cannot_be_is_no_fault_of_the_watch(url: str) -> None:
    assert not alerts.send(url, ALERT, wait=lambda seconds: None)
    assert alerts.redacted(url)


def test_a_slow_webhook_holds_nobody_up(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow(url: str, alert: Alert) -> bool:
        asked.set()
        return answer.wait(10)

    monkeypatch.setattr(alerts, "send", slow)
    alerts.tell(replace(here, alert_url="http://slow.invalid"), Ledger(here), ALERT)
    assert asked.wait(10)
    assert alerts.told(Ledger(here).entries("rooms")) == {"harm:7"}
    answer.set()


def changed(number: int, **details: Any) -> Entry:
    return Entry("rooms", "changed", "ada", "it was bad", from_version=9, to_version=number, details=details)


def due(here: Settings, entries: list[Entry], as_of: datetime | None = None, domain: Domain = ROOMS) -> dict[str, str]:
    ledger = Ledger(here)
    for entry in entries:
        ledger.append(entry)
    known = ledger.entries("rooms")
    found = alerts.due(here, domain, known, state_of(known), as_of, NOW)
    assert len({alert.key for alert in found}) == len(found)
    return {alert.kind: alert.words for alert in found}


def ran(here: Settings, result: str, ago: timedelta) -> None:
    told = {"domain": "rooms", "as_of": (NOW - ago).isoformat(), "result": result, "words": "said why"}
    write_json(here.home / "outcomes" / "rooms.json", told)


def test_rollbacks_and_refusals_of_anyone_are_told(here: Settings) -> None:
    refused = Entry("rooms", "verdict", "the gate", "harm is shown", to_version=10, ruling="refused")
    found = due(here, [changed(8, rollback=True), refused])
    assert "ada rolled back from version 9 to 8: it was bad" in found["rollback"]
    assert "Version 10 is refused" in found["refusal"]


def test_a_promotion_and_a_passed_verdict_wake_nobody(here: Settings) -> None:
    passed = Entry("rooms", "verdict", "the gate", to_version=10, ruling="passed")
    ran(here, "promoted", timedelta(hours=2))
    assert due(here, [changed(10, rollback=False), passed], as_of=NOW - timedelta(days=1)) == {}


def test_a_fact_that_was_told_is_not_due_again(here: Settings) -> None:
    ledger = Ledger(here)
    first = ledger.append(changed(8, rollback=True))
    alerts.tell(here, ledger, Alert("rooms", "rollback", f"rollback:{first.seq}", "told"))
    assert due(here, []) == {}


def test_a_day_without_a_run_is_told(here: Settings) -> None:
    ran(here, "promoted", timedelta(hours=31))
    assert "a day was missed" in due(here, [changed(8)])["missed day"]


def test_of_a_weekly_domain_a_week_without_a_run_is_told(here: Settings) -> None:
    weekly = replace(ROOMS, cadence=Cadence(weekday=0))
    ran(here, "promoted", timedelta(days=6))
    assert due(here, [changed(8)], as_of=NOW - timedelta(days=30), domain=weekly) == {}
    ran(here, "promoted", timedelta(days=7, hours=7))
    assert "a week was missed" in due(here, [], domain=weekly)["missed week"]


def test_data_that_was_refused_is_told(here: Settings) -> None:
    ran(here, "data refused", timedelta(hours=1))
    assert "said why" in due(here, [changed(8)])["refusal"]


def test_a_champion_that_has_grown_old_is_told(here: Settings) -> None:
    ran(here, "refused", timedelta(hours=1))
    assert "8 days ago" in due(here, [changed(8)], as_of=NOW - timedelta(days=8))["old champion"]
