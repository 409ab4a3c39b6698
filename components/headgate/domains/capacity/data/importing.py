"""`headgate import capacity`: which importer a request means, and what it needs to be told."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from headgate.domains.capacity.data.importers import ImportReport
from headgate.domains.capacity.data.notation import instant
from headgate.errors import UsageError

#: What `--set NAME=VALUE` may tell of a CSV file, and of a metric in CloudWatch.
CSV_FACTS = ("region", "service", "metric", "unit", "zone", "step", "aggregation")
CLOUDWATCH_FACTS = (
    "region",
    "service",
    "metric",
    "start",
    "end",
    "dimensions",
    "stat",
    "period",
    "unit",
    "zone",
    "aws_region",
)


def import_data(
    source: str, out: Path, *, format: str, mapping: Mapping[str, str], tz: str | None, facts: Mapping[str, str]
) -> ImportReport:
    """Write the series of `source` below `out`: a CSV file, or NAMESPACE/METRIC of CloudWatch. Raises UsageError."""
    if format == "csv":
        return _csv(source, out, mapping, tz, facts)
    if format == "cloudwatch":
        if mapping or tz:
            raise UsageError("--map and --tz go with --format csv: CloudWatch names its instants itself.")
        return _cloudwatch(source, out, facts)
    raise UsageError(f"There is no format {format!r}: choose csv or cloudwatch.")


def _csv(source: str, out: Path, mapping: Mapping[str, str], tz: str | None, facts: Mapping[str, str]) -> ImportReport:
    from headgate.domains.capacity.data.importers import import_series

    _known(facts, CSV_FACTS, "csv")
    told = dict(facts)
    step = _whole(told.pop("step", None), "step")
    return import_series(Path(source), out=out, mapping=mapping, tz=tz, step=step, **told)  # type: ignore[arg-type]


def _cloudwatch(source: str, out: Path, facts: Mapping[str, str]) -> ImportReport:
    from headgate.domains.capacity.data.cloudwatch import import_cloudwatch

    _known(facts, CLOUDWATCH_FACTS, "cloudwatch")
    namespace, _, name = source.rpartition("/")
    if not namespace:
        raise UsageError(f"{source!r} is not NAMESPACE/METRIC, for example AWS/ApplicationELB/RequestCount.")
    told = dict(facts)
    if missing := [need for need in ("region", "service", "metric", "start", "end") if need not in told]:
        raise UsageError(f"CloudWatch needs {', '.join(f'--set {need}=…' for need in missing)}.")
    pairs = [pair.partition("=") for pair in told.pop("dimensions", "").split(",") if pair]
    start, end = (_instant(told.pop(name), name) for name in ("start", "end"))
    period = _whole(told.pop("period", None), "period") or 60
    return import_cloudwatch(
        out=out,
        namespace=namespace,
        metric_name=name,
        dimensions={key: value for key, _, value in pairs},
        start=start,
        end=end,
        period=period,
        **told,
    )


def _known(facts: Mapping[str, str], names: tuple[str, ...], format: str) -> None:
    if unknown := sorted(set(facts) - set(names)):
        raise UsageError(f"--set {unknown[0]}=… is not known to {format}; it takes {', '.join(names)}.")


def _whole(text: str | None, name: str) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"--set {name}={text} is no whole number of seconds.")
    return int(text)


def _instant(text: str, name: str) -> datetime:
    try:
        return instant(text)
    except ValueError:
        raise UsageError(f"--set {name}={text} is no time: write 2026-01-22 or 2026-01-22T06:00Z.") from None
