"""What forecasts are measured by, paired by series × origin.

WAPE: the sum of absolute errors over the sum of what came, at the series' own step and coarser. Peak: how far the
largest quarter of an hour of each day was missed, over what it was; and by how many minutes its time. Coverage: the
share of steps inside the band.
"""

from headgate.domain import Metric

_UNIT = "series × origin"

METRICS = (
    Metric("wape", "WAPE at the series' own step", -1, _UNIT, 0.0),
    Metric("wape_15min", "WAPE of quarters of an hour", -1, _UNIT, 0.0),
    Metric("wape_1h", "WAPE of hours", -1, _UNIT, 0.0),
    Metric("wape_1d", "WAPE of days", -1, _UNIT, 0.0),
    Metric("peak", "Error of the day's peak", -1, _UNIT, 0.0),
    Metric("peak_minutes", "Minutes between the day's peak and its forecast", -1, _UNIT, 0.0),
    Metric("cover80", "Share of steps inside the 80 % band", +1, _UNIT, 0.0),
    Metric("cover90", "Share of steps inside the 90 % band", +1, _UNIT, 0.0),
)
