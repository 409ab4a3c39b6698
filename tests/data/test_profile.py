"""Expectations over a profile: what fails is named, what cannot be answered is not judged."""

import polars as pl
import pytest

from headgate.contract.expectations import Expectation
from headgate.data.profile import check_profile

HOURS = pl.DataFrame({"key": ["Mon 01:00", "Mon 02:00", "Mon 03:00"], "p": [0.4, 1e-9, 0.2], "labels": [4, 0, 7]})


def _expect(**changes: object) -> Expectation:
    values = {
        "name": "density",
        "table": "hours",
        "column": "p",
        "explain": lambda row: f"{row['key']} has {row['labels']}",
        "remedy": "Look there.",
        "low": 1e-6,
    }
    return Expectation(**(values | changes))  # type: ignore[arg-type]


def test_a_failure_names_the_row_and_the_remedy() -> None:
    (check,) = check_profile({"hours": HOURS}, [_expect()])
    assert check.outcome == "failed"
    assert check.sentence == "Density: Mon 02:00 has 0. Look there."


def test_what_is_in_range_passes() -> None:
    (check,) = check_profile({"hours": HOURS}, [_expect(low=0.0)])
    assert check.outcome == "passed"


def test_what_the_data_cannot_answer_is_not_judged_and_says_why() -> None:
    table = pl.DataFrame({"key": ["–"], "p": pl.Series([None], dtype=pl.Float64), "why": ["Four minutes are no week."]})
    (check,) = check_profile({"hours": table}, [_expect()])
    assert (check.outcome, check.sentence) == ("not judged", "Four minutes are no week.")


@pytest.mark.parametrize(("high", "outcome"), [(7, "passed"), (6.5, "failed")])
def test_the_ends_of_a_range_belong_to_it(high: float, outcome: str) -> None:
    (check,) = check_profile({"hours": HOURS}, [_expect(column="labels", low=None, high=high)])
    assert check.outcome == outcome


def test_many_failures_are_named_up_to_a_limit_and_then_counted() -> None:
    table = pl.DataFrame({"key": [f"h{i}" for i in range(20)], "p": [0.0] * 20, "labels": [0] * 20})
    (check,) = check_profile({"hours": table}, [_expect()])
    assert "h5" in check.sentence
    assert "h6 " not in check.sentence
    assert "14 more" in check.sentence


def test_a_note_does_not_refuse() -> None:
    (check,) = check_profile({"hours": HOURS}, [_expect(consequence="note")])
    assert (check.outcome, check.consequence) == ("failed", "note")


def test_two_tables_are_judged_apart() -> None:
    profile = {"hours": HOURS, "feed": pl.DataFrame({"key": ["feed"], "share": [0.5]})}
    share = _expect(name="share", table="feed", column="share", explain=lambda row: "half", low=None, high=0.1)
    assert [check.outcome for check in check_profile(profile, [_expect(low=0.0), share])] == ["passed", "failed"]
