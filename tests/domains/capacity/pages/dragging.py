"""A hand that drags an event of the forecast's chart."""

from typing import Any


def drag_two_days(page: Any, event: str) -> None:
    """Move the bar of `event` two days to the right, in a chart of a week."""
    box = page.locator(f".bar[data-event='{event}'] .body").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    day = page.locator(".bars").bounding_box()["width"] / 7
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + day, y, steps=4)
    page.mouse.move(x + 2 * day, y, steps=4)
    page.mouse.up()
