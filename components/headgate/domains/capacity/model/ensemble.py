"""How much each level model counts: what would have been least wrong at earlier origins.

Few origins show little about one series, and an average of level models beats the winner of the last round. So the
weights that all series share are held towards even ones, and each series' own towards the shared ones.
"""

import numpy as np
from numpy.typing import NDArray

from headgate.calibration.budget import cvxpy

Floats = NDArray[np.float64]

#: How strongly, as a multiple of the level models' mean absolute error (divided by √S for the weights of S series).
HELD = 0.5

#: A level model that counts less is not worth forming.
LEAST = 0.02

#: A log error counts at most this much: one day that went wrong by more says nothing of the others.
FAR = 3.0


def ensemble_weights(errors: Floats, volume: Floats) -> Floats:
    """Weights [K, S], non-negative with sum one, from log errors [T, K, S] and what each period was worth [T, S]."""
    S = errors.shape[2]
    together = shared(errors, volume)
    if S == 1:
        return together[:, None]
    own = [weights(errors[:, :, s], volume[:, s], together, HELD) for s in range(S)]
    return np.stack(own, axis=1)


def shared(errors: Floats, volume: Floats) -> Floats:
    """The weights [K] that all series share; each counts alike, whatever its size."""
    K, S = errors.shape[1:]
    seen = np.where(volume > 0, volume, 0.0)
    relative = volume * (seen > 0).sum(axis=0) / np.where(seen.any(axis=0), seen.sum(axis=0), 1.0)
    return weights(np.moveaxis(errors, 1, 2).reshape(-1, K), relative.ravel(), np.full(K, 1 / K), HELD / np.sqrt(S))


def weights(errors: Floats, volume: Floats, towards: Floats, held: float) -> Floats:
    """Weights [K] that minimise ``Σ volume · |errors @ w|`` plus a pull towards others.

    `errors` [m, K] are log level minus each level model; with `volume` [m] as what the level was worth, the sum is
    about the absolute error of the forecast itself. Rows with a NaN are left out; without any, the answer is `towards`.
    """
    cp = cvxpy()
    known = np.isfinite(errors).all(axis=1) & np.isfinite(volume) & (volume > 0)
    if errors.shape[1] == 1 or not known.any():
        return towards
    E, v = np.clip(errors[known], -FAR, FAR), volume[known] / volume[known].sum()
    spread = float(v @ np.abs(E).mean(axis=1))
    w = cp.Variable(errors.shape[1], bounds=[0, 1])
    cost = v @ cp.abs(E @ w) + held * spread * cp.sum_squares(w - towards)
    cp.Problem(cp.Minimize(cost), [cp.sum(w) == 1]).solve(solver=cp.CLARABEL)
    if w.value is None:
        return towards
    found = np.where(w.value < LEAST, 0.0, w.value)
    rounded = np.round(found / found.sum(), 6)  # the digits that the solver means: the rest depends on the machine
    rounded[rounded.argmax()] += 1 - rounded.sum()
    return np.asarray(rounded)
