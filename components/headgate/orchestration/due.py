"""Which days are due: a scheduled run asks for all that was known at midnight UTC of the day on which it was to start.

A day that was judged, also one whose data was refused, is done; one that crashed, or that nothing ran on, is missed
and comes first next time.
"""

import os
from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta

from headgate.domain import Domain
from headgate.errors import UsageError
from headgate.orchestration.outcome import days_judged
from headgate.settings import Settings

#: The variable that says how many missed days are caught up at most, and what it is if left out.
CATCH_UP, CATCH_UP_DAYS = "HEADGATE_CATCH_UP_DAYS", 7


DAY = timedelta(days=1)


def missed(done: Collection[date], today: date, first: date, limit: int) -> list[date]:
    """The days to run, oldest first: from the one after the newest that is `done`, or from `first`, until `today`.

    At most `limit` before today. Nothing before a day that is done is due: older data would overtake newer.
    """
    start = max([first, today - limit * DAY, *(day + DAY for day in done)])
    return [start + number * DAY for number in range((today - start).days + 1)]


def days_due(settings: Settings, domain: Domain, start: datetime) -> list[datetime]:
    """The instants that a run which was to begin at `start` retrains as of, oldest first; none if its day is done.

    Of a weekly domain only those of its weekday, and of as many weeks as of days of a daily one.
    """
    done, today = days_judged(settings, domain.name), start.astimezone(UTC).date()
    days = missed(done, today, min(done, default=today), catch_up_days() * domain.cadence.every.days)
    return [datetime.combine(day, time.min, UTC) for day in days if domain.cadence.falls_on(day)]


def catch_up_days() -> int:
    """How many missed days are caught up at most. Raises UsageError for a setting that is no number."""
    text = os.environ.get(CATCH_UP, "")
    if text and not text.isdecimal():
        raise UsageError(f"{CATCH_UP}={text} is no number of days.")
    return int(text) if text else CATCH_UP_DAYS


def last_tick(at: time, now: datetime) -> datetime:
    """When the daily run was last to begin, if it begins at `at` UTC."""
    today = datetime.combine(now.astimezone(UTC).date(), at, UTC)
    return today if today <= now else today - DAY
