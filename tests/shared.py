"""Real data that lies beside the checkout in ../shared, and may not come with it: what needs it skips without it."""

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

#: 147,542 clicks of the TalkingData log.
TALKINGDATA = DATA / "adclicks" / "talkingdata" / "clicks.csv.gz"

#: Five months of calls of a cloud API, by the hour.
CLOUD_API = DATA / "capacity" / "ms_cloud" / "api-01.csv"


def needs(file: Path) -> pytest.MarkDecorator:
    """Skips a test where `file` is missing."""
    return pytest.mark.skipif(
        not file.is_file(), reason=f"{file.name} may not come with Headgate, and is not beside it in ../shared/data"
    )
