"""What the endpoint decides of clicks is in the log before the answer is there, and counted."""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from jsonschema import Draft202012Validator

from headgate.decisions.reading import parts
from headgate.domain import get_domain
from headgate.domains.adclicks.companions import lookup_tables
from headgate.domains.adclicks.companions.followed import identify
from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.domains.adclicks.serving.log_rows import LOG
from headgate.operations.status import read_status

from ....waiting import metric, until

DECIDE = "/v1/adclicks/decisions"
CLICK = {"click_id": "c", "event_time": "2026-01-05T09:30:00+01:00", "user_id": "u", "ip": "192.0.2.1"}


def test_what_is_known_of_an_account_and_of_a_campaign_is_logged(registry, client):
    """Read behind the requests: a first click may be logged without."""
    lookup_tables.replace(registry.settings, "accounts", pl.DataFrame({"user_id": ["u"], "rfm": [14]}))
    lookup_tables.replace(
        registry.settings, "campaigns", pl.DataFrame({"campaign": ["spring"], "advertiser": ["Acme"]})
    )

    def known():
        client.post(DECIDE, json=CLICK | {"campaign": "spring"})
        ((_, rows),) = parts(registry.settings, LOG)
        return rows.select("rfm", "advertiser").row(-1) == (14, "Acme")

    until(known)


def test_a_load_counts_while_serving_and_every_click_names_the_one_that_it_was_decided_with(registry, client):
    def load(rfm):
        lookup_tables.replace(registry.settings, "accounts", pl.DataFrame({"user_id": ["u"], "rfm": [rfm]}))
        return f"lookups:{identify(registry.settings)}"

    def logged():
        client.post(DECIDE, json=CLICK)
        ((_, rows),) = parts(registry.settings, LOG)
        return rows.select("rfm", "companions").row(-1)

    first = load(14)
    until(lambda: logged() == (14, first))
    second = load(5)
    until(lambda: logged() == (5, second))
    assert second != first
    (companion,) = client.get("/v1/models").json()[0]["companions"]
    assert (f"{companion['name']}:{companion['id']}", companion["problem"]) == (second, None)


def test_a_decision_is_logged_with_its_click_its_vector_and_what_decided_it(registry, client):
    clicks = [CLICK | {"click_id": f"c{n}", "device": "mobile", "campaign": "spring", "rfm": 12} for n in range(5)]
    answers = client.post(DECIDE, json=clicks).json()
    model = client.get("/v1/models").json()[0]
    ((_, rows),) = parts(registry.settings, LOG)
    assert rows["decision_id"].to_list() == [answer["decision_id"] for answer in answers]
    assert [answer["invalid"] for answer in answers] == [False] * 3 + [True] * 2
    assert rows["outcome"].to_list() == ["valid"] * 3 + ["invalid"] * 2
    assert set(rows.select("version", "bundle", "role", "slice").iter_rows()) == {
        (1, model["bundle"], "champion", "mobile")
    }
    assert rows["click_id"].to_list() == [f"c{n}" for n in range(5)]
    assert set(rows.select("device", "logged_in", "campaign", "rfm", "complete").iter_rows()) == {
        ("mobile", False, "spring", 12, False)
    }
    names = rows.select("user_id", "session_id", "ip").unique()
    assert names.height == 1, "one user is one pseudonym"
    assert all(len(name) == 24 for name in names.row(0)), "and nobody's name is kept"
    assert {f"{at}" for at in rows["event_time"]} == {"2026-01-05 08:30:00+00:00"}
    assert set(rows["utc_offset_min"]) == {60}
    assert set(rows["threshold"]) == {0.5}
    vectors = rows["features"].to_numpy()
    assert vectors[:, FEATURES.index("user_clicks_1m")].tolist() == [0, 1, 2, 3, 4]
    assert rows["score"].to_numpy() == pytest.approx(1 / (1 + np.exp(3 - np.arange(5))), abs=1e-6)


def test_a_canary_decides_and_is_logged_for_its_share_of_the_users(registry, client):
    second = registry.register(bias=9.0)
    registry.alias(second, "challenger")
    registry.canary("0.5")
    clicks = [CLICK | {"click_id": f"c{n}", "user_id": f"u{n}"} for n in range(40)]

    def both():
        return {one["version"] for one in client.post(DECIDE, json=clicks).json()} == {1, second}

    until(both)
    (model,) = client.get("/v1/models").json()
    assert (model["version"], model["canary_version"], model["canary_share"]) == (1, second, 0.5)
    assert "decides for 50.0% of the units" in read_status(registry.settings, [get_domain("adclicks")]).words()
    answers = client.post(DECIDE, json=clicks).json()
    assert {one["version"] for one in answers} == {1, second}
    assert [one["click_id"] for one in answers] == [click["click_id"] for click in clicks]
    assert all(one["invalid"] == (one["version"] == second) for one in answers)
    rows = pl.concat([rows for _, rows in parts(registry.settings, LOG)])
    logged = {name: (role, version) for name, role, version in rows.select("decision_id", "role", "version").rows()}
    for one in answers:
        role = {1: "champion", second: "canary"}[one["version"]]
        assert logged[one["decision_id"]] == (role, one["version"])


def test_a_list_is_decided_by_one_version_while_another_takes_its_place(registry, client):
    second, n = registry.register(bias=9.0), 0

    def decided_by_the_second():
        nonlocal n
        n += 1
        answers = client.post(DECIDE, json=[CLICK | {"click_id": f"{n}-{i}"} for i in range(5)])
        assert answers.status_code == 200
        (version,) = {decision["version"] for decision in answers.json()}
        return version == second

    assert not decided_by_the_second()
    registry.crown(second)
    until(decided_by_the_second)


def test_decisions_are_counted_by_slice_and_outcome(client):
    labels = {"domain": "adclicks", "slice": "other", "outcome": "valid"}
    before = metric("headgate_decisions_total", **labels)
    client.post(DECIDE, json=[CLICK | {"click_id": "1"}, CLICK | {"click_id": "2"}])
    assert metric("headgate_decisions_total", **labels) == before + 2


def test_the_document_describes_what_is_taken_and_answered(client):
    document = client.get("/openapi.json").json()
    decisions = document["paths"][DECIDE]["post"]
    body = decisions["requestBody"]["content"]["application/json"]
    answered = decisions["responses"]["200"]["content"]["application/json"]["schema"]

    def check(schema, value):
        Draft202012Validator(schema | {"components": document["components"]}).validate(value)

    for sent in (body["example"], [body["example"]] * 2):
        check(body["schema"], sent)
        check(answered, client.post(DECIDE, json=sent).json())
    for sent, status in ((b"{", "400"), (b"{}", "422"), (b" " * 2_000_000, "413")):
        answer = client.post(DECIDE, content=sent)
        assert answer.status_code == int(status)
        check(decisions["responses"][status]["content"]["application/problem+json"]["schema"], answer.json())


def test_starting_to_serve_imports_nothing_heavy():
    code = (
        "import sys, headgate.serving.app, headgate.domains.adclicks.serving.routes;"
        "print([m for m in ('torch', 'lightning', 'mlflow', 'sklearn', 'pandas', 'great_expectations') "
        "if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
