"""`headgate adclicks features`: the vectors of a folder of raw files."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from headgate.commands.options import Json, Out, answer


class Engine(StrEnum):
    """Where the kernel runs."""

    local = "local"
    spark = "spark"


def features(
    on: Annotated[Path, typer.Option("--on", help="A folder of raw files.")],
    out: Out,
    engine: Annotated[Engine, typer.Option(help="This machine, day by day; or Spark, for what it cannot hold.")] = (
        Engine.local
    ),
    spark_master: Annotated[str, typer.Option(metavar="URL", help="Spark's master.")] = "local[*]",
    json: Json = False,
) -> None:
    """Write the feature vector of every click as Parquet, OUT/DAY.parquet; both engines give the same digits."""
    from headgate.domains.adclicks.stages import vectors

    written = vectors.write(on, out, master=spark_master if engine is Engine.spark else None)
    answer(written, json, written.words(out))
