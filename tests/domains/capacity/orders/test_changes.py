"""What a plan says has changed since the last one."""

import msgspec

from headgate.domains.capacity.orders.plan import changes

from .worlds import fleet, needs, planned


def test_the_same_plan_again_has_no_changes() -> None:
    plan = planned(fleet())
    assert changes(plan, plan) == []
    assert changes(plan, None) == []


def test_twice_the_load_is_more_instances_somewhere_and_another_cost() -> None:
    told = fleet()
    small, large = (planned(told, need=needs(2, 3) * factor) for factor in (1.0, 2.0))
    cost, *moved = changes(large, small)
    assert cost.startswith("The cost goes from ")
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
