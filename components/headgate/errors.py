"""Errors that a user can act on. Each carries the exit code of the command that it ends."""

from typing import ClassVar


class HeadgateError(Exception):
    """Something went wrong that the message explains, with what to do about it. Exit code 1."""

    exit_code: ClassVar[int] = 1


class UsageError(HeadgateError):
    """The command was asked for something that it cannot do as asked. Exit code 2."""

    exit_code: ClassVar[int] = 2


class Stopped(HeadgateError):
    """Someone ended the run with Ctrl-C or SIGTERM. Exit code 130."""

    exit_code: ClassVar[int] = 130


class DataRefused(HeadgateError):
    """The data is not fit to train on or to decide. Exit code 4; nothing was changed."""

    exit_code: ClassVar[int] = 4


def in_a_line(error: Exception) -> str:
    """What `error` says, as one line; with its kind where it is none of ours, whose sentences need none."""
    text = " ".join(str(error).split())[:300]
    if isinstance(error, TimeoutError) and not text:
        return "no answer in time"
    return text if isinstance(error, HeadgateError) else f"{type(error).__name__}: {text}".removesuffix(": ")
