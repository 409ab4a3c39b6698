"""One pattern for every service and week, so that all together cost least and keep quotas and ramps: parts first.

Limits tie patterns by few rows, so in the relaxed choice nine in ten services and weeks have one pattern whole. The
others take the pattern with the largest share; `settle` exchanges the rest.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from headgate.calibration.budget import cvxpy
from headgate.domains.capacity.orders import programme
from headgate.domains.capacity.orders.patterns import Patterns
from headgate.domains.capacity.orders.problem import Problem
from headgate.domains.capacity.orders.shortage import worst

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def choose_patterns(case: Problem, found: Patterns) -> tuple[Ints, Ints]:
    """Instances [C, T] and lots that begin [P, T], whole; floors are kept, limits nearly."""
    share, begun = _relaxed(case, found, missing_cost(case, found))
    block = found.service * len(case.weeks) + found.week
    order = np.lexsort((-share, block))
    instances = np.zeros((len(case.pool), len(case.weeks)), np.int64)
    for i in order[np.searchsorted(block[order], np.unique(block))]:
        cells = np.flatnonzero(case.service == found.service[i])
        instances[cells, found.week[i]] = found.counts[i, case.pool[cells]]
    return instances, np.round(begun).astype(np.int64)


def missing_cost(case: Problem, found: Patterns) -> Floats:
    """What missing units cost with each pattern [n]."""
    drawn = worst(case)
    units = np.zeros((len(case.services), len(case.pools)))
    units[case.service, case.pool] = case.units
    capacity = (found.counts * units[found.service]).sum(axis=1)
    answer = np.zeros(len(found.service))
    for s in range(len(case.services)):
        mine = np.flatnonzero(found.service == s)
        short = np.maximum(drawn[:, s, found.week[mine]] - capacity[mine], 0.0).mean(axis=0)
        answer[mine] = case.missing[s] * short
    return answer


def _relaxed(case: Problem, found: Patterns, missing: Floats) -> tuple[Floats, Floats]:
    """Shares of patterns [n] and lots [P, T] where both may be parts."""
    cp = cvxpy()
    n, weeks = len(found.service), len(case.weeks)
    share = cp.Variable(n, nonneg=True)
    block = found.service * weeks + found.week
    one = sp.csr_array((np.ones(n), (block, np.arange(n))), shape=(len(case.services) * weeks, n))
    pattern, pool = np.nonzero(found.counts)
    counts = found.counts[pattern, pool].astype(float)
    shape = (len(case.pools), weeks)
    summed = sp.csr_array((counts, (pool * weeks + found.week[pattern], pattern)), shape=(shape[0] * weeks, n))
    shared = programme.pools(case, cp.reshape(summed @ share, shape, order="C"), whole=False)
    cost: Any = shared.cost + missing @ share
    problem = cp.Problem(cp.Minimize(cost), [*shared.rows.values(), one @ share == 1])
    programme.solve(problem)
    return np.asarray(share.value), np.asarray(shared.begun.value)
