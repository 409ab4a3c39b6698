"""Whatever is sent, nothing fails and nothing hangs."""

import asyncio

import msgspec
import pytest
import schemathesis
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from headgate.api.endpoints import read
from headgate.api.problems import Problem

from ..rooms import DECIDE, READING, make_bundle
from ..toy import ROOMS, Rooms
from .asked import asking
from .documents import BEYOND_SCHEMAS, documented
from .fuzzed import ODD, SLOW, bodies, hold, mutants
from .real import real_app, settings


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Rooms(make_bundle(tmp_path_factory.mktemp("bundles"), "tiny"))


@pytest.fixture(scope="module")
def ask(predictor, tmp_path_factory):
    with real_app(settings(tmp_path_factory.mktemp("state")), ROOMS, predictor) as app, asking(app) as ask:
        yield ask


@pytest.mark.parametrize("body", ODD, ids=lambda body: repr(body[:20]))
def test_odd_texts_are_refused(ask, body):
    answer = ask("POST", DECIDE, body)
    hold(answer, body)
    assert answer[0] != 200


@hypothesis_settings(max_examples=20, suppress_health_check=SLOW)
@given(body=bodies(READING | {"comfortable": True}, ("room", "guest")), seed=st.integers(0, 2**32))
def test_any_body_is_decided_or_refused(ask, body, seed):
    for sent in mutants(body, seed, 5):
        hold(ask("POST", DECIDE, sent), sent)


def test_a_type_without_bounds_is_no_way_into_a_deep_recursion():
    class Sent:
        async def receive(self):
            return {"type": "http.request", "body": b"[" * 100_000}

    with pytest.raises(Problem) as refused:
        asyncio.run(read(Sent(), msgspec.json.Decoder()))
    assert refused.value.details.status == 400


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/metrics", "/v1/models", "/nowhere", "/"])
@pytest.mark.parametrize("host", ["", "[", "[::1", "a b", "\xff", "x:99999999", "'\"><", "a@b:c"])
def test_any_host_is_answered(ask, path, host):
    status, _, _ = ask("GET", path, host=host)
    assert status in (200, 404)


@pytest.fixture(scope="module")
def document(predictor, tmp_path_factory):
    with documented(settings(tmp_path_factory.mktemp("state")), ROOMS, predictor) as document:
        yield document


schema = schemathesis.pytest.from_fixture("document")


@schema.parametrize()
@hypothesis_settings(max_examples=20, suppress_health_check=SLOW)
def test_the_document_keeps_its_word(case):
    case.call_and_validate(timeout=60, excluded_checks=BEYOND_SCHEMAS)
