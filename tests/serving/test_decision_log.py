"""What the endpoint decides is in the log before the answer is there."""

import numpy as np
import polars as pl
import pytest
from prometheus_client import REGISTRY

from headgate.decisions.reading import find, parts
from headgate.domains.adclicks.companions import lookup_tables
from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.operations.status import read_status

from .test_app import CLICK, metric, until


def test_what_is_known_of_an_account_and_of_a_campaign_is_logged(registry, client):
    """Read behind the requests: a first click may be logged without."""
    lookup_tables.replace(registry.settings, "accounts", pl.DataFrame({"user_id": ["u"], "rfm": [14]}))
    lookup_tables.replace(
        registry.settings, "campaigns", pl.DataFrame({"campaign": ["spring"], "advertiser": ["Acme"]})
    )

    def known():
        client.post("/v1/adclicks/decisions", json=CLICK | {"campaign": "spring"})
        ((_, rows),) = parts(registry.settings, "adclicks")
        return rows.select("rfm", "advertiser").row(-1) == (14, "Acme")

    until(known)


def test_a_decision_is_logged_with_its_click_its_vector_and_what_decided_it(registry, client):
    clicks = [CLICK | {"click_id": f"c{n}", "device": "mobile", "campaign": "spring", "rfm": 12} for n in range(5)]
    answers = client.post("/v1/adclicks/decisions", json=clicks).json()
    model = client.get("/v1/models").json()[0]
    ((_, rows),) = parts(registry.settings, "adclicks")
    assert rows["decision_id"].to_list() == [answer["decision_id"] for answer in answers]
    assert rows["against"].to_list() == [answer["invalid"] for answer in answers] == [False] * 3 + [True] * 2
    assert set(rows.select("version", "bundle", "role", "slice", "companions").iter_rows()) == {
        (1, model["bundle"], "champion", "mobile", "")
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


def test_one_click_is_found_by_the_id_in_its_answer(registry, client):
    answer = client.post("/v1/adclicks/decisions", json=CLICK).json()
    _, row = find(registry.settings, "adclicks", answer["decision_id"])
    assert row["click_id"].to_list() == ["c"]


def test_a_canary_decides_and_is_logged_for_its_share_of_the_users(registry, client):
    second = registry.register(bias=9.0)
    registry.client.set_registered_model_alias("adclicks", "challenger", str(second))
    registry.client.set_registered_model_tag("adclicks", "headgate.canary", "0.5")
    clicks = [CLICK | {"click_id": f"c{n}", "user_id": f"u{n}"} for n in range(40)]

    def both():
        return {one["version"] for one in client.post("/v1/adclicks/decisions", json=clicks).json()} == {1, second}

    until(both)
    (model,) = client.get("/v1/models").json()
    assert (model["version"], model["canary_version"], model["canary_share"]) == (1, second, 0.5)
    assert "decides for 50.0% of the units" in read_status(registry.settings).words()
    answers = client.post("/v1/adclicks/decisions", json=clicks).json()
    assert [one["click_id"] for one in answers] == [click["click_id"] for click in clicks]
    assert all(one["invalid"] == (one["version"] == second) for one in answers)
    rows = [find(registry.settings, "adclicks", one["decision_id"])[1].row(0, named=True) for one in answers]
    assert [row["role"] for row in rows] == [{1: "champion", second: "canary"}[one["version"]] for one in answers]
    assert [row["version"] for row in rows] == [one["version"] for one in answers]


def test_where_the_log_cannot_be_written_the_answer_is_given_and_the_loss_counted(registry, serve):
    registry.crown(registry.register())
    (registry.settings.home / "log").write_text("a file where a folder should be")
    lost = metric("headgate_log_lost_rows_total", domain="adclicks")
    client = serve(registry.settings)
    until(lambda: client.get("/readyz").status_code == 200)
    answers = client.post("/v1/adclicks/decisions", json=[CLICK, CLICK | {"click_id": "d"}])
    assert answers.status_code == 200
    assert all(answer["decision_id"] for answer in answers.json())
    assert metric("headgate_log_lost_rows_total", domain="adclicks") == lost + 2
    assert REGISTRY.get_sample_value("headgate_log_failing", {"domain": "adclicks"}) == 1
    assert "headgate_log_failing" in client.get("/metrics").text


def test_a_click_that_nobody_could_decide_is_not_logged_since_it_is_sent_again(settings, serve):
    client = serve(settings, follow=False)
    assert client.post("/v1/adclicks/decisions", json=CLICK).status_code == 503
    assert list(parts(settings, "adclicks")) == []
