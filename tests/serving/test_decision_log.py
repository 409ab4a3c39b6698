"""What the endpoint decides is in the log before the answer is there."""

from headgate.decisions.reading import find, parts

from ..rooms import DECIDE, READING
from ..toy import LOG
from ..waiting import metric, until


def test_one_decision_is_found_by_the_id_in_its_answer(registry, client):
    cold = READING | {"degrees": 5.0, "comfortable": True}
    answer = client.post(DECIDE, json=cold).json()
    model = client.get("/v1/models").json()[0]
    _, row = find(registry.settings, LOG, answer["decision_id"])
    kept = row.select("outcome", "version", "bundle", "role", "slice", "usual", "degrees", "guest", "comfortable")
    assert answer["outcome"] == "cold"
    assert kept.row(0) == ("cold", 1, model["bundle"], "champion", "a", 20.0, 5.0, "g", True)


def test_where_the_log_cannot_be_written_the_answer_is_given_and_the_loss_counted(registry, serve):
    registry.crown(registry.register())
    (registry.settings.home / "log").write_text("a file where a folder should be")
    lost = metric("headgate_log_lost_rows_total", domain="rooms")
    client = serve(registry.settings)
    until(lambda: client.get("/readyz").status_code == 200)
    answer = client.post(DECIDE, json=READING)
    assert answer.status_code == 200
    assert answer.json()["decision_id"]
    assert metric("headgate_log_lost_rows_total", domain="rooms") == lost + 1
    assert metric("headgate_log_failing", domain="rooms") == 1
    assert "headgate_log_failing" in client.get("/metrics").text


def test_what_nobody_could_decide_is_not_logged_since_it_is_sent_again(settings, serve):
    client = serve(settings, follow=False)
    assert client.post(DECIDE, json=READING).status_code == 503
    assert list(parts(settings, LOG)) == []
