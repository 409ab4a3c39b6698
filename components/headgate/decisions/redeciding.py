"""Logged rows decided again with another version, each with the companions that it was decided with."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import polars as pl

from headgate.contract import companions
from headgate.contract.companions import OWN
from headgate.contract.live import Redecide
from headgate.contract.predictor import Predictor
from headgate.domain import Domain
from headgate.errors import HeadgateError, UsageError
from headgate.settings import Settings

log = logging.getLogger(__name__)


def redecide(domain: Domain) -> Redecide:
    """The domain's own; UsageError where it has none."""
    found = domain.logs.redecide
    if found is None:
        raise UsageError(f"{domain.name} logs nothing to decide by, so what was decided cannot be decided again.")
    return found


class Redecider:
    """Decides rows of the log again with `predictor`.

    A row that names a companion is decided with that one; where it had the version's own, with the own of `predictor`.
    One whose companion is gone cannot be decided, and `gone` says why.
    """

    def __init__(self, settings: Settings, domain: Domain, predictor: Predictor) -> None:
        """Raises UsageError where the domain's rows cannot be decided again."""
        self._settings, self._domain, self._predictor = settings, domain, predictor
        self._redecide = redecide(domain)
        self._known = {one.name: one for one in domain.companions if one.recall is not None}
        self._recalled: dict[str, Mapping[str, Any]] = {}  # by what rows name
        self.gone: list[str] = []  # sentences

    def __call__(self, rows: pl.DataFrame) -> pl.DataFrame:
        """`slice`, `outcome` (null: cannot be decided) and `DecisionLog.decided` of `rows`, in their order."""
        columns = ["slice", "outcome", *self._domain.logs.log.decided]
        if rows.is_empty():
            return rows.select(columns)
        if not self._known or rows["companions"].n_unique() == 1:
            return self._same(rows, columns)
        numbered = rows.with_row_index("__row").partition_by("companions", maintain_order=True)
        decided = [self._same(part.drop("__row"), columns).with_columns(part["__row"]) for part in numbered]
        return pl.concat(decided).sort("__row").drop("__row")

    def rows(self, rows: pl.DataFrame) -> pl.DataFrame:
        """`rows` as they would have been decided."""
        return rows.with_columns(self(rows).select("outcome", *self._domain.logs.log.decided))

    def _same(self, rows: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
        """Rows that name the same companions, decided again."""
        last = rows["decided_at"].max()
        assert isinstance(last, datetime)  # there are rows
        values = self._values(rows["companions"][0], last)
        if values is None:
            gone = {name: pl.lit(None, dtype=rows.schema[name]) for name in columns if name != "slice"}
            return rows.with_columns(**gone).select(columns)
        return self._redecide(self._predictor, rows, values).select(columns)

    def _values(self, column: str, at: datetime) -> Mapping[str, Any] | None:
        """The values that rows name; None where one is gone."""
        if column not in self._recalled:
            try:
                self._recalled[column] = {
                    name: known.recall(self._settings, identity, at)
                    for name, identity in companions.entries(column).items()
                    if (known := self._known.get(name)) and known.recall and not identity.startswith(OWN)
                }
            except HeadgateError as error:
                if str(error) not in self.gone:
                    self.gone.append(str(error))
                    log.warning("%s: %s", self._domain.name, error)
                return None
        return self._recalled[column]
