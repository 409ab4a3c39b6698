"""Placing a plan in a process of its own, which may be killed: imports little, as every such process begins with it."""

import os
from datetime import UTC, datetime
from pathlib import Path

from headgate.settings import Settings

NOW = datetime(2026, 2, 20, tzinfo=UTC)


def order(here: Settings, plan: Path, url: str) -> None:
    os.environ |= {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
    from headgate.domains.capacity.orders.place import place
    from headgate.domains.capacity.orders.plans import read
    from headgate.registry.ledger import Ledger

    place(Ledger(here), read(plan), now=lambda: NOW)
