import subprocess
import sys
import threading

import msgspec
import pytest
from jsonschema import Draft202012Validator

from ..rooms import DECIDE, READING
from ..waiting import metric, until


def test_a_new_champion_answers_without_a_restart_and_no_request_fails(registry, client):
    second = registry.register(usual=10.0)
    statuses = set()

    def decided_by_the_second():
        answer = client.post(DECIDE, json=READING)
        statuses.add(answer.status_code)
        return answer.json()["outcome"] == "hot"

    assert not decided_by_the_second()
    swaps = metric("headgate_swaps_total", domain="rooms")
    registry.crown(second)
    until(decided_by_the_second)
    assert statuses == {200}
    assert metric("headgate_swaps_total", domain="rooms") == swaps + 1
    assert metric("headgate_champion_version", domain="rooms") == second


def test_the_first_request_is_answered_by_the_champion(registry, serve):
    """A worker that takes the place of a dead one must not answer 503 beside those that decide."""
    registry.crown(registry.register())
    assert serve(registry.settings).post(DECIDE, json=READING).status_code == 200


def test_a_registry_that_hangs_is_not_waited_for_until_it_answers(registry, serve, monkeypatch):
    hangs = threading.Event()
    monkeypatch.setattr("headgate.serving.follower.FIRST", 0.01)
    monkeypatch.setattr("headgate.serving.follower._connect", lambda settings: hangs.wait(60))
    client = serve(registry.settings)
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503
    hangs.set()


def test_models_tell_what_is_loaded(registry, client):
    (model,) = client.get("/v1/models").json()
    assert (model["domain"], model["version"], model["problem"]) == ("rooms", 1, None)
    assert model["bundle"] == registry.client.get_model_version("rooms", "1").tags["headgate.bundle"]
    registry.uncrown()
    until(lambda: client.get("/v1/models").json()[0]["problem"])
    assert client.get("/readyz").status_code == 200, "what is loaded goes on deciding"
    assert metric("headgate_problem", domain="rooms") == 1


def test_before_the_first_champion_it_is_healthy_but_not_ready(settings, serve):
    client = serve(settings)
    until(lambda: "retrain" in client.get("/readyz").json()["detail"])
    answer = client.get("/readyz")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "rooms" in answer.json()["detail"]
    assert client.get("/healthz").json() == {"status": "ok"}
    refused = client.post(DECIDE, json=READING)
    assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
    assert "retry-after" in refused.headers


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/v1/room/decisions", 404, None),
        ("POST", "/v1/rooms/decisions/", 404, None),
        ("GET", DECIDE, 405, "POST"),
    ],
)
def test_what_the_router_refuses_is_a_problem_too(settings, serve, method, path, status, allow):
    answer = serve(settings, follow=False).request(method, path)
    assert (answer.status_code, answer.headers.get("allow")) == (status, allow)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert path in answer.json()["detail"]


def test_a_fault_is_counted_and_tells_nothing_about_the_inside(settings, serve, monkeypatch):
    def fail():
        raise RuntimeError("secret")

    monkeypatch.setattr("headgate.serving.metrics.generate_latest", fail)
    before = metric("headgate_request_seconds_count", path="/metrics", status="500")
    answer = serve(settings, follow=False).get("/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text
    assert metric("headgate_request_seconds_count", path="/metrics", status="500") == before + 1


def test_metrics_time_requests_by_their_path(client):
    client.post(DECIDE, json=READING)
    text = client.get("/metrics").text
    assert 'headgate_request_seconds_count{path="/v1/rooms/decisions",status="200"}' in text
    unknown = metric("headgate_request_seconds_count", path="unknown", status="404")
    client.get("/nowhere/1")
    assert metric("headgate_request_seconds_count", path="unknown", status="404") == unknown + 1


def test_openapi_describes_what_is_taken_and_answered(client):
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")

    def check(schema, value):
        Draft202012Validator.check_schema(schema)
        Draft202012Validator(schema | {"components": document["components"]}).validate(value)

    decisions = document["paths"][DECIDE]["post"]
    body = decisions["requestBody"]["content"]["application/json"]
    answer = client.post(DECIDE, json=READING)
    check(body["schema"], READING)
    check(decisions["responses"]["200"]["content"]["application/json"]["schema"], answer.json())
    for path in ("/v1/models", "/healthz", "/readyz"):
        described = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
        check(described["schema"], client.get(path).json())
    assert msgspec.json.encode(document).count(b'"$ref"') > 5


def test_the_docs_page_stands_alone_and_shows_what_is_loaded(client):
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "curl -s http://testserver/v1/rooms/decisions" in page.text
    assert client.get("/v1/models").json()[0]["bundle"][:12] in page.text
    assert "<script" not in page.text
    assert 'src="' not in page.text
    assert 'href="http' not in page.text
    kind = client.post(DECIDE, content=b"{").json()["type"]
    assert f'id="{kind.removeprefix("/docs#")}"' in page.text, "a problem's type leads to its explanation"


def test_the_docs_page_escapes_the_address_it_was_asked_by(settings, serve):
    page = serve(settings, follow=False).get("/docs", headers={"host": "<b>x</b>"})
    assert "<b>x" not in page.text


def test_what_serving_starts_imports_nothing_from_the_folder_that_it_is_started_in(tmp_path):
    (tmp_path / "colorsys.py").write_text("raise SystemExit('imported')")
    code = (
        "import subprocess, sys, uvicorn;"
        "uvicorn.run = lambda *_, **__: subprocess.run([sys.executable, '-m', 'colorsys'], check=True);"
        "from headgate.serving.process import run;"
        "run(['rooms'], '127.0.0.1', 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)


def test_starting_to_serve_imports_nothing_heavy():
    code = (
        "import sys, headgate.serving.app;"
        "print([m for m in ('torch', 'lightning', 'mlflow', 'sklearn', 'pandas', 'great_expectations') "
        "if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
