"""Bringing metrics from CloudWatch, as moto's server speaks it; answers that go wrong are made between it and boto3."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.cloudwatch.models import cloudwatch_backends
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from headgate.domains.capacity.data.cloudwatch import import_cloudwatch
from headgate.domains.capacity.data.importers import ImportReport
from headgate.domains.capacity.data.raw import check_file, load_matrix, read_series
from headgate.errors import DataRefused, HeadgateError, UsageError

START = datetime(2026, 11, 1, 12, tzinfo=UTC)

THROTTLED = ("400 Bad Request", "Throttling", "Rate exceeded")


class Service:
    """moto's CloudWatch over HTTP; the next `refusals` (status, code, message) are answered instead."""

    def __init__(self) -> None:
        self.refusals: list[tuple[str, str, str]] = []
        self.asked = 0
        app = DomainDispatcherApplication(create_backend_app)

        def between(environ: dict[str, Any], start: Any) -> Any:
            self.asked += 1
            if self.refusals:
                status, code, message = self.refusals.pop(0)
                start(
                    status, [("Content-Type", "application/x-amz-json-1.0"), ("x-amzn-query-error", f"{code};Sender")]
                )
                return [f'{{"__type":"{code}","message":"{message}"}}'.encode()]
            return app(environ, start)

        self.server = make_server("127.0.0.1", 0, between, threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()


@pytest.fixture(scope="module")
def server() -> Iterator[Service]:
    service = Service()
    yield service
    service.server.shutdown()
    service.thread.join()
    service.server.server_close()


@pytest.fixture
def service(server: Service, aws: Callable[[str, int], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    aws(server.url, 3)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    monkeypatch.setattr("botocore.retries.bucket.TokenBucket.acquire", lambda *_, **__: True)
    server.asked = 0
    yield server
    server.refusals.clear()
    cloudwatch_backends[DEFAULT_ACCOUNT_ID].clear()


def put(n: int, start: datetime = START, pool: str = "web") -> None:
    client = boto3.client("cloudwatch", config=Config(disable_request_compression=True))  # moto cannot unpack it
    for first in range(0, n, 500):
        client.put_metric_data(
            Namespace="AWS/ApplicationELB",
            MetricData=[
                {
                    "MetricName": "RequestCount",
                    "Dimensions": [{"Name": "LoadBalancer", "Value": pool}],
                    "Timestamp": start + timedelta(minutes=i),
                    "Value": float(i),
                }
                for i in range(first, min(n, first + 500))
            ],
        )


def bring(out: Path, **how: Any) -> ImportReport:
    asked: dict[str, Any] = {
        "namespace": "AWS/ApplicationELB",
        "metric_name": "RequestCount",
        "dimensions": {"LoadBalancer": "web"},
        "start": START,
        "end": START + timedelta(hours=2),
        "region": "us-east-1",
        "service": "web",
        "metric": "requests",
    }
    return import_cloudwatch(out=out, **(asked | how))


def test_points_become_a_series_of_the_source(service: Service, tmp_path: Path) -> None:
    put(90)
    put(90, pool="other")
    report = bring(tmp_path, zone="America/New_York", unit="requests")
    assert (report.points, report.step, report.series) == (90, 60, ("us-east-1/web/requests",))
    series = read_series(tmp_path)
    one = series["us-east-1/web/requests"]
    assert (one.zone, one.unit, one.aggregation) == ("America/New_York", "requests", "sum")
    times, values = load_matrix(tmp_path, list(series))
    assert times[0] == START.timestamp()
    assert values.ravel().tolist() == list(range(90))
    assert check_file(tmp_path / "points/2026-11-01.parquet", series) == 90


def test_a_period_and_a_statistic_are_asked_for(service: Service, tmp_path: Path) -> None:
    put(10)
    bring(tmp_path / "sum", period=300)
    bring(tmp_path / "mean", period=300, stat="Average")
    for name, expected, aggregation in (("sum", [10.0, 35.0], "sum"), ("mean", [2.0, 7.0], "mean")):
        assert load_matrix(tmp_path / name, ["us-east-1/web/requests"])[1].ravel().tolist() == expected
        assert read_series(tmp_path / name)["us-east-1/web/requests"].aggregation == aggregation


def test_bringing_the_same_again_changes_nothing_and_more_is_added(service: Service, tmp_path: Path) -> None:
    put(30)
    bring(tmp_path)
    before = (tmp_path / "points/2026-11-01.parquet").read_bytes()
    bring(tmp_path)
    assert (tmp_path / "points/2026-11-01.parquet").read_bytes() == before
    put(30, START + timedelta(minutes=30))
    bring(tmp_path)
    assert len(load_matrix(tmp_path, ["us-east-1/web/requests"])[0]) == 60


def test_pages_follow_each_other(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(25)
    whole = CloudWatchResponse.get_metric_data
    asked: list[str | None] = []

    def paged(self: Any) -> Any:
        answer = whole(self)
        token = self._get_params().get("NextToken")
        asked.append(token)
        first = int(token or 0)
        for result in answer.result["MetricDataResults"]:
            for part in ("timestamps", "values"):
                result[part] = result[part][first : first + 10]
        if first + 10 < 25:
            answer.result["NextToken"] = str(first + 10)
        return answer

    monkeypatch.setattr(CloudWatchResponse, "get_metric_data", paged)
    assert bring(tmp_path).points == 25
    assert asked == [None, "10", "20"]


def test_a_throttled_request_is_tried_ten_times(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(5)
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    service.refusals += [THROTTLED] * 9
    assert bring(tmp_path).points == 5


REFUSED = {
    THROTTLED: "throttles these requests: nothing was written",
    ("403 Forbidden", "AccessDenied", "no"): "allow cloudwatch:GetMetricData",
    ("403 Forbidden", "InvalidClientTokenId", "no"): "does not accept the AWS credentials",
    (
        "400 Bad Request",
        "ValidationError",
        "The period is wrong",
    ): "does not understand the request .The period is wrong",
    ("500 Internal Server Error", "InternalServiceFault", "oh"): "cannot be read",
}


@pytest.mark.parametrize("refusal", REFUSED, ids=lambda refusal: refusal[1])
def test_a_request_that_is_refused_to_the_end_says_what_to_do(
    service: Service, tmp_path: Path, refusal: tuple[str, str, str]
) -> None:
    service.refusals += [refusal] * 3
    with pytest.raises(HeadgateError, match=REFUSED[refusal]):
        bring(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_not_there_is_refused(service: Service, tmp_path: Path) -> None:
    put(5)
    with pytest.raises(DataRefused, match=r"no point of AWS/ApplicationELB RequestCount \{'LoadBalancer': 'gone'\}"):
        bring(tmp_path / "out", dimensions={"LoadBalancer": "gone"})
    with pytest.raises(UsageError, match="The period 61 is no step"):
        bring(tmp_path / "out", period=61)
    with pytest.raises(UsageError, match="does not lie before the end"):
        bring(tmp_path / "out", end=START)


def test_no_credentials_no_region_and_no_answer_are_told_apart(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(HeadgateError, match="does not answer"):
        bring(tmp_path)
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(UsageError, match="AWS region is not told"):
        bring(tmp_path)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers them
    with pytest.raises(HeadgateError, match="no AWS credentials"):
        bring(tmp_path, aws_region="eu-central-1")
