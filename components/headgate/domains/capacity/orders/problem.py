"""A fleet and its needs as arrays: what the programme, its patterns and its prices are made of."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from headgate.domains.capacity.orders.fleet import HOURS, Fleet
from headgate.errors import UsageError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Sparse = Any  # scipy's sparse arrays have no types


@dataclass(frozen=True)
class Limit:
    """A quota over pools."""

    name: str
    pools: Flags  # [P]
    vcpus: int


@dataclass(frozen=True)
class Problem:
    """S services, P pools (each a zone × a type), C cells (each a service in a pool that may run it), T weeks.

    Needs and floors are in units that full instances carry; prices are for an instance and a week.
    """

    fleet: Fleet
    weeks: tuple[date, ...]
    services: tuple[str, ...]
    pools: tuple[tuple[str, str], ...]  # zone, type
    service: Ints  # [C]
    pool: Ints  # [C]
    units: Floats  # [C]
    need: Floats  # [W, S, T] scenarios of each week's highest step
    held: Ints  # [P, T] reservations that are there already
    running: Ints | None  # [P] in the week before; None if nobody told

    @cached_property
    def floor(self) -> Floats:
        """What must be left of each service [S, T] when any zone is lost."""
        share = np.array([self.fleet.services[name].floor for name in self.services])
        return np.asarray(share[:, None] * np.quantile(self.need, self.fleet.shortage.quantile, axis=0))

    @cached_property
    def on_demand(self) -> Floats:
        """Price by pool [P]."""
        return np.array([self.fleet.types[kind].on_demand * HOURS for _, kind in self.pools])

    @cached_property
    def reserved(self) -> Floats:
        """Price by pool [P]."""
        return np.array([self.fleet.types[kind].reserved * HOURS for _, kind in self.pools])

    @cached_property
    def missing(self) -> Floats:
        """Price [S] of a unit that is missing at a week's peak."""
        hours = self.fleet.shortage.hours
        told = [self.fleet.services[name] for name in self.services]
        # a need is a load × factors: a missing unit of need is so many units of load
        return np.array([one.missing * hours * one.utilisation / one.burst for one in told])

    @cached_property
    def lot(self) -> Ints:
        """Instances in a lot, by pool [P]."""
        return np.array([self.fleet.types[kind].lot for _, kind in self.pools])

    @cached_property
    def early(self) -> Flags:
        """Where [P, T] no new reservation can begin yet."""
        lead = np.array([self.fleet.types[kind].lead_weeks for _, kind in self.pools])
        return (np.arange(len(self.weeks))[None] < lead[:, None]) | self.unborn

    @cached_property
    def unborn(self) -> Flags:
        """Where [P, T] a type cannot be had at all yet."""
        first = [self.fleet.types[kind].first_week or date.min for _, kind in self.pools]
        return np.array([[week < day for week in self.weeks] for day in first])

    @cached_property
    def lasting(self) -> Sparse:
        """Reservations [P·T] that lots begun [P·T] make, both pool by pool."""
        weeks = np.arange(len(self.weeks))
        blocks = []
        for (_, kind), lot in zip(self.pools, self.lot, strict=True):
            age = weeks[:, None] - weeks[None, :]
            blocks.append(lot * ((age >= 0) & (age < self.fleet.types[kind].commitment_weeks)))
        return sp.block_diag([np.asarray(block, np.float64) for block in blocks], format="csr")

    @cached_property
    def beginning(self) -> Floats:
        """What a lot costs [P, T] that begins in a week: its weeks in the plan, and the part of those after it that is
        of no use."""
        weeks, found = len(self.weeks), np.zeros((len(self.pools), len(self.weeks)))
        for i, (_, kind) in enumerate(self.pools):
            lasts = self.fleet.types[kind].commitment_weeks
            inside = np.minimum(lasts, weeks - np.arange(weeks))
            found[i] = self.lot[i] * self.reserved[i] * (inside + (1 - self.fleet.use_after) * (lasts - inside))
        return found

    @cached_property
    def pooled(self) -> Sparse:
        """Sums cells [C] to pools [P]."""
        return self._sum(np.ones(len(self.pool)), self.pool, len(self.pools))

    @cached_property
    def carried(self) -> Sparse:
        """Sums cells [C] to the units of services [S]."""
        return self._sum(self.units, self.service, len(self.services))

    @cached_property
    def lost(self) -> list[tuple[int, int]]:
        """Every service with a floor and every zone of its region: what [L] the loss constraints are about."""
        zones, services = self.fleet.zones, self.fleet.services
        return [
            (s, zones.index(zone))
            for s, name in enumerate(self.services)
            if services[name].floor > 0
            for zone in self.fleet.regions[services[name].region]
        ]

    @cached_property
    def left(self) -> Sparse:
        """Sums cells [C] to the units of a service that are left when a zone is lost [L]."""
        zone = self.cell_zone
        rows, cells = [], []
        for row, (s, z) in enumerate(self.lost):
            stay = np.flatnonzero((self.service == s) & (zone != z))
            rows.append(np.full(len(stay), row))
            cells.append(stay)
        if not rows:
            return sp.csr_array((0, len(self.pool)))
        where = np.concatenate(cells)
        shape = (len(self.lost), len(self.pool))
        return sp.csr_array((self.units[where], (np.concatenate(rows), where)), shape=shape)

    @cached_property
    def cell_zone(self) -> Ints:
        """The zone [C] of a cell, as its place in the fleet's zones."""
        of_pool = np.array([self.fleet.zones.index(zone) for zone, _ in self.pools])
        return np.asarray(of_pool[self.pool])

    @cached_property
    def vcpus(self) -> Ints:
        """Of an instance, by pool [P]."""
        return np.array([self.fleet.types[kind].vcpus for _, kind in self.pools])

    @cached_property
    def limits(self) -> list[Limit]:
        """The quotas."""
        found = []
        for quota in self.fleet.quotas:
            there = [
                self.fleet.types[kind].family == quota.family and quota.where in (zone, self.fleet.region(zone))
                for zone, kind in self.pools
            ]
            found.append(Limit(f"{quota.family} in {quota.where}", np.array(there), quota.vcpus))
        return found

    @cached_property
    def used(self) -> Floats:
        """The vCPUs [Q, P] that an instance of a pool takes of a quota."""
        return np.array([limit.pools * self.vcpus for limit in self.limits], np.float64).reshape(-1, len(self.pools))

    @cached_property
    def allowed(self) -> Floats:
        """The vCPUs [Q] of the quotas."""
        return np.array([limit.vcpus for limit in self.limits], np.float64)

    @cached_property
    def ramps(self) -> tuple[Floats, Floats]:
        """How many instances may come and go in a week, by pool [P]; infinite where nothing is said."""
        told = [self.fleet.ramps.get(kind) for _, kind in self.pools]
        add = np.array([np.inf if one is None else one.add for one in told])
        return add, np.array([np.inf if one is None else one.remove for one in told])

    def _sum(self, values: Floats, rows: Ints, n: int) -> Sparse:
        return sp.csr_array((values, (rows, np.arange(len(rows)))), shape=(n, len(rows)))


def build(fleet: Fleet, weeks: tuple[date, ...], need: Floats) -> Problem:
    """The arrays of a fleet with the needs [W, S, T] of its services in so many weeks.

    Raises UsageError for a service that no type of the fleet can run.
    """
    services, pools = tuple(fleet.services), tuple((zone, kind) for zone in fleet.zones for kind in fleet.types)
    place = {pool: i for i, pool in enumerate(pools)}
    cells = []
    for s, name in enumerate(services):
        mine = [
            (s, place[zone, kind], fleet.units(name, kind))
            for zone in fleet.regions[fleet.services[name].region]
            for kind in fleet.types
            if fleet.units(name, kind) > 0
        ]
        if not mine:
            raise UsageError(f"services.{name}.units: no type of the fleet can run it.")
        cells += mine
    service, pool, units = zip(*cells, strict=True)
    held = np.zeros((len(pools), len(weeks)), np.int64)
    for one in fleet.held:
        there = [(one.start or date.min) <= week < (one.end or date.max) for week in weeks]
        held[place[one.zone, one.type]] += one.count * np.array(there)
    running = None
    if fleet.running is not None:
        running = np.zeros(len(pools), np.int64)
        for row in fleet.running:
            running[place[row.zone, row.type]] += row.count
    return Problem(
        fleet, weeks, services, pools, np.array(service), np.array(pool), np.array(units), need, held, running
    )


def mondays(first: date, n: int) -> tuple[date, ...]:
    """The first days of n weeks."""
    return tuple(first + timedelta(weeks=i) for i in range(n))
