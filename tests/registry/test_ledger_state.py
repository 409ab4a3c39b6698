"""What a history adds up to: who decides, where one goes back to, what may serve and what is held."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headgate.registry.ledger import Entry
from headgate.registry.ledger_state import LedgerState, is_rollback, state_of

NOON = datetime(2026, 1, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
BUNDLES = ("a" * 64, "b" * 64)


def entry(what: str, version: int | None = None, *, bundle: str = "", ruling: str = "", **details: object) -> Entry:
    return Entry("rooms", what, "me", to_version=version, bundle=bundle, ruling=ruling, details=details)  # type: ignore[arg-type]


def window(starts: datetime | None, ends: datetime | None) -> Entry:
    told = {"starts": starts, "ends": ends}
    return entry("hold", **{name: at.isoformat() for name, at in told.items() if at})


VERSIONS = st.integers(1, 6)
CHANGES = st.builds(entry, st.just("changed"), VERSIONS)
INTENTS = st.builds(entry, st.just("intent"), VERSIONS)
VERDICTS = st.builds(
    lambda version, bundle, ruling: entry("verdict", version, bundle=bundle, ruling=ruling),
    st.integers(1, 2),
    st.sampled_from(BUNDLES),
    st.sampled_from(["passed", "review", "refused"]),
)
OVERRIDES = st.builds(
    lambda v, b: entry("override", v, bundle=b, ruling="refused"), st.integers(1, 2), st.sampled_from(BUNDLES)
)
HOURS = st.none() | st.integers(-5, 5).map(lambda n: NOON + n * HOUR)
HOLDS = st.builds(window, HOURS, HOURS)
OTHERS = st.sampled_from([entry(what) for what in ("released", "undone", "refused", "alert", "challenger", "replayed")])
HISTORIES = st.lists(CHANGES | INTENTS | VERDICTS | OVERRIDES | HOLDS | OTHERS, max_size=25)


@given(HISTORIES)
def test_the_champion_is_the_last_that_was_changed_to(history: list[Entry]) -> None:
    changed = [one.to_version for one in history if one.what == "changed"]
    assert state_of(history).champion == (changed[-1] if changed else None)


@given(HISTORIES)
def test_one_never_goes_back_to_what_was_rolled_back_from(history: list[Entry]) -> None:
    """A version was rolled back from if an older one took its place and it did not become champion again since."""
    champion, bad, was = 0, set(), set()
    for number, one in enumerate(history):
        if one.what == "changed":
            version = one.to_version or 0
            if version < champion:
                bad.add(champion)
            bad.discard(version)
            was.add(champion := version)
        now = state_of(history[: number + 1])
        assert not bad & set(now.line)
        assert now.previous is None or now.previous in was - {champion}
        assert list(now.line) == sorted(set(now.line))


@given(st.lists(CHANGES, min_size=1, max_size=12))
def test_going_back_and_back_again_ends_at_the_oldest(history: list[Entry]) -> None:
    """Each rollback goes further back; they never go round in circles."""
    seen = []
    while (now := state_of(history)).previous is not None:
        seen.append(now.champion)
        assert is_rollback(now.line, now.previous)
        history = [*history, entry("changed", now.previous)]
    assert len(seen) == len(set(seen)) < 6


REFUSED = entry("verdict", 1, bundle=BUNDLES[0], ruling="refused")
OVERRIDDEN = entry("override", 1, bundle=BUNDLES[0])


@example([REFUSED, OVERRIDDEN, REFUSED], 1, BUNDLES[0])
@example([OVERRIDDEN, entry("verdict", 1, bundle=BUNDLES[1], ruling="refused")], 1, BUNDLES[0])
@given(st.lists(VERDICTS | OVERRIDES, max_size=25), st.integers(1, 3), st.sampled_from([*BUNDLES, ""]))
def test_a_version_may_serve_by_the_newest_ruling_on_exactly_its_bundle(
    history: list[Entry], version: int, bundle: str
) -> None:
    """An override outlives a later verdict on the same bundle, not one on another."""
    judged, ruling = "", ""
    for one in history:
        if one.to_version == version and one.what == "override":
            judged, ruling = one.bundle, "override"
        elif one.to_version == version and one.what == "verdict" and (judged, ruling) != (one.bundle, "override"):
            judged, ruling = one.bundle, one.ruling
    allowed = ruling in ("passed", "review", "override") and judged == bundle != ""
    assert state_of(history).may_serve(version, bundle) == allowed


@given(st.lists(HOLDS | st.just(entry("released")) | CHANGES, max_size=8), st.integers(-6, 6))
def test_holds_and_freezes_keep_promotion_off_until_they_end_or_a_release(history: list[Entry], hours: int) -> None:
    at, holds = NOON + hours * HOUR, []
    for one in history:
        holds = [*holds, one] if one.what == "hold" else [] if one.what == "released" else holds
    in_force = [
        one
        for one in holds
        if datetime.fromisoformat(one.details.get("starts", "1970-01-01T00:00+00:00")) <= at
        and at < datetime.fromisoformat(one.details.get("ends", "9999-01-01T00:00+00:00"))
    ]
    assert state_of(history).held(at) == (in_force[0] if in_force else None)


@given(HISTORIES)
def test_an_intent_is_open_until_it_is_made_or_given_up(history: list[Entry]) -> None:
    ends = [n for n, one in enumerate(history) if one.what in ("changed", "undone")]
    after = [one for one in history[ends[-1] + 1 if ends else 0 :] if one.what == "intent"]
    assert state_of(history).intent == (after[-1] if after else None)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ([1, 2, 3], (1, 2, 3)),
        ([1, 2, 3, 2], (1, 2)),
        ([1, 2, 3, 2, 1], (1,)),
        ([1, 2, 3, 2, 4], (1, 2, 4)),
        ([1, 2, 4, 3], (1, 2, 3)),  # to one that never decided
        ([1, 3, 2, 3], (1, 2, 3)),  # a person takes the rollback back
        ([1, 2, 2], (1, 2)),
    ],
)
def test_the_line_to_go_back_through(changes: list[int], line: tuple[int, ...]) -> None:
    assert state_of([entry("changed", version) for version in changes]).line == line


def test_nothing_has_happened_yet() -> None:
    assert state_of([]) == LedgerState((), {}, (), None)
    assert state_of([]).champion is state_of([]).previous is state_of([]).held() is None
    assert not state_of([]).may_serve(1, "")
    assert not is_rollback((), 1)
