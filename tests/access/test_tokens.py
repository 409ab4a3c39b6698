"""`headgate token`: what is printed, what is kept."""

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
from typer.testing import CliRunner

from headgate import settings as settings_module
from headgate.access import tokens
from headgate.cli import app
from headgate.commands import token
from headgate.errors import UsageError


@pytest.fixture
def run(settings):
    """Run `headgate token …`; what it printed, or the error that says why not."""

    def call(*arguments):
        done = CliRunner().invoke(app, ["token", *arguments])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.stdout.strip()

    return call


def test_a_token_is_printed_once_and_only_its_hash_is_kept(run, settings):
    made = run("add", "shop", "--scope", "read", "--scope", "decide", "--scope", "read")
    assert made.startswith("hg_")
    assert len(made) >= 3 + 256 // 6
    written = settings.tokens_file.read_text()
    assert made not in written
    assert made[3:] not in written
    (kept,) = json.loads(written)
    assert (kept["name"], kept["scopes"], kept["sha256"]) == (
        "shop",
        ["decide", "read"],
        sha256(made.encode()).hexdigest(),
    )
    for said in (run("list"), run("list", "--json")):
        assert "shop" in said
        assert "decide" in said
        assert kept["sha256"] not in said


def test_tokens_differ(run):
    assert len({run("add", f"t{n}", "--scope", "read") for n in range(20)}) == 20


def test_only_its_owner_reads_the_file(run, settings):
    run("add", "a", "--scope", "read")
    run("add", "b", "--scope", "read")
    assert stat.S_IMODE(settings.tokens_file.stat().st_mode) == 0o600


def test_a_removed_token_is_gone_and_the_others_stay(run, settings):
    run("add", "a", "--scope", "read")
    kept = run("add", "b", "--scope", "operate")
    run("remove", "a")
    assert [one.name for one in tokens.read(settings.tokens_file)] == ["b"]
    caller = tokens.Keys(settings.tokens_file).find(kept.encode())
    assert caller == tokens.Caller("b", frozenset({"operate"}))
    with pytest.raises(UsageError, match="There are: b"):
        run("remove", "a")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a", "--scope", "read"), "already"),
        (("c", "--scope", "admin"), "decide, operate, read"),
        (("c d", "--scope", "read"), "letters"),
        (("@c", "--scope", "read"), "letters"),
        (("c\n", "--scope", "read"), "letters"),
    ],
)
def test_a_token_that_cannot_be_is_refused_and_changes_nothing(run, settings, arguments, words):
    run("add", "a", "--scope", "read")
    before = settings.tokens_file.read_bytes()
    with pytest.raises(UsageError, match=words):
        run("add", *arguments)
    assert settings.tokens_file.read_bytes() == before


def test_the_file_is_where_the_setting_says(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADGATE_TOKENS", str(tmp_path / "elsewhere" / "keys.json"))
    run("add", "a", "--scope", "read")
    assert (tmp_path / "elsewhere" / "keys.json").is_file()
    assert not (settings_module.load().home / "tokens.json").exists()


def test_tokens_that_are_made_at_once_are_all_kept(settings):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: token.add(f"t{n}", ["read"]), range(8)))
    assert len(tokens.read(settings.tokens_file)) == 8


@pytest.mark.parametrize("text", ["{", "{}", '[{"name": "a"}]', '[{"token": "hg_x"}]', "\xff"])
def test_a_file_that_holds_no_tokens_is_named(settings, text):
    settings.tokens_file.parent.mkdir(parents=True, exist_ok=True)
    settings.tokens_file.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=r"tokens\.json holds no tokens"):
        tokens.Keys(settings.tokens_file)


@pytest.mark.parametrize(
    ("variable", "text"), [("HEADGATE_RATE", "fast"), ("HEADGATE_RATE", "0"), ("HEADGATE_LOG", "xml")]
)
def test_a_setting_that_cannot_be_is_refused_by_name(monkeypatch, variable, text):
    monkeypatch.setenv(variable, text)
    with pytest.raises(UsageError, match=f"{variable}={text}"):
        settings_module.load()
