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
from headgate.domains.capacity.orders.plans import Order
from headgate.errors import HeadgateError, UsageError

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
    "UnrecognizedClientException",
    "MissingAuthenticationToken",
    "IncompleteSignature",
    "SignatureDoesNotMatch",
)
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "RequestTimeTooSkewed")
_DENIED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")

#: EC2 appends a blob of hundreds of letters to what it denies.
_BLOB = "Encoded authorization failure message"

_AGAIN = "run the same command again: it goes on from here"


class Refused(HeadgateError):
    """AWS does not take this order; others it may."""


class Unsettled(Refused):
    """Nobody knows whether AWS took this order: it must be asked about before it is ordered again."""


def reserve(order: Order, start: datetime, token: str, doubtful: bool) -> str:
    """The id of the reservation of an order, made now, or before if it is `doubtful` whether it was."""
    if doubtful:
        try:
            with _in_words(order):
                ec2 = _client("ec2", order.region)
                found = ec2.describe_capacity_reservations(Filters=[{"Name": f"tag:{TAG}", "Values": [token]}])
        except Refused as refused:
            raise Unsettled(f"whether it was ordered before cannot be asked: {refused}") from refused
        if found["CapacityReservations"]:
            return str(found["CapacityReservations"][0]["CapacityReservationId"])
    with _in_words(order):
        made = _client("ec2", order.region).create_capacity_reservation(**_asked(order, start, token))
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

    told = os.environ.get("AWS_MAX_ATTEMPTS", "10")
    if not told.isdecimal() or not int(told):
        raise UsageError(f"AWS_MAX_ATTEMPTS is {told!r}: set it to a whole number from 1 on.")
    settings = Config(
        retries={"mode": "standard", "total_max_attempts": int(told)}, connect_timeout=10, read_timeout=60
    )
    try:
        return boto3.client(service, region_name=region, config=settings)
    except ValueError as error:  # of an address that is none
        raise UsageError(f"boto3 cannot be set up ({error}): mend AWS_ENDPOINT_URL, or unset it.") from error


@contextmanager
def _in_words(order: Order) -> Iterator[None]:
    """Turn what boto3 raises into Refused for this order alone, or HeadgateError where no order can be placed."""
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError

    try:
        yield
    except boto.ClientError as error:
        raise _refusal(error, order) from error
    except (
        boto.NoCredentialsError,
        boto.PartialCredentialsError,
        boto.CredentialRetrievalError,
        boto.ProfileNotFound,
        boto.NoAuthTokenError,
    ) as error:
        remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        raise HeadgateError(f"There are no AWS credentials ({_short(error)}): {remedy}, and {_AGAIN}.") from error
    except (boto.SSOError, boto.TokenRetrievalError) as error:
        raise HeadgateError(f"The AWS login is over ({_short(error)}): `aws sso login`, and {_AGAIN}.") from error
    except (boto.HTTPClientError, boto.ConnectionError) as error:
        remedy = "check the network and AWS_ENDPOINT_URL"
        raise HeadgateError(f"AWS does not answer ({_short(error)}): {remedy}, and {_AGAIN}.") from error
    except ResponseParserError as error:
        remedy = "check AWS_ENDPOINT_URL and proxies"
        raise HeadgateError(f"What answers is not AWS: {remedy}, and {_AGAIN}.") from error
    except boto.BotoCoreError as error:
        raise Refused(f"the order cannot be made ({_short(error)}): mend the fleet file and plan again") from error


def _refusal(error: Any, order: Order) -> HeadgateError:
    """What a botocore ClientError means in words; Unsettled where AWS itself failed and may have taken the order."""
    code, said = error.response["Error"].get("Code", ""), _short(error.response["Error"].get("Message", ""))
    if code in _EXPIRED:
        remedy = "renew them, or set the clock of this machine"
        return HeadgateError(f"The AWS credentials have expired ({code}): {remedy}, and {_AGAIN}.")
    if code in _CLOSED:
        return HeadgateError(f"AWS does not accept the credentials ({code}): renew them, and {_AGAIN}.")
    if code in _DENIED:
        return Refused(f"AWS does not allow {error.operation_name} ({said}): let its policy allow it, and run it again")
    if code in _QUOTAS:
        return Refused(f"the quota of the account is too small ({said}): ask for more in Service Quotas")
    if code in _NONE_LEFT:
        return Refused(f"AWS has no such capacity in {order.zone} then ({said}): take another zone or type")
    if code in _THROTTLED:
        return Refused("AWS throttled every attempt: run the command again in some minutes")
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
        return Unsettled(f"AWS failed ({code}: {said}): run the command again, which first asks what came of it")
    return Refused(f"AWS refused it ({code}: {said})")


def _short(said: object) -> str:
    """What AWS or boto3 says, as a part of a sentence."""
    return " ".join(str(said).partition(_BLOB)[0].split()).rstrip(".:")
