"""How far a load is, for people who wait for it."""

import sys

from headgate.load.generator import Progress


def progress(seconds: float) -> Progress | None:
    """A line on the terminal that counts up to `seconds`; None where there is none to write it on."""
    if not sys.stderr.isatty():
        return None
    shown = 0

    def show(now: float, sent: int) -> None:
        nonlocal shown
        if int(now) > shown:
            shown = int(now)
            print(f"\r{shown:5} of {seconds:.0f} s, {sent:,} sent ", end="", file=sys.stderr, flush=True)

    return show
