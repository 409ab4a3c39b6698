"""Bodies that nobody should send, and what must come of every one: never a fault, never a hang."""

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from hypothesis import HealthCheck
from hypothesis import strategies as st

from .asked import Answer

#: Large bodies take a while to think of.
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)

#: Texts that parsers of JSON have stumbled over.
ODD = [
    b"",
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b"\x1f\x8b\x08\x00",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"-0",
    b"9" * 5000,
    b"1" + b"0" * 400 + b".5e-400",
    b'"\\ud800"',
    b'{"room": "\\ud800"}',
    b'{"\\udfff": 1}',
    b'{"a": 1, "a": 2}',
    b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b'[{"room":' + b"[" * 50_000,
    b"{}" * 2,
    b"[" + b"{}," * 999 + b"{}]",
    b"[" + b"null," * 200_000 + b"null]",
    b'"' + b"\\u0000" * 10_000 + b'"',
    b'"' + b"x" * 2_000_000 + b'"',
    b"\x00" * 1000,
    b"// comment\n{}",
    b"{'room': 1}",
]

_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**62, max_value=2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["\ud800", "\x00", "a" * 300, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-12:00"]),
    st.sampled_from(["2026-01-05T09:30:00", "2026-02-30T00:00:00Z", "2026-01-05T24:00:00Z", "2026-06-30T23:59:60Z"]),
    st.sampled_from([10**400, -(10**400), 1e308, -1e308, 5e-324, 16, 2, -1]),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=8,
)


def bodies(valid: dict[str, Any], free: Sequence[str]) -> st.SearchStrategy[bytes]:
    """Bytes, JSON, what is nearly `valid`, and what is: the fields that are `free` take any text."""
    known = st.sampled_from(sorted(valid))
    nearly = st.builds(
        lambda changed, left_out: {k: v for k, v in (valid | changed).items() if k != left_out},
        st.dictionaries(st.one_of(known, st.text(max_size=12)), _VALUES, max_size=2),
        st.one_of(st.none(), known),
    )
    texts = st.dictionaries(st.sampled_from(list(free)), st.text(min_size=1, max_size=99), max_size=len(free))
    sound = st.builds(lambda changed: valid | changed, texts)
    small = st.one_of(sound, st.lists(sound, max_size=5), nearly, st.lists(nearly, max_size=5), _VALUES).map(_written)
    twice = st.builds(lambda name, value: _written(valid)[:-1] + b"," + _written({name: value})[1:], known, _VALUES)
    many = st.builds(lambda one, n: _written([one] * n), st.one_of(sound, nearly), st.sampled_from([999, 1000, 1001]))
    large = st.integers(0, 9).flatmap(lambda n: small if n else st.one_of(many, st.sampled_from(ODD)))
    return st.one_of(st.binary(max_size=200), small, small, twice, large)


def mutants(body: bytes, seed: int, n: int) -> Iterator[bytes]:
    """`body`, and `n` - 1 like it in which a few bytes are set, inserted or deleted; the same for the same `seed`."""
    yield body
    chance = random.Random(seed)
    for _ in range(n - 1):
        changed = bytearray(body)
        for _ in range(chance.randint(1, 3)):
            at, how = chance.randrange(len(changed) + 1), chance.choice(("set", "insert", "delete"))
            byte = (
                chance.choice(b'{}[]",:\\\0\xff\xed0919-+eE.tfn ') if chance.random() < 0.7 else chance.randrange(256)
            )
            changed[at : at + (how != "insert")] = b"" if how == "delete" else bytes([byte])
        yield bytes(changed)


def _written(value: Any) -> bytes:
    return json.dumps(value).encode()


def hold(answer: Answer, body: bytes) -> None:
    """What every answer must be: a decision, or a problem that says what is wrong."""
    status, headers, said = answer
    told = msgspec.json.decode(said)
    if status == 200:
        assert headers[b"content-type"] == b"application/json"
        return
    assert status in (400, 413, 422), (status, body[:300])
    assert headers[b"content-type"] == b"application/problem+json"
    assert told["status"] == status
    assert len(said) < 100_000, "an answer is no echo"
