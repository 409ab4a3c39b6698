"""Whatever is sent as a click, nothing fails and nothing hangs."""

import msgspec
import pytest
import schemathesis
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from headgate.domain import get_domain
from headgate.domains.adclicks.model.predictor import Predictor

from ....serving.asked import asking
from ....serving.documents import BEYOND_SCHEMAS, documented
from ....serving.fuzzed import ODD, SLOW, bodies, hold, mutants
from ....serving.real import real_app, settings
from ..tiny import make_bundle

ADCLICKS = get_domain("adclicks")
DECIDE = "/v1/adclicks/decisions"
CLICK = {
    "click_id": "c-1",
    "event_time": "2026-01-05T09:30:00+01:00",
    "user_id": "u-1",
    "session_id": "s-1",
    "ip": "192.0.2.1",
    "device": "mobile",
    "logged_in": True,
    "campaign": "spring",
    "rfm": 11,
    "received_at": "2026-01-05T08:30:01Z",
}
FREE = ("click_id", "user_id", "session_id", "ip", "campaign")


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Predictor(make_bundle(tmp_path_factory.mktemp("bundles"), "tiny"))


@pytest.fixture(scope="module")
def ask(predictor, tmp_path_factory):
    with real_app(settings(tmp_path_factory.mktemp("state")), ADCLICKS, predictor) as app, asking(app) as ask:
        yield ask


@pytest.mark.parametrize("body", ODD, ids=lambda body: repr(body[:20]))
def test_odd_texts_are_refused(ask, body):
    answer = ask("POST", DECIDE, body)
    hold(answer, body)
    assert answer[0] != 200


#: Bodies that are made of each one that hypothesis thinks of.
MUTANTS = 20


def decided_or_refused(ask, body, seed):
    for sent in mutants(body, seed, MUTANTS):
        answer = ask("POST", DECIDE, sent)
        hold(answer, sent)
        if answer[0] == 200:
            posted, decided = msgspec.json.decode(sent), msgspec.json.decode(answer[2])
            assert isinstance(posted, list) == isinstance(decided, list)
            assert not isinstance(posted, list) or len(posted) == len(decided)


@hypothesis_settings(max_examples=30, suppress_health_check=SLOW)
@given(body=bodies(CLICK, FREE), seed=st.integers(0, 2**32))
def test_any_body_is_decided_or_refused(ask, body, seed):
    decided_or_refused(ask, body, seed)


@pytest.mark.nightly
@hypothesis_settings(max_examples=100_000 // MUTANTS, suppress_health_check=SLOW)
@given(body=bodies(CLICK, FREE), seed=st.integers(0, 2**32))
def test_a_hundred_thousand_bodies_are_decided_or_refused(ask, body, seed):
    decided_or_refused(ask, body, seed)


@pytest.fixture(scope="module")
def document(predictor, tmp_path_factory):
    with documented(settings(tmp_path_factory.mktemp("state")), ADCLICKS, predictor) as document:
        yield document


schema = schemathesis.pytest.from_fixture("document").include(path_regex="^/v1/adclicks/")


@schema.parametrize()
@hypothesis_settings(max_examples=20, suppress_health_check=SLOW)
def test_the_document_keeps_its_word(case):
    case.call_and_validate(timeout=60, excluded_checks=BEYOND_SCHEMAS)
