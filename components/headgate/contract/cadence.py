"""How often a domain retrains."""

from dataclasses import dataclass
from datetime import date, timedelta

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Cadence:
    """Every day as of midnight UTC, or every week as of the midnight at which a weekday begins."""

    weekday: int | None = None  # 0 is Monday; None: every day

    def __post_init__(self) -> None:
        """Raise ValueError for what is no weekday."""
        if self.weekday not in (None, *range(7)):
            raise ValueError(f"weekday = {self.weekday} is none of 0 (Monday) … 6 (Sunday)")

    @property
    def every(self) -> timedelta:
        """From one run to the next."""
        return timedelta(days=1 if self.weekday is None else 7)

    @property
    def period(self) -> str:
        """What is missed where a run is, in words."""
        return "day" if self.weekday is None else "week"

    def falls_on(self, day: date) -> bool:
        """Whether a run is due as of the midnight at which `day` begins."""
        return self.weekday is None or day.weekday() == self.weekday

    def __str__(self) -> str:
        """In words."""
        return "every day" if self.weekday is None else f"every {_WEEKDAYS[self.weekday]}"


DAILY = Cadence()
