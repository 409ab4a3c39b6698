"""What is logged of a decided click beside what every domain logs: the click, its vector as served, and the score."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from headgate.contract.gameday import TAG
from headgate.contract.live import DecisionLog
from headgate.contract.observations import observations
from headgate.contract.row import Row
from headgate.domains.adclicks.data.schema import CLICKS
from headgate.domains.adclicks.data.snapshots import purchasing
from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.domains.adclicks.limits import WRONGED
from headgate.domains.adclicks.model.measures import measure

_COLUMNS: dict[str, pl.DataType] = {
    **CLICKS,
    "features": pl.Array(pl.Float32, len(FEATURES)),  # as served, in the order of `FEATURES`
    "score": pl.Float32(),
    "threshold": pl.Float32(),  # of the slice; null never invalidates
    "complete": pl.Boolean(),  # false where the windows may hold fewer clicks than there were
    "advertiser": pl.String(),  # who pays for the campaign, where that is known
}


LOG = DecisionLog(
    "adclicks",
    _COLUMNS,
    decided=("score", "threshold"),
    rehearsed=pl.col("campaign").str.starts_with(TAG).fill_null(False),  # the clicks of game days
)


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


#: Accounts of at least this RFM score (3 … 15) are known to be good. Lower than what training takes for human: there a
#: wrong label is learned, here a few robots among the good ones only make the watch slower.
KNOWN_GOOD_RFM = 12


def observe(rows: pl.DataFrame, truth: Path | None = None) -> pl.DataFrame:
    """What logged clicks tell of `METRICS`, and of accounts of a high RFM score: those are known to be good.

    Where nobody is logged in there is no score, and nobody is known. `truth` is a folder in the raw schema with the
    purchases and refunds of these clicks: with it the false-positive rate is observed too.
    """
    clicks = rows.select("click_id", "slice", "rfm", user="user_id", invalid=pl.col("outcome") == "invalid")
    if truth is not None:
        bought = purchasing(truth, datetime.max.replace(tzinfo=UTC))
        clicks = clicks.with_columns(bought=pl.col("click_id").is_in(bought["click_id"].implode()))
    good = (pl.col("rfm") >= KNOWN_GOOD_RFM).cast(pl.Float64)
    wronged = observations(clicks, WRONGED, unit=pl.col("user"), numerator=pl.col("invalid"), denominator=good)
    return pl.concat([wronged, *measure(clicks)])
