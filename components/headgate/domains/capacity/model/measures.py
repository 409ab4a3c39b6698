"""What forecasts tell of the metrics, term by term: the same for the origins of a version and for the decision log.

Every function takes arrays or expressions of polars alike, and returns a numerator and a denominator.
"""

from typing import Any


def absolute_error(actual: Any, forecast: Any) -> tuple[Any, Any]:
    """The terms of a WAPE: how far each step was missed, over what came."""
    return abs(forecast - actual), actual


def inside(actual: Any, low: Any, high: Any) -> Any:
    """Whether each step lies inside its band: the numerator of a coverage."""
    return (actual >= low) & (actual <= high)
