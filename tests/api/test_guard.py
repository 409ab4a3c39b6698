"""Who may ask what, how often, and under which id."""

import logging
import warnings
from dataclasses import replace

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from typer.testing import CliRunner

from headgate import telemetry
from headgate.access import rate, tokens
from headgate.access.tokens import Keys, refuse_open_doors
from headgate.api import guard
from headgate.api.endpoints import Endpoint, Operation
from headgate.api.guard import Guard, may_see_scores
from headgate.cli import app
from headgate.errors import UsageError

from ..rooms import DECIDE, READING, make_bundle
from ..serving import real
from ..serving.asked import asking
from ..serving.real import real_app
from ..toy import ROOMS, Rooms
from ..waiting import metric


@pytest.fixture
def token(settings):
    """Makes a token with the scopes that are named; the headers that show it."""

    def make(*scopes):
        return {"Authorization": f"Bearer {tokens.add(settings.tokens_file, '-'.join(scopes), scopes)}"}

    return make


@pytest.fixture
def door(settings, serve):
    """The app, not following a registry, with other settings where they are named."""
    return lambda **other: serve(replace(settings, **other), follow=False)


@pytest.fixture
def clock(monkeypatch):
    """A clock of the doors that the test moves."""
    now = [1000.0]
    monkeypatch.setattr(guard, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", DECIDE, "decide"),
        ("GET", "/v1/models", "read"),
        ("GET", "/metrics", "read"),
        ("HEAD", "/metrics", "read"),
        ("GET", "/docs", "read"),
        ("GET", "/openapi.json", "read"),
        ("GET", "/nothing/here", "read"),
        ("GET", DECIDE, "read"),
        ("POST", DECIDE + "%0A", "decide"),
    ],
)
def test_an_endpoint_opens_to_its_scope_alone(door, token, method, path, scope):
    right = token(scope)
    wrong = token(*(other for other in tokens.SCOPES if other != scope))
    client = door()
    refused = client.request(method, path)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="headgate"')
    assert refused.headers["content-type"] == "application/problem+json"
    assert client.request(method, path, headers=right).status_code not in (401, 403)
    refused = client.request(method, path, headers=wrong)
    assert refused.status_code == 403
    assert f'error="insufficient_scope", scope="{scope}"' in refused.headers["www-authenticate"]
    if method != "HEAD":
        assert f"`{scope}`" in refused.json()["detail"]
        assert refused.json()["type"] == "/docs#forbidden"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_need_no_token(door, token, path):
    token("read")
    assert door(rate=0.001).get(path).status_code in (200, 503)


@pytest.mark.parametrize(
    "shown", ["Bearer hg_wrong", "Bearer", "Bearer ", "", "Basic {}", "{}", "Bearer {}x", "Bearer \xff"]
)
def test_what_is_no_token_of_ours_is_refused(door, token, shown):
    right = token("read")["Authorization"].split()[1]
    header = shown.format(right).encode("latin-1")
    answer = door().get("/v1/models", headers={"Authorization": header})
    assert answer.status_code == 401
    assert right not in answer.text


def test_the_scheme_is_known_in_any_case(door, token):
    right = token("read")["Authorization"].split()[1]
    assert door().get("/v1/models", headers={"Authorization": f"bearer  {right}"}).status_code == 200


def test_without_a_token_file_the_loopback_is_open_and_nothing_else(door):
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        assert door(host=host).get("/docs").status_code == 200
        assert door(host=host).get("/metrics", headers={"Authorization": "Bearer hg_any"}).status_code == 200
    for host in ("0.0.0.0", "::", "", "192.0.2.1", "headgate.example"):
        assert door(host=host).get("/docs").status_code == 401


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_cannot_use_an_open_loopback(door, token, site):
    from_elsewhere = {"Sec-Fetch-Site": site}
    answer = door().post(DECIDE, content="{}", headers=from_elsewhere)
    assert (answer.status_code, answer.json()["type"]) == (403, "/docs#forbidden")
    assert "another site" in answer.json()["detail"]
    assert door().get("/docs", headers=from_elsewhere).status_code == 200  # a link that was followed
    for mine in ("same-origin", "none"):
        assert door().post(DECIDE, content="{}", headers={"Sec-Fetch-Site": mine}).status_code not in (401, 403)
    assert door().post(DECIDE, content="{}", headers=from_elsewhere | token("decide")).status_code not in (401, 403)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("sent", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}])
def test_no_way_to_change_things_is_open_to_another_site(door, method, sent):
    """Forms are sent without asking first (simple requests), so that a form of another site comes this far."""
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    for path in (DECIDE, "/v1/models", "/nowhere"):
        answer = door().request(method, path, content=b"--x--", headers=sent | form)
        assert (answer.status_code, answer.json()["type"]) == (403, "/docs#forbidden")


@pytest.mark.parametrize("origin", ["http://evil.example:8000", "https://127.0.0.1.evil.example", "null", "http://[::"])
def test_a_name_of_elsewhere_that_leads_here_opens_no_loopback(door, token, origin):
    """Browsers do not tell `Sec-Fetch-Site` to addresses without TLS, but what posts tells its origin."""
    answer = door().post(DECIDE, content="{}", headers={"Origin": origin})
    assert (answer.status_code, answer.json()["type"]) == (403, "/docs#forbidden")
    for mine in ("http://127.0.0.1:8000", "http://localhost:3000", "http://[::1]:8000"):
        assert door().post(DECIDE, content="{}", headers={"Origin": mine}).status_code not in (401, 403)
    assert door().post(DECIDE, content="{}", headers={"Origin": origin} | token("decide")).status_code not in (401, 403)


def test_of_two_tokens_none_is_taken(door, token):
    (right,) = token("read").values()
    for both in ((right, "Bearer hg_x"), ("Bearer hg_x", right), (right, right)):
        answer = door().get("/v1/models", headers=[("Authorization", one) for one in both])
        assert answer.status_code == 401


def test_with_a_token_the_loopback_is_shut_too_from_the_next_second_on(door, token, clock):
    client = door()
    assert client.get("/v1/models").status_code == 200
    right = token("read")
    clock[0] += tokens.LOOK_SECONDS
    assert client.get("/v1/models").status_code == 401
    assert client.get("/v1/models", headers=right).status_code == 200


def test_a_token_that_was_removed_opens_nothing_a_second_later(door, token, settings, clock):
    first, second = token("read"), token("read", "decide")
    client = door()
    assert client.get("/v1/models", headers=first).status_code == 200
    tokens.remove(settings.tokens_file, "read")
    clock[0] += tokens.LOOK_SECONDS
    refused = client.get("/v1/models", headers=first)
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert client.get("/v1/models", headers=second).status_code == 200


def test_when_the_last_token_is_removed_nobody_comes_in(door, token, settings, clock):
    first = token("read")
    client = door()
    tokens.remove(settings.tokens_file, "read")
    clock[0] += tokens.LOOK_SECONDS
    assert client.get("/v1/models", headers=first).status_code == 401
    assert client.get("/v1/models").status_code == 401


def test_who_mistypes_a_path_is_told_to_look_at_it(door, token):
    refused = door().get("/v1/rooms/decision", headers=token("decide"))
    assert refused.status_code == 403
    assert "check method and path" in refused.json()["detail"]


def test_a_broken_token_file_shuts_nobody_out_and_lets_nobody_in(door, token, settings, clock, caplog):
    right = token("read")
    client = door()
    settings.tokens_file.write_text("[{]")
    clock[0] += tokens.LOOK_SECONDS
    assert client.get("/v1/models", headers=right).status_code == 200
    assert client.get("/v1/models").status_code == 401
    assert sum("holds no tokens" in record.message for record in caplog.records) == 1


def test_serving_others_without_a_token_is_refused_with_what_to_run(settings):
    ran = CliRunner().invoke(app, ["serve", "adclicks", "--host", "0.0.0.0"])
    assert isinstance(ran.exception, UsageError)
    assert "headgate token add NAME --scope decide" in str(ran.exception)
    with pytest.raises(UsageError):
        refuse_open_doors(replace(settings, host="0.0.0.0"))
    refuse_open_doors(settings)
    tokens.add(settings.tokens_file, "one", ["decide"])
    refuse_open_doors(replace(settings, host="0.0.0.0"))


def test_a_refused_request_reads_no_body_and_counts_under_its_path(door, token):
    token("read")
    before = metric("headgate_request_seconds_count", path=DECIDE, status="401")
    assert door().post(DECIDE, content=b" " * 2_000_000).status_code == 401
    assert metric("headgate_request_seconds_count", path=DECIDE, status="401") == before + 1


def test_a_caller_may_send_two_seconds_worth_at_once_and_then_waits(door, token, clock):
    one, other = token("read"), token("read", "decide")
    client = door(rate=5.0)

    def statuses(n, headers):
        return [client.get("/v1/models", headers=headers).status_code for _ in range(n)]

    assert statuses(10, one) == [200] * 10
    refused = client.get("/v1/models", headers=one)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert refused.json()["type"] == "/docs#too-many"
    assert statuses(1, other) == [200], "each caller has its own"
    clock[0] += 0.4
    assert statuses(3, one) == [200, 200, 429]
    clock[0] += 3600
    assert statuses(11, one) == [200] * 10 + [429], "what was not used does not pile up"


def test_a_slow_rate_still_lets_a_first_request_through(door, token, clock):
    shown = token("read")
    client = door(rate=0.1)
    answers = [client.get("/v1/models", headers=shown) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].headers["retry-after"] == "10"


def test_guessing_tokens_is_limited_by_address(door, token, clock):
    right = token("read")
    client = door(rate=1.0)
    guesses = [client.get("/v1/models", headers={"Authorization": f"Bearer hg_{n}"}).status_code for n in range(3)]
    assert guesses == [401, 401, 429]
    assert client.get("/v1/models", headers=right).status_code == 200


def test_where_tokens_are_off_the_rate_is_of_an_address(door, clock):
    client = door(rate=1.0)
    assert [client.get("/v1/models").status_code for _ in range(3)] == [200, 200, 429]
    # Who it says it comes from is not believed, nor is a token that nobody asked for.
    for said in ({"X-Forwarded-For": "192.0.2.7"}, {"Authorization": "Bearer hg_other"}):
        assert client.get("/v1/models", headers=said).status_code == 429


def test_addresses_are_forgotten_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(rate, "MAX_CALLERS", 100)
    limit = rate.Rate(1.0)
    for n in range(1000):
        assert limit.wait(f"{n}", 0.0) == 0
    assert len(limit._full_at) == 100
    assert limit.wait("a", 9.0) == 0
    assert len(limit._full_at) == 1, "a full bucket is not kept"


def test_an_ipv6_client_is_its_network():
    assert rate.neighbourhood("2001:db8::1") == rate.neighbourhood("2001:db8::ffff:2")
    assert rate.neighbourhood("2001:db8::1") != rate.neighbourhood("2001:db8:0:1::1")
    assert rate.neighbourhood("fe80::1%eth0") == rate.neighbourhood("fe80::2%eth0")
    assert rate.neighbourhood("192.0.2.1") == "192.0.2.1"


def test_every_answer_has_an_id_of_its_own_or_the_one_that_was_sent(door, token):
    right = token("read")
    client = door()
    made = [client.get("/healthz").headers["x-request-id"] for _ in range(3)]
    assert len(set(made)) == 3
    for path, headers in (("/healthz", {}), ("/v1/models", {}), ("/v1/models", right), ("/nowhere", right)):
        answer = client.get(path, headers=headers | {"X-Request-Id": "order-17:a"})
        assert answer.headers["x-request-id"] == "order-17:a"
    for strange in ("", "a b", "x" * 129, "ü", "<script>"):
        answer = client.get("/healthz", headers={"X-Request-Id": strange.encode("latin-1")})
        assert answer.headers["x-request-id"] not in (strange, "")


def test_a_fault_is_logged_under_the_id_in_its_answer(door, monkeypatch, caplog):
    def fail():
        raise RuntimeError("inside")

    monkeypatch.setattr("headgate.serving.metrics.text", fail)
    lines, handler = [], telemetry.handler("json")
    monkeypatch.setattr(handler, "emit", lambda record: lines.append(handler.format(record)))
    problems = logging.getLogger("headgate.api.problems")
    problems.addHandler(handler)
    try:
        answer = door().get("/metrics", headers={"X-Request-Id": "f-1"})
    finally:
        problems.removeHandler(handler)
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "f-1")
    assert any('"request_id": "f-1"' in line and "/metrics" in line for line in lines)


@pytest.mark.parametrize(
    ("scopes", "seen"), [(["decide"], False), (["decide", "read"], False), (["decide", "operate"], True), (None, False)]
)
def test_only_operators_see_scores(tmp_path, scopes, seen):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette would like another client than the one that is installed
        from starlette.testclient import TestClient

    async def scored(request):
        return PlainTextResponse(str(may_see_scores(request)))

    file = tmp_path / "tokens.json"
    headers = {"Authorization": f"Bearer {tokens.add(file, 'a', scopes)}"} if scopes else {}
    endpoint = Endpoint("POST", "/scored", scored, Operation("", "", None))
    guarded = Middleware(Guard, [endpoint], Keys(file), required=False, rate=None)
    assert TestClient(Starlette(routes=[endpoint], middleware=[guarded])).post("/scored", headers=headers).text == str(
        seen
    )
    assert TestClient(Starlette(routes=[endpoint])).post("/scored").text == "False", "nor where there are no doors"


def test_the_document_and_the_page_name_the_scope(door):
    client = door()
    paths = client.get("/openapi.json").json()["paths"]
    assert paths[DECIDE]["post"]["security"] == [{"token": ["decide"]}]
    assert paths["/metrics"]["get"]["security"] == [{"token": ["read"]}]
    assert paths["/healthz"]["get"]["security"] == []
    page = client.get("/docs").text
    assert "Authorization: Bearer $HEADGATE_TOKEN" in page
    for kind in ("unauthenticated", "forbidden", "too-many", "too-slow"):
        assert f'id="{kind}"' in page


def test_a_reading_is_decided_for_a_token_and_for_nobody_else(tmp_path):
    here, body = real.settings(tmp_path / "state"), msgspec.json.encode(READING)
    predictor = Rooms(make_bundle(tmp_path, "tiny"))
    with real_app(here, ROOMS, predictor) as app, asking(app) as ask:
        assert ask("POST", DECIDE, body)[0] == 200
    shown = f"Bearer {tokens.add(here.tokens_file, 'shop', ['decide'])}"
    with real_app(here, ROOMS, predictor) as app, asking(app) as ask:
        assert ask("POST", DECIDE, body)[0] == 401
        status, _, said = ask("POST", DECIDE, body, authorization=shown)
        assert status == 200
        assert msgspec.json.decode(said).get("score") is None
