"""Expectations over a small profile, judged by Great Expectations.

Checking millions of rows with expectations is slow, so the table engine computes a profile first: a few small tables,
each with a column `key` that names its rows (an hour, a column, a day). An expectation says in which range a column
of one of them must lie, which texts it may hold, or what they look like. What the data cannot answer is null in the
profile, and *not judged*.
"""

import logging
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any

import polars as pl

from headgate.contract.checks import Check
from headgate.contract.expectations import Expectation, Profile

#: How many failing rows a sentence names before it says how many more there are.
NAMED = 6


def check_profile(profile: Profile, expectations: Sequence[Expectation]) -> list[Check]:
    """Judge `profile` by `expectations`: one validation by Great Expectations a table, one check an expectation."""
    found: dict[str, list[int]] = {}
    for table in dict.fromkeys(expectation.table for expectation in expectations):
        found |= _validate(profile[table], [e for e in expectations if e.table == table])
    return [_check(profile[e.table], e, found[e.name]) for e in expectations]


def _validate(table: pl.DataFrame, expectations: Sequence[Expectation]) -> dict[str, list[int]]:
    """Rows that break each expectation, by its name."""
    import great_expectations as gx

    judged = [e for e in expectations if table[e.column].count()]
    found: dict[str, list[int]] = {e.name: [] for e in expectations}
    if not judged:
        return found
    types = {e.column: pl.String if e.is_text else pl.Float64 for e in judged}
    frame = table.select(pl.col(name).cast(dtype) for name, dtype in types.items()).with_row_index("row").to_pandas()
    batch = _frames().get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(
        name="profile",
        expectations=[_as_great(e) for e in judged],
    )
    result = batch.validate(
        suite, result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["row"]}
    )
    for outcome in result.results:
        if not outcome.success:
            rows = outcome.result["unexpected_index_list"]
            name = outcome.expectation_config.meta["name"]  # type: ignore[union-attr]
            found[name] = [int(row["row"]) for row in rows]
    return found


def _as_great(e: Expectation) -> Any:
    """The expectation as Great Expectations knows it."""
    core: Any = import_module("great_expectations.expectations.core")

    told: dict[str, Any] = {"column": e.column, "meta": {"name": e.name}}
    if e.within is not None:
        return core.ExpectColumnValuesToBeInSet(value_set=list(e.within), **told)
    if e.matches is not None:
        return core.ExpectColumnValuesToMatchRegex(regex=e.matches, **told)
    return core.ExpectColumnValuesToBeBetween(min_value=e.low, max_value=e.high, **told)


@cache
def _frames() -> Any:
    """What makes batches of data frames. A context costs half a second of its own YAML, so a process makes one."""
    import great_expectations as gx

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    asset = context.data_sources.add_pandas("profile").add_dataframe_asset("table")
    return asset.add_batch_definition_whole_dataframe("whole")


def _check(table: pl.DataFrame, e: Expectation, broken: list[int]) -> Check:
    values = table[e.column].drop_nulls()

    def check(outcome: Any, measured: str, sentence: str) -> Check:
        return Check("data", e.name, outcome, e.consequence, measured, e.demanded, sentence)

    if not len(values):
        why = table["why"].drop_nulls().first() if "why" in table.columns else None
        return check("not judged", "–", str(why or "The data cannot answer this."))
    measured = _texts(table, e, broken) if e.is_text else _number(values.min() if e.low is not None else values.max())
    if not broken:
        return check("passed", measured, "As expected.")
    rows = table[broken].to_dicts()
    named = "; ".join(e.explain(row) for row in rows[:NAMED])
    more = f"; and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return check("failed", measured, f"{e.name.capitalize()}: {named}{more}. {e.remedy}")


def _texts(table: pl.DataFrame, e: Expectation, broken: list[int]) -> str:
    """The first text that is not as expected, or how many there are that are."""
    return str(table[e.column][broken[0]]) if broken else f"{table[e.column].count():,} texts"


def _number(number: Any) -> str:
    """A number in a few characters, without a power of ten where people would write none."""
    value = float(number)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
