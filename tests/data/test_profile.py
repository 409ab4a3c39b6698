"""Expectations over a profile: what fails is named, what cannot be answered is not judged."""

from dataclasses import replace

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


FILES = pl.DataFrame({"key": ["a.png", "b.bmp", "c.png"], "kind": ["png", "bmp", "png"], "tongue": ["de", "de", None]})


def test_a_text_outside_its_set_is_named() -> None:
    kind = _expect(name="kinds", table="files", column="kind", explain=lambda row: f"{row['key']} is {row['kind']}")
    (check,) = check_profile({"files": FILES}, [replace(kind, low=None, within=("png", "jpeg"))])
    assert (check.outcome, check.measured, check.demanded) == ("failed", "bmp", "one of png, jpeg")
    assert check.sentence == "Kinds: b.bmp is bmp. Look there."
    (check,) = check_profile({"files": FILES}, [replace(kind, low=None, within=("png", "bmp"))])
    assert (check.outcome, check.measured) == ("passed", "3 texts")


def test_a_text_that_looks_otherwise_is_named_and_a_missing_one_is_not_judged() -> None:
    tongue = _expect(
        name="tongues", table="files", column="tongue", explain=lambda row: f"{row['key']}: {row['tongue']}"
    )
    (check,) = check_profile({"files": FILES}, [replace(tongue, low=None, matches="^[a-z]{2}$")])
    assert (check.outcome, check.measured, check.demanded) == ("passed", "2 texts", "like ^[a-z]{2}$")
    (check,) = check_profile({"files": FILES}, [replace(tongue, low=None, matches="^e")])
    assert check.sentence == "Tongues: a.png: de; b.bmp: de. Look there."


def test_numbers_and_texts_of_one_table_are_judged_side_by_side() -> None:
    table = FILES.with_columns(bytes=pl.Series([10, 20, 0]))
    size = _expect(name="sizes", table="files", column="bytes", low=1, explain=lambda row: f"{row['key']} is empty")
    kind = replace(size, name="kinds", column="kind", low=None, within=("png",), explain=lambda row: row["kind"])
    checks = check_profile({"files": table}, [size, kind])
    assert [check.sentence for check in checks] == ["Sizes: c.png is empty. Look there.", "Kinds: bmp. Look there."]


@pytest.mark.parametrize(
    "changes", [{"low": None}, {"within": ("a",)}, {"low": None, "within": ("a",), "matches": "a"}]
)
def test_an_expectation_of_nothing_or_of_two_things_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="one of them alone"):
        _expect(**changes)
