"""What a plan says has changed since the last one."""

from datetime import date

import msgspec

from headgate.domains.capacity.orders.plans import changes

from .worlds import fleet, needs, planned


def test_the_same_plan_again_has_no_changes() -> None:
    plan = planned(fleet())
    assert changes(plan, plan) == []
    assert changes(plan, None) == []


def test_twice_the_load_is_more_instances_somewhere_and_another_cost() -> None:
    told = fleet()
    small, large = (planned(told, need=needs(2, 3) * factor) for factor in (1.0, 2.0))
    cost, *moved = changes(large, small)
    was, now = (sum(one.cost.by_week) for one in (small, large))
    assert cost == (
        "In the weeks of 2026-03-02 to 2026-03-16, which both have, the cost goes "
        f"from {was:,.0f} USD to {now:,.0f} USD, what is missing apart."
    )
    assert moved
    assert any(words.startswith("+") and " in eu" in words for words in moved)
    back = changes(small, large)
    assert [words.replace("-", "+", 1) for words in back[1:] if words.startswith("-")]


def test_another_version_and_another_calendar_are_said() -> None:
    plan = planned(fleet())
    other = msgspec.structs.replace(plan.forecast, version=4, calendar="d")
    assert changes(msgspec.structs.replace(plan, forecast=other), plan) == [
        "It is made by version 4, the last by 3.",
        "The calendar is another.",
    ]


def test_costs_are_compared_for_the_weeks_that_both_plans_have() -> None:
    long = planned(fleet())
    short = planned(fleet(), weeks=1, need=needs(2, 3)[:, :, :1] * 2)
    was, now = long.cost.by_week[0], short.cost.by_week[0]
    assert changes(short, long)[0] == (
        f"In the week of 2026-03-02, which both have, the cost goes from {was:,.0f} USD to {now:,.0f} USD, "
        "what is missing apart."
    )
    later = msgspec.structs.replace(short, weeks=[date(2027, 3, 1)])
    assert changes(later, long) == ["It has no week in common with the last plan: their costs are of other weeks."]
