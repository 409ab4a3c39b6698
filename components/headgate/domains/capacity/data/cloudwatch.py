"""Bring metrics of Amazon CloudWatch into a source of the raw schema: `headgate import capacity --format cloudwatch`.

boto3 reads credentials, region and address (AWS_ENDPOINT_URL) from the environment as it always does. CloudWatch keeps
points of a minute for 15 days, of five minutes for 63, of an hour for 455.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from headgate.domains.capacity.data.importers import ImportReport, write_points
from headgate.domains.capacity.data.raw import Series
from headgate.domains.capacity.data.schema import STEPS
from headgate.domains.capacity.data.schema import UTC as INSTANT
from headgate.errors import DataRefused, HeadgateError, UsageError

#: Statistics that count; every other is a level.
_COUNTS = ("Sum", "SampleCount")

_THROTTLED = ("Throttling", "ThrottlingException", "RequestLimitExceeded", "LimitExceeded", "TooManyRequestsException")


def import_cloudwatch(
    *,
    out: Path,
    namespace: str,
    metric_name: str,
    dimensions: Mapping[str, str],
    start: datetime,
    end: datetime,
    region: str,
    service: str,
    metric: str,
    stat: str = "Sum",
    period: int = 60,
    unit: str = "",
    zone: str = "UTC",
    aws_region: str | None = None,
) -> ImportReport:
    """Write one metric's points from `start` to before `end` to `out/points`, and its series to `out/series.csv`.

    `namespace`, `metric_name`, `dimensions`, `stat` and `period` (seconds) say what CloudWatch is asked for; `region`,
    `service` and `metric` name the series, and `zone` is the clock of the people who make the load. A point counts as
    known when its period is over. Bringing the same points again changes nothing.

    A throttled request is tried again, ever more slowly, AWS_MAX_ATTEMPTS times (ten unless set). Raises UsageError for
    a request that cannot be met, DataRefused where CloudWatch has no such points, and HeadgateError where it does not
    answer; in all cases `out` is left as it was.
    """
    if period not in STEPS:
        raise UsageError(
            f"The period {period} is no step that a series may have: {', '.join(map(str, STEPS))} seconds."
        )
    if not start < end:
        raise UsageError(f"The start {start:%Y-%m-%d %H:%M} does not lie before the end {end:%Y-%m-%d %H:%M}.")
    query = {
        "Id": "load",
        "MetricStat": {
            "Metric": {
                "Namespace": namespace,
                "MetricName": metric_name,
                "Dimensions": [{"Name": name, "Value": value} for name, value in sorted(dimensions.items())],
            },
            "Period": period,
            "Stat": stat,
        },
    }
    with _in_plain_words():
        found = dict(_points(_client(aws_region), query, start, end))
    what = f"{namespace} {metric_name} {dict(sorted(dimensions.items()))}"
    if not found:
        raise DataRefused(
            f"CloudWatch has no point of {what} from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}: check the names, "
            "the dimensions and the AWS region; points of a minute are kept for 15 days only."
        )
    times = sorted(found)
    rows = pl.DataFrame({"time": times, "value": [found[time] for time in times]}).select(
        pl.col("time").cast(INSTANT),
        "value",
        instant=pl.col("time").cast(INSTANT),
        line=pl.int_range(1, 1 + pl.len()),
        region=pl.lit(region),
        service=pl.lit(service),
        metric=pl.lit(metric),
    )
    like = Series("", "", "", "", unit, zone, period, "sum" if stat in _COUNTS else "mean")
    return write_points(rows, out, like, what)


def _points(client: Any, query: dict[str, Any], start: datetime, end: datetime) -> Iterator[tuple[datetime, float]]:
    """The points of a query, page by page."""
    token: dict[str, str] = {}
    while True:
        page = client.get_metric_data(
            MetricDataQueries=[query], StartTime=start, EndTime=end, ScanBy="TimestampAscending", **token
        )
        for result in page["MetricDataResults"]:
            if result.get("StatusCode") in ("InternalError", "Forbidden"):
                said = "; ".join(message["Value"] for message in result.get("Messages", ()))
                raise HeadgateError(f"CloudWatch could not answer ({result['StatusCode']} {said}): try again later.")
            times = (time.astimezone(UTC) for time in result["Timestamps"])
            yield from zip(times, map(float, result["Values"]), strict=True)
        if not page.get("NextToken"):
            return
        token = {"NextToken": page["NextToken"]}


def _client(aws_region: str | None) -> Any:
    import boto3
    from botocore.config import Config

    retries = {"mode": "adaptive", "total_max_attempts": int(os.environ.get("AWS_MAX_ATTEMPTS", 10))}
    config = Config(retries=retries, connect_timeout=10, read_timeout=60)
    return boto3.client("cloudwatch", region_name=aws_region, config=config)


@contextmanager
def _in_plain_words() -> Iterator[None]:
    """Turn what boto3 raises into one sentence that says what to do."""
    from botocore import exceptions as boto

    try:
        yield
    except boto.ClientError as error:
        reply = error.response["Error"]
        code, said = reply.get("Code", ""), reply.get("Message", "")
        if code in _THROTTLED:
            text = "CloudWatch throttles these requests: nothing was written, try again in some minutes."
        elif code in ("AccessDenied", "AccessDeniedException", "403"):
            text = "Access to CloudWatch is denied: allow cloudwatch:GetMetricData."
        elif code in ("InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken", "UnrecognizedClientException"):
            text = "CloudWatch does not accept the AWS credentials: renew them."
        elif code in ("ValidationError", "InvalidParameterValue", "InvalidParameterCombination"):
            raise UsageError(f"CloudWatch does not understand the request ({said}): correct it.") from error
        else:
            text = f"CloudWatch cannot be read ({code}: {said}): try again later."
        raise HeadgateError(text) from error
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError) as error:
        remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        raise HeadgateError(f"There are no AWS credentials for CloudWatch: {remedy}.") from error
    except boto.NoRegionError as error:
        raise UsageError("The AWS region is not told: give it, or set AWS_DEFAULT_REGION.") from error
    except (boto.HTTPClientError, boto.ConnectionError) as error:
        raise HeadgateError("CloudWatch does not answer: check the network and AWS_ENDPOINT_URL.") from error
    except boto.BotoCoreError as error:
        raise HeadgateError(f"CloudWatch cannot be read: {error}") from error
