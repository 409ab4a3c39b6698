"""What is logged of a decided click beside what every domain logs: the click, its vector as served, and the score."""

import polars as pl

from headgate.decisions.segments import Row
from headgate.domains.adclicks.features import FEATURES
from headgate.domains.adclicks.schema import CLICKS
from headgate.load.gameday_tag import TAG

LOGGED: dict[str, pl.DataType] = {
    **CLICKS,
    "features": pl.Array(pl.Float32, len(FEATURES)),  # as served, in the order of `FEATURES`
    "score": pl.Float32(),
    "threshold": pl.Float32(),  # of the slice; null never invalidates
    "complete": pl.Boolean(),  # false where the windows may hold fewer clicks than there were
    "advertiser": pl.String(),  # who pays for the campaign, where that is known
}


#: The clicks of game days.
REHEARSED = pl.col("campaign").str.starts_with(TAG).fill_null(False)


class LoggedClick(Row, frozen=True, array_like=True, gc=False):
    """A row of the log. Instants are microseconds since 1970, `features` the bytes of float32."""

    click_id: str
    event_time: int
    utc_offset_min: int
    received_at: int
    user_id: str
    session_id: str
    ip: str
    device: str
    logged_in: bool
    campaign: str
    rfm: int | None
    features: bytes | None
    score: float | None
    threshold: float | None
    complete: bool
    advertiser: str | None
