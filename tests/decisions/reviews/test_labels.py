"""Labels as of an instant: what was known then, for ever."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
import polars as pl

from headgate.decisions.reviews.answers import appeal, undo
from headgate.decisions.reviews.cases import open_case
from headgate.decisions.reviews.labels import columns, labels, own_columns
from headgate.settings import Settings

from ...toy_reviews import RULED, room_case, ruled
from .conftest import ANN, BEN, SUE, Clock, rules

TWICE = ruled(second_share=1.0)


def at(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock.at, UTC)


def test_a_label_tells_what_was_ruled_by_whom_and_with_which_chance(here: Settings, clock: Clock) -> None:
    open_case(here, RULED, room_case("d-1", subjects=["store/1", "store/2"], kind="cold room", propensity=0.25))
    clock.passes(30)
    rules(here, ANN, "cold", labels={"cause": "window"})
    found = labels(here, RULED, at(clock))
    assert found.schema == pl.Schema(columns(RULED))
    assert found.row(0, named=True) == {
        "decision_id": "d-1",
        "case": "d-1",
        "subjects": ["store/1", "store/2"],
        "kind": "cold room",
        "outcome": "cold",
        "reading": "first",
        "final": True,
        "source": "queue",
        "propensity": 0.25,
        "second_share": 0.0,
        "who": "ann",
        "role": "rooms.caretaker",
        "opened_at": datetime.fromtimestamp(clock.at - 30, UTC),
        "ruled_at": at(clock),
        "seconds": 0.0,
        "label_cause": "window",
        "label_seen": False,
    }


def test_nothing_comes_from_after_the_instant_and_what_was_undone_later_still_counts(
    here: Settings, clock: Clock
) -> None:
    open_case(here, RULED, room_case("d-1"))
    before = at(clock)
    clock.passes(10)
    made = rules(here, ANN, "cold")
    between = at(clock)
    clock.passes(10)
    undo(here, RULED, ANN, made.seq)
    after = at(clock)
    clock.passes(10)
    rules(here, ANN, "hot", client="again")
    told = [labels(here, RULED, when)["outcome"].to_list() for when in (before, between, after, at(clock))]
    assert told == [[], ["cold"], [], ["hot"]]


def test_of_several_readings_the_one_that_holds_is_final(here: Settings, clock: Clock) -> None:
    open_case(here, TWICE, room_case("d-1"))
    rules(here, ANN, "cold", domain=TWICE)
    clock.passes(61)
    rules(here, BEN, "hot", domain=TWICE)
    disagreed = at(clock)
    clock.passes(61)
    rules(here, SUE, "hot", domain=TWICE)
    decided = at(clock)
    clock.passes(61)
    appeal(here, TWICE, "guest", "d-1", "", "a")

    def final(when: datetime) -> list[tuple[str, bool]]:
        return labels(here, TWICE, when).select("reading", "final").rows()

    assert final(disagreed) == [("first", True), ("second", False)]
    assert final(decided) == [("first", False), ("second", False), ("third", True)]
    assert final(at(clock)) == final(decided)


class Wide(msgspec.Struct):
    kind: Literal["tear", "hole"] | None = None
    severity: int = 0
    sure: Annotated[float, msgspec.Meta(ge=0)] | None = None
    boxes: list[list[float]] = []
    either: int | str = 0


def test_labels_of_any_shape_have_a_column(here: Settings, clock: Clock) -> None:
    wide = ruled(labels=Wide)
    dtypes = {"kind": pl.String(), "severity": pl.Int64(), "sure": pl.Float64(), "boxes": pl.String()}
    assert own_columns(wide) == dtypes | {"either": pl.String()}
    open_case(here, wide, room_case("d-1"))
    rules(here, ANN, "cold", domain=wide, labels={"kind": "tear", "boxes": [[0, 1, 2, 3]], "sure": 0.5})
    told = labels(here, wide, at(clock)).select("label_kind", "label_severity", "label_sure", "label_boxes").row(0)
    assert told == ("tear", 0, 0.5, "[[0.0, 1.0, 2.0, 3.0]]")
