"""What a load showed, for people and for programs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headgate.contract.requests import Target
from headgate.load.measured import UNSENT, Measured
from headgate.load.schedule import Schedule
from headgate.load.server_time import Bounds

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}

#: What to do about an answer.
ADVICE = {
    "HTTP 401": "Name a token with the scope `decide` by --token or HEADGATE_TOKEN.",
    "HTTP 403": "The token lacks the scope `decide`.",
    "HTTP 404": "Headgate does not serve this domain there: look at --target.",
    "HTTP 429": "The server limits the rate of this client: raise its limit, or ask for less.",
    "HTTP 503": "The server has no version loaded: its /readyz says why.",
}


@dataclass(frozen=True)
class Report:
    """A run in figures; times in ms."""

    target: str
    shape: str
    seed: int
    events_a_request: int
    requests: int  # that fell due
    answered: int  # with a 2xx
    failed: int
    failures: dict[str, int]
    by_default: int  # decisions that were given without counters
    seconds: float
    asked: float  # requests a second that fell due, on average
    achieved: float  # answers a second
    latency: dict[str, float]  # from the instant at which a request was due; of those that were answered
    waited: dict[str, float]  # of it, until the request was sent
    inside: dict[str, Bounds] | None  # the server's own time
    generator_cpu: float  # ms a request
    bytes_sent: int
    bytes_received: int
    connections: int
    interrupted: bool

    def words(self) -> str:
        """A short page."""
        what = "requests" if self.events_a_request == 1 else f"requests of {self.events_a_request} events"
        names = list(QUANTILES)
        lines = [
            f"{self.requests:,} {what} in {self.seconds:.1f} s at {self.target}, shape {self.shape}, Poisson arrivals"
            + (" (stopped early)" if self.interrupted else ""),
            f"asked {self.asked:,.1f}/s, answered {self.achieved:,.1f}/s",
            "",
            f"{'ms':<28}" + "".join(f"{name:>12}" for name in names),
            f"{'from due to answered':<28}" + "".join(f"{self.latency[name]:>12.2f}" for name in names),
            f"{'  of it until sent':<28}" + "".join(f"{self.waited[name]:>12.2f}" for name in names),
        ]
        if not self.answered:
            lines[-3:] = ["Nothing was answered with a 2xx."]
        if self.inside is None:
            lines.append("inside the server: it tells none (no /metrics that a histogram could be read from)")
        else:
            told = [self.inside[name] for name in names]
            lines.append(f"{'inside the server, about':<28}" + "".join(f"{bound.likely:>12.2f}" for bound in told))
            lines.append(f"{'  between bounds of buckets':<28}" + "".join(f"{_range(bound):>12}" for bound in told))
        lines += ["", f"The generator took {1000 * self.generator_cpu:.0f} µs of CPU a request."]
        if self.inside is not None:
            lines.append("The server's own times are of all requests at that path meanwhile, those of others too.")
        if self.by_default:
            lines.append(f"{self.by_default:,} decisions were given by default: counters did not answer in time.")
        if not self.failed:
            lines.append("No request failed.")
        for why, count in self.failures.items():
            lines.append(f"{count:,} failed: {why}. {ADVICE.get(why, '')}".rstrip())
        return "\n".join(lines)

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it: what is not known is null."""
        return {name: _known(value) for name, value in asdict(self).items()}


def report(
    measured: Measured,
    schedule: Schedule,
    target: Target,
    *,
    batch: int | None,
    seed: int,
    inside: Sequence[Bounds] | None,
) -> Report:
    """The figures of `measured`; `inside` are the server's own `QUANTILES`, in seconds."""
    due = int((measured.status != UNSENT).sum())
    answered = int(measured.good.sum())
    asked_for = measured.seconds if measured.interrupted else schedule.seconds
    bounds = [Bounds(1000 * b.low, 1000 * b.high, 1000 * b.likely) for b in inside or ()]
    return Report(
        target=target.address + target.path,
        shape=f"{schedule.shape} {schedule.rate:g}/s",
        seed=seed,
        events_a_request=batch or 1,
        requests=due,
        answered=answered,
        failed=measured.failed,
        failures=measured.failures(),
        by_default=int(measured.pending.sum()),
        seconds=measured.seconds,
        asked=due / asked_for if asked_for else 0.0,
        achieved=answered / max(measured.seconds, schedule.seconds if not measured.interrupted else 0.0, 1e-9),
        latency=quantiles(measured.latency[measured.good]),
        waited=quantiles(measured.waited[measured.good]),
        inside=dict(zip(QUANTILES, bounds, strict=True)) if bounds else None,
        generator_cpu=1000 * measured.cpu / max(due, 1),
        bytes_sent=measured.bytes_sent,
        bytes_received=measured.bytes_received,
        connections=measured.connections,
        interrupted=measured.interrupted,
    )


def quantiles(seconds: NDArray[np.float32]) -> dict[str, float]:
    """`QUANTILES` of `seconds` [n] in ms, each one that was measured; NaN where there are none."""
    if not len(seconds):
        return dict.fromkeys(QUANTILES, float("nan"))
    found = np.quantile(seconds.astype(np.float64), list(QUANTILES.values()), method="higher")
    return dict(zip(QUANTILES, (1000 * found).tolist(), strict=True))


def _range(bound: Bounds) -> str:
    return f"> {bound.low:g}" if bound.high == float("inf") else f"{bound.low:g} – {bound.high:g}"


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _known(one) for name, one in value.items()}
    return value if not isinstance(value, float) or np.isfinite(value) else None
