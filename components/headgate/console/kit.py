"""What /console/kit shows: every component of the style sheet once, with made-up figures."""

from typing import Any

from headgate.console import plots

_SHARES = ((0.0062, True), (0.0071, True), (0.0118, False), (0.0084, True), (0.0066, True))

EXAMPLES: dict[str, Any] = {
    "trend": plots.trend([(value, f"{100 * value:.2g} %", fine) for value, fine in _SHARES], 0.01),
    "columns": plots.columns([(7 * n) % 13 + n // 4 for n in range(60)], [(3 * n) % 4 for n in range(60)]),
    "tones": ("", "good", "warn", "bad"),
}
