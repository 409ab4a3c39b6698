"""Whatever is asked of a forecast, nothing fails and nothing hangs."""

from urllib.parse import urlencode

import pytest
import schemathesis
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from headgate.domain import get_domain

from ....serving.asked import asking
from ....serving.documents import BEYOND_SCHEMAS, documented
from ....serving.fuzzed import SLOW, bodies, hold, mutants
from ....serving.real import real_app, settings

CAPACITY = get_domain("capacity")

HOME = "eu-central/home/requests"
DAY = {"series": HOME, "from": "2026-02-21T00:00:00Z", "to": "2026-02-21T06:00:00Z"}
CAME = DAY | {"step": "15min", "values": [1210, 1190.5, None]}
ASKED = {
    "forecast": DAY | {"step": "1h", "quantiles": "0.1,0.5", "peak": "true", "format": "json"},
    "explain": DAY | {"step": "1h"},
    "whatif": DAY | {"event": "flash-2026-02-2", "event_start": "2026-02-21", "event_end": "2026-02-22"},
}
TIMES = [
    "0001-01-01",
    "9999-12-31T23:59:59-14:00",
    "2026-02-21T06:00:00+23:59",
    "2026-W08",
    "20260221T06",
    "1970-01-01",
]
ODD = [
    *TIMES,
    "",
    "*",
    "*/*/*",
    "//",
    "eu-central/home",
    "nan",
    "inf",
    "-1",
    "1e999",
    "0.5," * 40,
    "1e-320",
    "٣",
    "\x00",
]
MUTANTS = 10


@pytest.fixture(scope="module")
def ask(forecaster, tmp_path_factory):
    here = settings(tmp_path_factory.mktemp("state"))
    with real_app(here, CAPACITY, forecaster) as app, asking(app) as ask:
        yield ask


def answered(ask, name, query):
    text = urlencode(query, doseq=True)
    answer = ask("GET", f"/v1/capacity/{name}", query=text)
    hold(answer, text.encode())
    return answer[0]


@pytest.mark.parametrize("name", ASKED)
def test_odd_values_are_answered_or_refused(ask, name):
    assert answered(ask, name, ASKED[name]) == 200
    for field in ASKED[name] | {"intensity": "2"}:
        for value in ODD:
            answered(ask, name, ASKED[name] | {field: value})


_QUERIES = st.sampled_from(list(ASKED)).flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.dictionaries(
            st.one_of(st.sampled_from([*ASKED[name], "intensity"]), st.text(max_size=8)),
            st.one_of(st.sampled_from(ODD), st.text(max_size=50), st.lists(st.text(max_size=5), max_size=3)),
            max_size=3,
        ),
    )
)


@hypothesis_settings(max_examples=100, suppress_health_check=SLOW)
@given(asked=_QUERIES)
def test_any_query_is_answered_or_refused(ask, asked):
    name, changed = asked
    answered(ask, name, ASKED[name] | changed)


def tracked(ask, body, seed):
    for sent in mutants(body, seed, MUTANTS):
        hold(ask("POST", "/v1/capacity/track", sent), sent)


@hypothesis_settings(max_examples=30, suppress_health_check=SLOW)
@given(body=bodies(CAME, ("series",)), seed=st.integers(0, 2**32))
def test_any_track_is_answered_or_refused(ask, body, seed):
    tracked(ask, body, seed)


@pytest.fixture(scope="module")
def document(forecaster, tmp_path_factory):
    with documented(settings(tmp_path_factory.mktemp("state")), CAPACITY, forecaster) as document:
        yield document


schema = schemathesis.pytest.from_fixture("document")


@schema.include(path_regex="/capacity/").parametrize()
@hypothesis_settings(max_examples=20, suppress_health_check=SLOW)
def test_the_document_keeps_its_word(case):
    case.call_and_validate(timeout=60, excluded_checks=BEYOND_SCHEMAS)
