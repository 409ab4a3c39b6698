"""A gamma regression with log link and a ridge, for thousands of series that share one design.

With the log link, the working weights of a gamma likelihood are all one (McCullagh and Nelder, Generalized Linear
Models, 1989, section 8.3), so every step of iteratively reweighted least squares solves with the same matrix XᵀX + Λ:
it is factorised once for all series and all steps. The means are fitted, zeros need no offset, and effects multiply.
A value that is missing is taken to be what the model says of it, which is the EM step of a least-squares problem and
leaves the matrix alone.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: A value counts as at most this many times its fitted mean: what is far above belongs in a mask, not in the fit.
CAP = 3.0

STEPS = 25

#: Series that are fitted at once; memory is rows × this × 8 bytes, a few times over.
CHUNK = 32

#: The fit of a series ends when none of its values moves by more than this on the log.
ENOUGH = 2e-3

#: The log of a mean that was never above zero: it forecasts nothing, and sums with it stay numbers.
FAINT = -30.0


@dataclass(frozen=True)
class Gram:
    """A design with its penalised normal matrix, factorised."""

    X: torch.Tensor  # [n, p]
    cholesky: torch.Tensor  # [p, p]

    @classmethod
    def of(cls, X: Floats, penalty: Floats) -> "Gram":
        """The Gram matrix of `X` [n, p]; `penalty` [p] is per row, so that it means the same for any n."""
        design = torch.as_tensor(X)
        ridge = torch.diag(torch.as_tensor(penalty) * len(X))
        return cls(design, torch.linalg.cholesky(design.T @ design + ridge))

    def fit(self, Y: NDArray[np.float32], at_least: NDArray[np.bool_] | None = None) -> Floats:
        """Coefficients [p, S] of log means for the series `Y` [n, S] ≥ 0, NaN where missing.

        Where `at_least` [n, S] is true, the value is censored: the truth was that much or more. The first column of
        the design must be the constant. A series without any positive value gets so low a constant that it forecasts
        zero. Series do not touch each other: each has the coefficients that it would have alone.
        """
        parts = [
            self._fit(Y[:, i : i + CHUNK], None if at_least is None else at_least[:, i : i + CHUNK])
            for i in range(0, Y.shape[1], CHUNK)
        ]
        return np.concatenate(parts, axis=1)

    def _fit(self, Y: NDArray[np.float32], at_least: NDArray[np.bool_] | None) -> Floats:
        y = torch.as_tensor(Y).to(torch.float64)
        known = ~torch.isnan(y)
        count = known.sum(dim=0).clamp(min=1)
        y = torch.where(known, y, 0.0)
        mean = y.sum(dim=0) / count
        empty = mean <= 0
        y = y / torch.where(empty, 1.0, mean)
        start = torch.where(known, torch.log(y + 0.05), 0.0)  # a log-linear fit, to begin from
        beta = torch.cholesky_solve(self.X.T @ start, self.cholesky)
        censored = None if at_least is None else torch.as_tensor(at_least)
        eta = self.X @ beta
        going = torch.ones_like(empty)  # the series whose fit has not ended
        for _ in range(STEPS):
            excess = torch.where(known, torch.clamp(y * torch.exp(-eta), max=CAP) - 1, 0.0)
            if censored is not None:
                excess = torch.where(censored, excess.clamp(min=0.0), excess)
            beta = torch.where(going, torch.cholesky_solve(self.X.T @ (eta + excess), self.cholesky), beta)
            moved, eta = eta, self.X @ beta
            going &= (eta - moved).abs().amax(dim=0) >= ENOUGH
            if not going.any():
                break
        beta[0] += torch.where(empty, FAINT, torch.log(mean))
        return np.asarray(beta.numpy())
