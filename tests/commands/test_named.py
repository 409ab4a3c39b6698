"""Every command that a page, a message or an example names exists, and so do its options."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from headgate.cli import app
from headgate.domain import NAMES

ROOT = Path(__file__).parents[2]

#: Where commands are named.
PLACES = ("README.md", "Makefile", "dvc.yaml", "docs", "infra", "mlflow", "flows", "components", "benchmarks")
KINDS = ("", ".md", ".py", ".html", ".yaml", ".yml", ".sh")

#: In backticks or <code>, to its end; or a line of its own, also behind a prompt, a key or a recipe's path.
INLINE = re.compile(r"`headgate ([^`\n]*(?:\n[^`\n]*)?)`|<code>headgate ([^<]*)</code>")
LINE = re.compile(r"^(?:[-\s$#@]|cmd:|command:|\$\(BIN\)/|Examples?:|·)*headgate ((?:.*\\\n)*.*)$", re.MULTILINE)

#: What stands for a word that somebody puts there: DOMAIN, {domain.name}, $NAME, {{ told.name }}.
PLACEHOLDER = re.compile(r"^(\{.*|\$.*|[A-Z]+…?)$")
HOLE = re.compile(r"\{\{.*?\}\}|\$?\{[^{}]*\}")


def read(place: Path) -> Iterator[tuple[str, bool]]:
    """The commands that a file names, and whether each is whole, so that it could be run as it stands."""
    text = place.read_text(encoding="utf-8")
    if place.suffix == ".py":
        text = re.sub(r'"\n\s*f?"', "", text)  # a sentence in parts
    for found in INLINE.finditer(text):
        yield next(filter(None, found.groups())), False
    for found in LINE.finditer(text):
        if place.suffix != ".py":
            yield re.sub(r"\\\n|\$\([A-Z]+\)", " ", found[1]), "…" not in found[1] and not HOLE.search(found[1])


def wrong(command: str, whole: bool = False) -> str:
    """What is wrong with a command that is named so, without its `headgate`; empty if nothing is."""
    try:
        words = shlex.split(HOLE.sub("{}", command), comments=True)
    except ValueError:  # a brace or an apostrophe of the sentence around it
        words = HOLE.sub("{}", command).split()
    return _wrong(typer.main.get_command(app), words, whole)


def _wrong(at: Any, words: list[str], whole: bool) -> str:
    context = at.make_context(at.name, [], resilient_parsing=True)
    if not hasattr(at, "list_commands"):
        return _misused(at, words, whole)
    if not words or words[0].startswith("--") or words[0] == "…":
        return _misused(at, [word for word in words if word != "COMMAND"], False)
    if words[1:2] == ["|"]:  # several, and perhaps what follows all of them
        first = [word for before, word in zip(["|", *words], words, strict=False) if before == "|"]
        return next(filter(None, (_wrong(at, [word], False) for word in first)), "")
    for name in words[0].split("|"):
        if PLACEHOLDER.match(name):
            if set(at.list_commands(context)) != set(NAMES):
                return ""  # any command of any domain
            name = NAMES[0]
        below = at.get_command(context, name)
        if below is None:
            return f"there is no {name} in {at.name or 'headgate'}"
        if found := _wrong(below, words[1:], whole and "|" not in words[0]):
            return found
    return ""


def _misused(at: Any, words: list[str], whole: bool) -> str:
    known = {name for one in at.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
    options = [match[1] for word in words if (match := re.match(r"\[?(--[a-z-]+)", word))]
    if strange := [name for name in options if name not in known]:
        return f"{at.name} has no {', '.join(strange)}"
    if not whole or "--help" in words:
        return ""
    end = next((n for n, word in enumerate(words) if word in (">", "|", "&", "&&")), len(words))
    try:
        at.make_context(at.name, words[:end])
    except Exception as error:  # of the parser, or of what it reads a word with
        told = error.format_message() if hasattr(error, "format_message") else error
        return f"{at.name} cannot be called so: {told}"
    return ""


def places() -> list[Path]:
    roots = [ROOT / place for place in PLACES]
    files = [one for root in roots for one in ([root] if root.is_file() else sorted(root.rglob("*")))]
    made = ("__pycache__", ".egg-info")  # by Python and by an install, out of what the README was then
    kept = (one for one in files if not any(part.endswith(made) for part in one.parts))
    return [one for one in kept if one.is_file() and one.suffix in KINDS]


def test_every_command_that_is_named_exists_with_its_options() -> None:
    named = [(place, *found) for place in places() for found in read(place)]
    assert len(named) > 200  # or the patterns find them no more
    checked = [(place.relative_to(ROOT), name, wrong(name, whole)) for place, name, whole in named]
    assert [f"{place}: headgate {name}: {what}" for place, name, what in checked if what] == []


def test_every_example_in_a_help_can_be_called() -> None:
    examples = list(_examples(typer.main.get_command(app)))
    assert len(examples) > 20
    assert [f"headgate {example}: {what}" for example in examples if (what := wrong(example, whole=True))] == []


def _examples(at: Any) -> Iterator[str]:
    """What follows `headgate` in the help of a command and of those below it; each begins a line or follows a dot."""
    context = at.make_context(at.name, [], resilient_parsing=True)
    text = re.sub(r"\n(?!\n)\s*", " ", f"{at.help or ''}\n\n{at.epilog or ''}")
    yield from re.findall(r"(?:^|\n|· |: )\s*headgate (.*?)(?= · |, and |\n|$)", text)
    for name in at.list_commands(context) if hasattr(at, "list_commands") else ():
        yield from _examples(at.get_command(context, name))


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("calendar add x", "there is no calendar in headgate"),
        ("forecast capacity", "there is no forecast in headgate"),
        ("capacity calendar ad", "there is no ad in calendar"),
        ("hold|relase|canary", "there is no relase in headgate"),
        ("serve | servers | demmo", "there is no demmo in headgate"),
        ("simulate DOMAIN --size 3", "adclicks has no --size"),
        ("retrain adclicks --sorce x", "retrain has no --sorce"),
        ("retrain adclicks", "retrain cannot be called so: Missing"),
        ("rollback adclicks --reason 'x' 3", "rollback cannot be called so: Got unexpected extra"),
        ("canary adclicks --share 2 --reason x", "canary cannot be called so: Invalid value"),
        ("decide fruit --on x --out y", "decide cannot be called so: There is no domain"),
    ],
)
def test_a_misspelt_command_is_found(command: str, what: str) -> None:
    assert wrong(command, whole=True).startswith(what)
