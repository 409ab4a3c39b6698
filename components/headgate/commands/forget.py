"""`headgate forget`: forget a person or a thing wherever a domain holds it, with a signed receipt."""

from pathlib import Path
from typing import Annotated

import typer

from headgate import settings
from headgate.commands.completion import domain_names
from headgate.commands.options import Json, answer, one_domain
from headgate.errors import UsageError


def forget(
    domain: Annotated[
        str | None, typer.Argument(metavar="[DOMAIN]", help="Which domain.", autocompletion=domain_names)
    ] = None,
    unit: Annotated[str | None, typer.Argument(metavar="[UNIT]", help="Who or what, as the domain calls it.")] = None,
    why: Annotated[str, typer.Option("--why", help="For whoever reads the ledger; it must not name the unit.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    owed: Annotated[bool, typer.Option("--owed", help="Finish what was cut off, of all units of the domain.")] = False,
    verify: Annotated[Path | None, typer.Option("--verify", metavar="FILE", help="Verify a receipt.")] = None,
    public_key: Annotated[bool, typer.Option("--public-key", help="Show what receipts are verified by.")] = False,
    json: Json = False,
) -> None:
    """Forget a person or a thing: bytes, rows of the log, exports. Writes a receipt.

    What stays of it is a pseudonym, in the ledger and in references that lead nowhere any more.
    """
    here = settings.load()
    if public_key:
        from headgate.privacy.receipts import public_key as key_of

        typer.echo(key_of(here))
    elif verify is not None:
        from headgate.operations.verify_receipt import verify_receipt

        verified = verify_receipt(here, verify)
        answer(verified, json, verified.words())
    elif domain is None or (unit is None) != owed:
        raise UsageError("Say of which domain and which unit: headgate forget DOMAIN UNIT; or DOMAIN --owed.")
    elif unit is None:
        from headgate.operations.forget import finish_owed

        done = finish_owed(here, one_domain(domain))
        answer(done, json, "\n".join(one.words() for one in done) or f"{domain} owes no forgetting.")
    else:
        from headgate.operations.forget import forget_unit, look

        chosen = one_domain(domain)
        if not yes:
            held = look(here, chosen, unit) or "nothing that its store or its log tell"
            typer.confirm(f"{domain} holds of it: {held}. It cannot be brought back. Forget it?", abort=True)
        forgotten = forget_unit(here, chosen, unit, why=why)
        answer(forgotten, json, forgotten.words())
