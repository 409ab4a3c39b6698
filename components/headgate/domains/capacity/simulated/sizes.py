"""How much load is simulated."""

from dataclasses import dataclass, field

from headgate.contract.sizes import Sizes, about


@dataclass(frozen=True)
class LoadSizes(Sizes):
    """The sizes of simulated load: every region has all services, each a series of requests."""

    regions: int = field(default=2, metadata=about("Regions, each with its own clock."))
    services: int = field(default=3, metadata=about("Services in every region."))
    step: int = field(default=60, metadata=about("Seconds from point to point.", least=60))
    weekly_years: int = field(default=0, metadata=about("Years of weekly orders as well.", least=0))
    ahead: int = field(default=0, metadata=about("Days that the truth reaches further, to score forecasts.", least=0))


#: A gate compares on eight series at least, so that the next day's version can pass.
DEMO = LoadSizes(days=70, services=4, weekly_years=6)
SMALL = LoadSizes(days=42, regions=1, services=2, step=900)
