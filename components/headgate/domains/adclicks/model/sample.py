"""What the net and its baselines are fitted on: vectors, targets and weights, and the scale they are seen on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headgate.domains.adclicks.features.kernel import FEATURES
from headgate.domains.adclicks.model.table import Rows
from headgate.domains.adclicks.model.weights import cell_weights

#: Features that grow without bound: their logarithm is taken first.
UNBOUNDED = tuple(not name.endswith(("_sin", "_cos")) and name != "logged_in" for name in FEATURES)


@dataclass(frozen=True)
class Sample:
    """Clicks to train on: vectors x [n, d], target [n] (1: not human), weight [n]."""

    x: NDArray[np.float32]
    target: NDArray[np.float32]
    weight: NDArray[np.float32]

    @classmethod
    def of(cls, rows: Rows) -> "Sample":
        """Rows with the weights of their cells."""
        return cls(rows.x, (~rows.human).astype(np.float32), cell_weights(rows))


def logs(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors [n, d] with the logarithm of what grows without bound: what is scaled and fed to a model."""
    return np.where(UNBOUNDED, np.log1p(np.maximum(x, 0)), x).astype(np.float32)
