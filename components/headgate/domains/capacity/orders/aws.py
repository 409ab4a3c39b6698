"""EC2 and Auto Scaling through boto3: one call an order, throttling waited out, refusals in words.

boto3 reads credentials and addresses (AWS_ENDPOINT_URL) from the environment as it always does. A throttled call is
tried again, ever more slowly, AWS_MAX_ATTEMPTS times (ten unless set).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import Any

from headgate.domains.capacity.orders.fleet import HOURS
from headgate.domains.capacity.orders.plan import Order
from headgate.errors import HeadgateError

#: The tag of a reservation that says which order it is.
TAG = "headgate:order"

_THROTTLED = ("Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException")
_QUOTAS = (
    "InstanceLimitExceeded",
    "VcpuLimitExceeded",
    "LimitExceeded",
    "ReservationCapacityExceeded",
)
_NONE_LEFT = ("InsufficientInstanceCapacity", "InsufficientCapacity", "InsufficientHostCapacity")
_CLOSED = (
    "AuthFailure",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "UnrecognizedClientException",
)
_DENIED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")


class Refused(HeadgateError):
    """AWS does not take this order; others it may."""


def reserve(order: Order, start: datetime, token: str, doubtful: bool) -> str:
    """The id of the reservation of an order, made now, or before if it is `doubtful` whether it was."""
    ec2 = _client("ec2", order.region)
    with _in_words(order):
        if doubtful:
            found = ec2.describe_capacity_reservations(Filters=[{"Name": f"tag:{TAG}", "Values": [token]}])
            if found["CapacityReservations"]:
                return str(found["CapacityReservations"][0]["CapacityReservationId"])
        made = ec2.create_capacity_reservation(**_asked(order, start, token))
        return str(made["CapacityReservation"]["CapacityReservationId"])


def dry_run(order: Order, start: datetime, token: str) -> None:
    """Ask whether an order would be taken, as far as the API can tell; raises Refused where not."""
    if order.kind == "schedule":
        _most(order)
        return
    from botocore.exceptions import ClientError

    with _in_words(order):
        try:
            _client("ec2", order.region).create_capacity_reservation(**_asked(order, start, token), DryRun=True)
        except ClientError as error:
            if error.response["Error"].get("Code") != "DryRunOperation":
                raise


def resize(order: Order, start: datetime) -> str:
    """The name of the scheduled action that gives a group its size from a day on. It may still grow beyond it."""
    name = f"headgate-{order.start}-{order.group}"  # of a group alone at AWS, of all groups at moto
    most = _most(order)
    with _in_words(order):
        _client("autoscaling", order.region).put_scheduled_update_group_action(
            AutoScalingGroupName=order.group,
            ScheduledActionName=name,
            StartTime=start,
            MinSize=order.count,
            DesiredCapacity=order.count,
            MaxSize=max(order.count, most),
        )
    return name


def _most(order: Order) -> int:
    """The most instances that a group may have now."""
    with _in_words(order):
        client = _client("autoscaling", order.region)
        found = client.describe_auto_scaling_groups(AutoScalingGroupNames=[order.group])["AutoScalingGroups"]
    if not found:
        raise Refused(f"there is no Auto Scaling group {order.group} in {order.region}: make it, or mend `group`")
    return int(found[0]["MaxSize"])


def _asked(order: Order, start: datetime, token: str) -> dict[str, Any]:
    return {
        "ClientToken": token,
        "InstanceType": order.type,
        "InstancePlatform": order.platform,
        "AvailabilityZone": order.zone,
        "InstanceCount": order.count,
        "InstanceMatchCriteria": "targeted",
        "EndDateType": "unlimited",
        "StartDate": start,
        "CommitmentDuration": order.weeks * HOURS * 3600,
        "DeliveryPreference": "incremental",
        "TagSpecifications": [{"ResourceType": "capacity-reservation", "Tags": [{"Key": TAG, "Value": token}]}],
    }


@cache
def _client(service: str, region: str) -> Any:
    import boto3
    from botocore.config import Config

    retries = {"mode": "standard", "total_max_attempts": int(os.environ.get("AWS_MAX_ATTEMPTS", 10))}
    return boto3.client(
        service, region_name=region, config=Config(retries=retries, connect_timeout=10, read_timeout=60)
    )


@contextmanager
def _in_words(order: Order) -> Iterator[None]:
    """Turn what boto3 raises into Refused for this order alone, or HeadgateError where no order can be placed."""
    from botocore import exceptions as boto

    try:
        yield
    except boto.ClientError as error:
        code, said = (error.response["Error"].get(name, "") for name in ("Code", "Message"))
        if code in _CLOSED:
            raise HeadgateError(
                "AWS does not accept the credentials: renew them, and run the command again."
            ) from error
        if code in _DENIED:
            text = f"AWS does not allow it ({said}): allow CreateCapacityReservation, PutScheduledUpdateGroupAction"
        elif code in _QUOTAS:
            text = f"the quota of the account is too small ({said}): ask for more in Service Quotas"
        elif code in _NONE_LEFT:
            text = f"AWS has no such capacity in {order.zone} then ({said}): take another zone or type"
        elif code in _THROTTLED:
            text = "AWS throttled every attempt: run the command again in some minutes"
        else:
            text = f"AWS refused it ({code}: {said})"
        raise Refused(text) from error
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError) as error:
        remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        raise HeadgateError(f"There are no AWS credentials: {remedy}.") from error
    except (boto.HTTPClientError, boto.ConnectionError) as error:
        raise HeadgateError("AWS does not answer: check the network and AWS_ENDPOINT_URL, and run it again.") from error
    except boto.BotoCoreError as error:
        raise Refused(f"the order cannot be made ({error})") from error
