"""The command line. Importing it loads no model library: `headgate --help` answers at once."""

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from headgate import settings
from headgate.commands import backup, recovery, trace
from headgate.commands.drill import drill
from headgate.commands.gc import gc
from headgate.commands.load import load
from headgate.commands.options import DomainName, Json, Out, answer, instant
from headgate.commands.replay import replay
from headgate.commands.schedule import schedule
from headgate.commands.shadow import shadow
from headgate.commands.token import token_app
from headgate.commands.watch import watch
from headgate.domain import get_domain
from headgate.domains.adclicks.commands.features import features
from headgate.domains.adclicks.commands.lookups import lookups_app
from headgate.domains.capacity.commands import forecast as capacity
from headgate.domains.capacity.commands.calendar import calendar_app, mask_app
from headgate.domains.capacity.commands.gameday import gameday
from headgate.domains.capacity.commands.orders import orders_app
from headgate.errors import HeadgateError, UsageError

app = typer.Typer(
    help="Retrain models every day, and let a new one reach traffic only through a gate that can say why.",
    epilog="Exit codes: 0 done, 1 a fault, 2 usage, 3 refused by the gate, 4 data refused, 5 waits for a reviewer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
data_app = typer.Typer(help="The datasets behind versions.", no_args_is_help=True)
log_app = typer.Typer(help="The decision log.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(log_app, name="log")
app.add_typer(calendar_app, name="calendar")
app.add_typer(mask_app, name="mask")
app.add_typer(orders_app, name="orders")
app.add_typer(lookups_app, name="lookups")
app.add_typer(token_app, name="token")

DISK_FULL = "The disk is full. What was there before is unchanged: make room and run the command again."


def main() -> None:
    """Run the command; an error that says what to do ends it with its own exit code."""
    try:
        app()
    except HeadgateError as error:
        typer.secho(DISK_FULL if _disk_is_full(error) else str(error), fg="red", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.secho("Stopped.", err=True)
        sys.exit(130)
    except Exception as error:
        typer.secho(_fault(error), fg="red", err=True)
        sys.exit(1)


def _disk_is_full(error: Exception) -> bool:
    """Whether a full disk, or a full quota, is what lies behind an error."""
    import errno

    causes: list[BaseException] = [error]
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(cause)
    full = (errno.ENOSPC, errno.EDQUOT)
    return any(getattr(c, "errno", None) in full or "No space left on device" in str(c) for c in causes)


def _fault(error: Exception) -> str:
    """A sentence for a fault that nothing foresaw; its traceback goes to a file for whoever mends it."""
    import traceback

    if _disk_is_full(error):
        return DISK_FULL
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    try:
        log = settings.load().home / "logs" / "fault.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC).isoformat()} {' '.join(sys.argv)}\n")
            file.writelines(traceback.format_exception(error))
    except (OSError, HeadgateError):  # the log is a comfort, the sentence is what counts
        return f"A fault that Headgate did not foresee ({said})."
    return f"A fault that Headgate did not foresee ({said}). The whole story is in {log}."


@app.command()
def simulate(
    domain: DomainName,
    days: Annotated[int, typer.Option(min=1, help="How many days.")],
    out: Out,
    scenario: Annotated[str, typer.Option(help="What happens; a wrong name lists them all.")] = "calm",
    seed: Annotated[int, typer.Option(help="The same seed makes the same files.")] = 0,
    start: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The first day.")] = None,
    clicks_per_day: Annotated[int | None, typer.Option(min=1, help="adclicks: clicks on a usual day.")] = None,
    regions: Annotated[int | None, typer.Option(min=1, help="capacity: regions, each with its own clock.")] = None,
    services: Annotated[int | None, typer.Option(min=1, help="capacity: services in every region.")] = None,
    step: Annotated[int | None, typer.Option(min=60, help="capacity: seconds from point to point.")] = None,
    weekly_years: Annotated[int | None, typer.Option(min=0, help="capacity: years of weekly orders as well.")] = None,
) -> None:
    """Simulate raw data with a hidden truth, which is kept apart in OUT.truth."""
    from inspect import signature

    chosen = get_domain(domain)
    if scenario not in chosen.scenarios:
        known = "\n".join(f"  {name:<14} {what}" for name, what in chosen.scenarios.items())
        raise UsageError(f"There is no scenario {scenario!r}. Choose one of:\n{known}")
    sizes = {
        "clicks_per_day": clicks_per_day,
        "regions": regions,
        "services": services,
        "step": step,
        "weekly_years": weekly_years,
    }
    asked = {name: size for name, size in sizes.items() if size is not None}
    if strange := [name for name in asked if name not in signature(chosen.simulate).parameters]:
        raise UsageError(f"{domain} has no --{strange[0].replace('_', '-')}.")
    if "clicks_per_day" in chosen.demo:
        asked.setdefault("clicks_per_day", chosen.demo["clicks_per_day"])
    with _progress(f"simulating {domain}", days) as advance:
        chosen.simulate(
            out,
            days=days,
            scenario=scenario,
            seed=seed,
            start=start.date() if start else None,
            on_day=lambda day: advance(),
            **asked,
        )
    length = "1 day of" if days == 1 else f"{days} days of"
    typer.echo(f"{out} holds {length} {domain} ({scenario}), and {out}.truth their hidden truth.")


@app.command("import")
def import_(
    domain: DomainName,
    file: Annotated[str, typer.Argument(help="The file to bring in; for cloudwatch, NAMESPACE/METRIC.")],
    out: Out,
    format: Annotated[
        str, typer.Option("--format", help="csv with --map; talkingdata (adclicks), cloudwatch (capacity).")
    ] = "csv",
    map: Annotated[
        list[str] | None, typer.Option("--map", metavar="COLUMN=HEADER", help="Our column, and its name in the file.")
    ] = None,
    tz: Annotated[str | None, typer.Option(help="Zone of times that name none, for example Europe/Vienna.")] = None,
    facts: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="What the file does not say, for example region=eu."),
    ] = None,
    json: Json = False,
) -> None:
    """Turn a foreign file into the raw schema."""

    mapping = dict(_pair(item, "--map user_id=visitor") for item in map or [])
    told = dict(_pair(item, "--set region=eu") for item in facts or [])
    report = get_domain(domain).import_data(file, out, format=format, mapping=mapping, tz=tz, facts=told)
    answer(report, json, report.words(out))


@app.command()
def retrain(
    domain: DomainName,
    source: Annotated[
        str, typer.Option(help="A folder or an s3://bucket/prefix with the raw files; log is the decision log.")
    ],
    as_of: Annotated[
        str | None, typer.Option(metavar="DATE", help="Use nothing known later, e.g. 2026-01-22 or 2026-01-22T06:00Z.")
    ] = None,
    outcomes: Annotated[
        str | None, typer.Option(help="With --source log: a folder or an s3://bucket/prefix with what came of it.")
    ] = None,
    recalibrate_only: Annotated[
        bool, typer.Option("--recalibrate-only", help="Keep the champion's model and set only its thresholds anew.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of everything random in training.")] = 0,
    json: Json = False,
) -> None:
    """Retrain, judge, and promote if the gate lets it through."""
    from headgate.operations.retrain import run_retrain as run

    outcome = run(
        settings.load(),
        get_domain(domain),
        source,
        instant(as_of),
        outcomes=outcomes,
        recalibrate_only=recalibrate_only,
        seed=seed,
    )
    answer(outcome, json, outcome.words)
    raise typer.Exit(outcome.exit_code)


@app.command()
def run(
    stage: Annotated[str, typer.Argument(help="snapshot, validate, train, calibrate or evaluate.")],
    domain: DomainName,
    params: Annotated[Path, typer.Option(help="Where the request stands.")] = Path("params.yaml"),
) -> None:
    """Run one stage as `dvc.yaml` does, with the request that stands in params.yaml."""
    import yaml

    from headgate import stages
    from headgate.domain import Request
    from headgate.orchestration.outcome import step

    chosen = get_domain(domain)
    if not params.is_file():
        raise UsageError(f"There is no {params} here: run inside a checkout, or name it with --params.")
    try:
        values = yaml.safe_load(params.read_text(encoding="utf-8"))
        work, asked = Path(values["workspace"]) / domain, values[domain]
        source, as_of = str(asked["source"]), str(asked["as_of"])
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        needs = f"`workspace`, and `{domain}` with `source` and `as_of`"
        raise UsageError(f"{params} holds no request for {domain}: it needs {needs}.") from error
    settings.load()
    with step(stage):
        if stage == "snapshot":
            at = instant(as_of)
            assert at is not None
            stages.snapshot(chosen, work, Request(source, at, asked.get("base") or None, asked.get("seed", 0)))
        elif stage in stages.STAGES:
            order = ["snapshot", *stages.STAGES]
            before = order[order.index(stage) - 1]
            if not (work / before).is_dir():
                raise UsageError(f"There is no {before} in {work}: run that stage first.")
            stages.STAGES[stage](chosen, work)
        else:
            raise UsageError(f"There is no stage {stage!r}; there are: snapshot, {', '.join(stages.STAGES)}.")


@app.command()
def decide(
    domain: DomainName,
    on: Annotated[Path, typer.Option("--on", help="A folder of raw files.")],
    out: Out,
    version: Annotated[str, typer.Option(help="A number, or an alias such as champion.")] = "champion",
    json: Json = False,
) -> None:
    """Decide every event of a folder with one version, as Parquet."""
    from headgate.operations.batch import decide_folder as run

    report = run(settings.load(), get_domain(domain), version, on, out)
    answer(report, json, report.words())


@app.command()
def evaluate(
    domain: DomainName,
    on: Annotated[Path, typer.Option("--on", help="A folder of raw files with their outcomes.")],
    version: Annotated[str, typer.Option(help="A number, or an alias such as champion.")] = "champion",
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="What is older is history only, and not scored.")
    ] = None,
    json: Json = False,
) -> None:
    """Score any version on any data, with its baselines beside it."""
    from headgate.operations.batch import evaluate_folder as run

    report = run(settings.load(), get_domain(domain), version, on, instant(since))
    answer(report, json, report.words())


@app.command()
def status(json: Json = False) -> None:
    """What decides in each domain, what waits, and how the last run ended."""
    from headgate.operations.status import read_status as look

    report = look(settings.load())
    answer(report, json, report.words())


@data_app.command("checkout")
def data_checkout(
    domain: DomainName,
    version: Annotated[str, typer.Option(help="A number, or an alias such as champion.")] = "champion",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="A new folder; checkout/DOMAIN-VERSION in the state folder if left out."),
    ] = None,
) -> None:
    """Restore the exact data behind a version from the DVC remote."""
    from headgate.operations.batch import checkout

    folders, target = checkout(settings.load(), get_domain(domain).name, version, out)
    typer.echo(f"The data of {domain} version {version} is in {target}: {', '.join(path.name for path in folders)}.")


@app.command()
def serve(
    domain: Annotated[list[str], typer.Argument(metavar="DOMAIN…", help="One or more domains.")],
    host: Annotated[str | None, typer.Option(help="What to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The port; the next free one if it is taken.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Processes that share the port; more than one need HEADGATE_REDIS.")
    ] = 1,
) -> None:
    """Answer decisions with the champion, and follow it."""
    from headgate.access.tokens import refuse_open_doors
    from headgate.servers import free_port
    from headgate.serving.process import run as listen

    here = settings.load()
    chosen = [get_domain(name).name for name in domain]
    host, wanted = host or here.host, port or here.serve_port
    refuse_open_doors(replace(here, host=host))
    free = free_port(host, wanted)
    if free != wanted:
        typer.secho(f"Port {wanted} is taken; listening on {free}.", fg="yellow", err=True)
    listen(chosen, host, free, workers)


app.command()(features)
PANELS: dict[str, tuple[Any, ...]] = {
    "Who decides": (recovery.rollback, recovery.hold, recovery.release, recovery.canary, shadow),
    "What happened": (recovery.ledger, trace.trace, replay),
    "Day and night": (recovery.registrar, watch, schedule, backup.backup, backup.restore, gc, drill),
    "Under load": (load, gameday),
    "Load": (capacity.forecast, capacity.explain, capacity.whatif, capacity.track, capacity.headroom),
}
for panel, commands in PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
log_app.command("export")(trace.log_export)


@app.command()
def servers() -> None:
    """Run MLflow and Prefect on this machine until Ctrl-C."""
    from headgate.commands.demo import serve_all as run

    run(settings.load())


@app.command()
def demo(
    serve: Annotated[
        bool, typer.Option("--serve", help="Then serve, with a table of addresses, until Ctrl-C.")
    ] = False,
) -> None:
    """The main job: simulate data if there is none, retrain every domain on it, and report."""
    from headgate.commands.demo import run_demo as run

    raise typer.Exit(run(settings.load(), serve=serve))


def _pair(item: str, example: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    if not (name and equals and value):
        raise UsageError(f"{example.split()[0]} {item} is not NAME=VALUE, for example {example}.")
    return name, value


def _progress(title: str, total: int) -> Any:
    """A progress bar for people, nothing for pipes."""
    from contextlib import contextmanager

    @contextmanager
    def bar() -> Any:
        if not sys.stderr.isatty():
            yield lambda: None
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True)) as progress:
            task = progress.add_task(title, total=total)
            yield lambda: progress.advance(task)

    return bar()


if __name__ == "__main__":
    main()
