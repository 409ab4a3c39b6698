"""The verdict: what its checks add up to, and that the same words survive every way they take."""

import json

import pytest

from headgate.contract.checks import Check, Verdict, join


def _check(outcome: str, consequence: str, sentence: str = "A sentence.") -> Check:
    return Check("model", "auc", outcome, consequence, "0.9", "> 0.8", sentence)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("checks", "ruling"),
    [
        ([], "passed"),
        ([("passed", "refuse")], "passed"),
        ([("not judged", "refuse")], "passed"),
        ([("failed", "note")], "passed"),
        ([("failed", "review")], "review"),
        ([("failed", "review"), ("failed", "refuse")], "refused"),
    ],
)
def test_the_gravest_failure_rules(checks: list[tuple[str, str]], ruling: str) -> None:
    assert Verdict(tuple(_check(*check) for check in checks)).ruling == ruling


def test_reasons_come_gravest_first_and_only_from_failures() -> None:
    verdict = join([_check("failed", "note", "n"), _check("passed", "refuse", "p")], [_check("failed", "refuse", "r")])
    assert verdict.reasons == ["r", "n"]


def test_a_verdict_survives_json() -> None:
    verdict = Verdict((_check("failed", "review", "a | b\nc"),))
    assert Verdict.from_dict(json.loads(json.dumps(verdict.to_dict()))) == verdict


def test_a_sentence_with_a_bar_does_not_break_the_table() -> None:
    row = Verdict((_check("failed", "refuse", "a | b\nc"),)).markdown("Title").splitlines()[-1]
    assert row.replace("\\|", "").count("|") == 6
