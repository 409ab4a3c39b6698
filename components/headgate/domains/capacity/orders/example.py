"""A fleet to begin with, made for the series of a source or of a version: simulated prices, sizes and limits."""

from collections.abc import Mapping, Sequence

from headgate.domains.capacity.data.raw import Series
from headgate.errors import UsageError

#: Family, generation, vCPUs, price on demand, speed, weeks of lead: rounded list prices of 2025.
TYPES = (
    ("m6i.2xlarge", "m", 6, 8, 0.384, 1.0, 1),
    ("m7i.2xlarge", "m", 7, 8, 0.4032, 1.15, 2),
    ("c6i.2xlarge", "c", 6, 8, 0.34, 0.9, 1),
    ("c7i.2xlarge", "c", 7, 8, 0.357, 1.05, 2),
    ("r6i.2xlarge", "r", 6, 8, 0.504, 1.02, 1),
    ("r7i.2xlarge", "r", 7, 8, 0.5292, 1.17, 3),
)

#: What a reserved hour costs of one on demand.
RESERVED = 0.63

HEAD = """\
# A fleet to begin with. Every figure is an example: replace them by yours. docs/orders.md explains each field.
currency: USD
shortage:
  hours: 6          # of a week, for which its peak lasts
  measure: expected # or cvar: the mean of the worst `tail` of the scenarios
  quantile: 0.9     # of the week's highest step, that floors are a share of
use_after: 0.8      # of a reservation's weeks after the plan's last
group: "{service}-{zone}-{type}"
"""


def write_example(series: Sequence[Series], peaks: Mapping[str, float], instances: float = 30.0) -> str:
    """A `fleet.yaml` for the finest counts among `series`; at its peak each takes about so many `instances`.

    Raises UsageError where there is no series that counts.
    """
    counts = [one for one in series if one.aggregation == "sum"]
    if not counts:
        raise UsageError("There is no series that counts something: orders are made for requests, not for gauges.")
    finest = [one for one in counts if one.step == min(other.step for other in counts)]
    regions = sorted({one.region for one in finest})
    lines = [HEAD, "regions:"]
    lines += [f"  {region}-1: [{', '.join(f'{region}-1{letter}' for letter in 'abc')}]" for region in regions]
    lines.append("types: # prices an hour; first_week: DATE for a type that is not there yet")
    for name, family, generation, vcpus, price, speed, lead in TYPES:
        lines.append(
            f"  {name}: {{family: {family}, generation: {generation}, vcpus: {vcpus}, on_demand: {price}, "
            f"reserved: {price * RESERVED:.4f}, speed: {speed}, lot: 4, lead_weeks: {lead}, commitment_weeks: 8}}"
        )
    lines.append("services: # units: what an instance of speed 1 carries of the series when it is full")
    for one in finest:
        units = float(f"{peaks[one.series] * 1.1 / 0.65 / instances:.3g}")
        lines.append(
            f"  {one.region}/{one.service}: {{series: {one.series}, region: {one.region}-1, units: {units}, "
            "utilisation: 0.65, burst: 1.1, floor: 0.8, missing: 0.02}"
        )
    vcpus = int(8 * instances * 4 * len(finest) / len(regions))
    lines.append("quotas: # vCPUs, reserved ones that idle included")
    lines += [f"  - {{family: {family}, region: {region}-1, vcpus: {vcpus}}}" for region in regions for family in "mcr"]
    lines.append("ramps: # instances a week, of a type in a zone")
    lines += [f"  {name}: {{add: {int(instances * 4)}, remove: {int(instances * 4)}}}" for name, *_ in TYPES]
    return "\n".join(lines) + "\n"
