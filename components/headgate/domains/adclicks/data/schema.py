"""The raw schema: what a source of clicks holds.

A source is a folder (or an S3 prefix) of Parquet files, one a UTC day of arrival, immutable once the day is over::

    clicks/2026-11-01.parquet       one row a click, in the day it was received
    purchases/2026-11-01.parquet    one row a purchase, in the day it became known
    refunds/2026-11-01.parquet      one row a refund, in the day it became known

Events and their outcomes lie apart, so a click is stored once and its purchase joins it when it is known.
"""

import polars as pl

UTC = pl.Datetime("us", "UTC")

CLICKS: dict[str, pl.DataType] = {
    "click_id": pl.String(),  # unique; arrivals of one instant count in the order of their ids
    "event_time": UTC,  # when the click happened, by the sender's clock
    "utc_offset_min": pl.Int16(),  # the clicker's local time minus UTC, in minutes: -720 … 840
    "received_at": UTC,  # when we learned of it, by our own clock
    "user_id": pl.String(),
    "session_id": pl.String(),
    "ip": pl.String(),  # IPv4, or IPv6 that the features cut to its /64, or an opaque token
    "device": pl.String(),  # mobile, desktop, tablet, other
    "logged_in": pl.Boolean(),
    "campaign": pl.String(),
    "rfm": pl.Int8(),  # recency + frequency + monetary quintiles (3 … 15) of the account as known at the click, or null
}

PURCHASES: dict[str, pl.DataType] = {
    "purchase_id": pl.String(),
    "click_id": pl.String(),  # the click that led to it
    "purchased_at": UTC,
    "known_at": UTC,  # when we learned of it: a label is used from this instant on
    "amount": pl.Float64(),
}

REFUNDS: dict[str, pl.DataType] = {
    "refund_id": pl.String(),
    "purchase_id": pl.String(),
    "known_at": UTC,
    "amount": pl.Float64(),
}

TABLES = {"clicks": CLICKS, "purchases": PURCHASES, "refunds": REFUNDS}

#: The column whose UTC date names the file that a row lies in.
ARRIVAL = {"clicks": "received_at", "purchases": "known_at", "refunds": "known_at"}

#: Columns that may hold nulls; in every other a null is an error.
NULLABLE = {"clicks": {"rfm"}, "purchases": set[str](), "refunds": set[str]()}

DEVICES = ("mobile", "desktop", "tablet", "other")
