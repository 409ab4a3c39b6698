"""How many clicks are simulated."""

from dataclasses import dataclass, field

from headgate.contract.sizes import Sizes, about


@dataclass(frozen=True)
class ClickSizes(Sizes):
    """The sizes of simulated clicks."""

    clicks_per_day: int = field(default=60_000, metadata=about("Clicks on a usual weekday."))


#: Both have enough purchasing users to certify the budget.
DEMO = ClickSizes(days=21)
SMALL = ClickSizes(days=18, clicks_per_day=25_000)
