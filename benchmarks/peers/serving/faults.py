"""Every fault under load, and whether an answer was wrong or is missing in the log."""

import os
import sys
import tempfile
from pathlib import Path
from unittest import mock

from peers.serving import rig
from peers.serving.rig import Sizes


def report(sizes: Sizes) -> str:
    """The section."""
    sys.path.insert(0, str(rig.ROOT))
    from tests.journeys.faults import ALL, measure, words

    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ):
        found = measure(Path(folder) / "state", ALL, workers=2)
    return "\n".join(
        [
            "## Faults",
            "",
            "Two workers, Redis, MLflow and the registrar under a steady load of about 150 requests a second; each fault "
            "is held until enough requests have met it. An answer is wrong where the logged vector and the version do "
            "not explain it, or where the log tells another. `benchmarks/peers/serving/faults.py`; what is done is in "
            "tests/journeys/faults.py.",
            "",
            words(found),
        ]
    )
