"""The command line: a list of commands. Importing it loads no model library: `headgate --help` answers at once."""

import sys
from datetime import UTC, datetime
from typing import Any

import typer
from typer.core import TyperGroup

from headgate import settings
from headgate.commands import backup, batch, recovery, retrain, serve, trace
from headgate.commands.completion import completing
from headgate.commands.drill import drill
from headgate.commands.forget import forget
from headgate.commands.gc import gc
from headgate.commands.groups import OwnCommands
from headgate.commands.load import load
from headgate.commands.replay import replay
from headgate.commands.reviews import reviews
from headgate.commands.schedule import schedule
from headgate.commands.shadow import shadow
from headgate.commands.simulate import import_, simulate
from headgate.commands.status import status
from headgate.commands.token import token_app
from headgate.commands.watch import watch
from headgate.domains import NAMES
from headgate.errors import HeadgateError

#: What the help lists, panel by panel: commands, and groups of commands.
PANELS: dict[str, dict[str, Any]] = {
    "Data and versions": {
        "demo": serve.demo,
        "simulate": simulate,
        "import": import_,
        "retrain": retrain.retrain,
        "run": retrain.run,
        "decide": batch.decide,
        "evaluate": batch.evaluate,
        "data": batch.data_app,
    },
    "Who decides, and what happened": {
        "status": status,
        "rollback": recovery.rollback,
        "hold": recovery.hold,
        "release": recovery.release,
        "canary": recovery.canary,
        "shadow": shadow,
        "ledger": recovery.ledger,
        "trace": trace.trace,
        "replay": replay,
        "reviews": reviews,
        "log": trace.log_app,
    },
    "Day and night": {
        "serve": serve.serve,
        "servers": serve.servers,
        "schedule": schedule,
        "registrar": recovery.registrar,
        "watch": watch,
        "backup": backup.backup,
        "restore": backup.restore,
        "gc": gc,
        "forget": forget,
        "token": token_app,
        "load": load,
        "drill": drill,
    },
}


EXIT_CODES = "Exit: 0 done, 1 fault, 2 usage, 3 refused by the gate, 4 data refused, 5 waits"

OPTIONS = "[--help] [--install-completion] [--show-completion]"


class Headgate(TyperGroup):
    """The whole command line; its help is one screen."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """A line a command, panel by panel; `headgate COMMAND --help` tells the rest."""
        lines = [
            f"Usage: {ctx.command_path} [--help] [--install-completion] [--show-completion] COMMAND …",
            str(self.help),
        ]
        for panel, named in PANELS.items():
            lines.append(typer.style(panel, bold=True))
            lines += [f"  {name:<9}  {self.commands[name].get_short_help_str(200)}" for name in named]
        lines.append(f"{typer.style('Only one domain has', bold=True)}: `headgate {'|'.join(NAMES)} --help` tells")
        typer.echo("\n".join([*lines, EXIT_CODES]))  # as Typer does: what asks for help prints nothing itself


app = typer.Typer(
    cls=Headgate,
    help="Retrain models every day; a gate lets a new one reach traffic, or says why not.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for panel in PANELS.values():
    for name, command in panel.items():
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
for name in NAMES:
    app.add_typer(typer.Typer(cls=OwnCommands, help=f"What only {name} has.", no_args_is_help=True), name=name)

DISK_FULL = "The disk is full. What was there before is unchanged: make room and run the command again."


def main() -> None:
    """Run the command; an error that says what to do ends it with its own exit code."""
    try:
        app(prog_name="headgate")
    except HeadgateError as error:
        _tell(DISK_FULL if _disk_is_full(error) else str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.secho("Stopped.", err=True)
        sys.exit(130)
    except Exception as error:
        _tell(_fault(error))
        sys.exit(1)


def _tell(words: str) -> None:
    if not completing():  # a line that is being typed is no place for errors
        typer.secho(words, fg="red", err=True)


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
            shown = sys.argv[:2] if "forget" in sys.argv[1:2] else sys.argv  # it names whom nothing may name again
            file.write(f"{datetime.now(UTC).isoformat()} {' '.join(shown)}\n")
            file.writelines(traceback.format_exception(error))
    except (OSError, HeadgateError):  # the log is a comfort, the sentence is what counts
        return f"A fault that Headgate did not foresee ({said})."
    return f"A fault that Headgate did not foresee ({said}). The whole story is in {log}."


if __name__ == "__main__":
    main()
