"""Where raw files come from: a local folder, or an S3 prefix written `s3://bucket/prefix`.

`list_files` says what a source holds and `fetch` brings files from it, whole and verified; `told_of` names the source's
own file where a copy is refused. They know bytes only, so every domain uses them. Any store that speaks S3 serves:
boto3 reads its address from AWS_ENDPOINT_URL, and AWS_MAX_ATTEMPTS says how often one request is tried (six times
unless set).
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from headgate.errors import DataRefused, HeadgateError, UsageError
from headgate.files import atomic_file

_TRIES = 4  # of one file whose bytes arrive damaged; requests that fail are retried by botocore
_CHUNK = 1 << 20
_THREADS = 4


@dataclass(frozen=True)
class SourceFile:
    """A file of a source, as its store lists it."""

    name: str  # path below the source, with "/" between its parts
    size: int  # bytes
    etag: str | None = None  # what an S3 store says of the content: it changes when the bytes do


class _Damaged(Exception):
    """What arrived is not the file, or not all of it: trying again may help."""


def check(source: str) -> None:
    """Raise UsageError where `source` is neither a folder nor the address of an S3 prefix. Asks no store."""
    absolute(source)
    if _is_s3(source):
        bucket_and_prefix(source)
    else:
        _folder(source)


def absolute(source: str) -> str:
    """`source` as it is called from any folder. Raises UsageError for an empty one: an unset variable means nothing."""
    if not source.strip():
        raise UsageError("The source is empty: name a folder or an s3://bucket/prefix with the raw files.")
    return source if "://" in source else str(Path(source).resolve())


def list_files(source: str, *, suffix: str = ".parquet") -> list[SourceFile]:
    """The files below `source` whose names end in `suffix`, sorted by name.

    Drafts (a part of the name starts with a dot) are left out; links to folders are not followed. Raises UsageError
    where there is no such folder, bucket or prefix, and HeadgateError where it cannot be read.
    """
    found = _list_s3(source) if _is_s3(source) else _list_folder(source)
    kept = (file for file in found if file.name.endswith(suffix) and "/." not in f"/{file.name}")
    return sorted(kept, key=lambda file: file.name)


def fetch(source: str, names: Sequence[str], into: Path) -> dict[str, str]:
    """Bring the files `names` of `source` to `into/NAME` and return the hex SHA-256 of each.

    A file appears under its name only when it is whole. It is verified by the best that its store offers: S3's own
    checksum of the object, else the MD5 in its ETag (of a multipart upload, the MD5 of its parts' MD5s), else its
    size. A folder's files are copied rather than linked, so that a source rewritten in place leaves the copy as it was.
    What arrives damaged is fetched again. Raises UsageError for a file that is not there, HeadgateError for one that
    cannot be read whole.
    """
    for name in names:
        if not name or name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise UsageError(f"The name {name!r} in {source} leads out of its folder: rename the file.")
    unique = list(dict.fromkeys(names))
    if not _is_s3(source):
        return {name: _whole(partial(_copy, _folder(source) / name), into / name) for name in unique}

    bucket, prefix = bucket_and_prefix(source)
    client = s3_client(source)

    def bring(name: str) -> str:
        with in_plain_words(f"{source.rstrip('/')}/{name}"):
            return _whole(partial(_download, client, bucket, prefix + name), into / name)

    with ThreadPoolExecutor(_THREADS) as threads:
        return dict(zip(unique, threads.map(bring, unique), strict=True))


@contextmanager
def told_of(source: str, copy: Path) -> Iterator[None]:
    """Let refusals of files below `copy` name them in `source`: the copy is a draft that is gone when people look."""
    try:
        yield
    except DataRefused as refusal:
        raise DataRefused(str(refusal).replace(f"{copy}/", f"{source.rstrip('/')}/")) from refusal


def _whole(bring: Callable[[Path], str], target: Path) -> str:
    """Let `bring` write `target` atomically, again where it was damaged on the way; the SHA-256 that it returns."""
    reason = ""
    for _ in range(_TRIES):
        try:
            with atomic_file(target) as draft:
                return bring(draft)
        except _Damaged as damage:
            reason = str(damage)
    raise HeadgateError(f"{reason}, {_TRIES} times over: write the file anew at its source, then try again.")


def _folder(source: str) -> Path:
    if "://" in source:
        raise UsageError(f"{source} is no source: give a folder, or a prefix as s3://bucket/prefix.")
    folder = Path(source)
    if folder.is_file():
        raise UsageError(f"{source} is a file: give --source the folder that holds the raw files.")
    if not folder.is_dir():
        raise UsageError(f"There is no folder {source}: check --source.")
    return folder


def _list_folder(source: str) -> Iterator[SourceFile]:
    folder = _folder(source)

    def refuse(error: OSError) -> None:
        raise HeadgateError(f"{error.filename} cannot be read ({error.strerror}): check its permissions.") from error

    for path, _, names in os.walk(folder, onerror=refuse):
        for name in names:
            file = Path(path) / name
            if file.is_file():
                yield SourceFile(file.relative_to(folder).as_posix(), file.stat().st_size)


def _copy(source: Path, draft: Path) -> str:
    """Copy a local file and return its SHA-256. One that is written to meanwhile is damaged."""
    digest = hashlib.sha256()
    try:
        with source.open("rb") as file, draft.open("wb") as copy:
            before = os.fstat(file.fileno())
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                copy.write(chunk)
            after = os.fstat(file.fileno())
    except FileNotFoundError as error:
        raise UsageError(f"There is no file {source}: check the source.") from error
    except OSError as error:
        raise HeadgateError(f"{source} could not be copied to {draft.parent}: {error.strerror}.") from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise _Damaged(f"{source} changed while it was read")
    return digest.hexdigest()


def _is_s3(source: str) -> bool:
    return source.startswith("s3://")


def bucket_and_prefix(source: str) -> tuple[str, str]:
    """The bucket, and the prefix with its closing slash, so that `days` does not take in `days-old`."""
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    if not bucket:
        raise UsageError(f"{source} names no bucket: write s3://bucket/prefix.")
    prefix = prefix.rstrip("/")
    return bucket, f"{prefix}/" if prefix else ""


def s3_client(source: str) -> Any:
    """A client of the store that `source` lies in, with the retries that the environment asks for."""
    import boto3
    from botocore.config import Config

    retries = {"mode": "standard", "total_max_attempts": int(os.environ.get("AWS_MAX_ATTEMPTS", 6))}
    with in_plain_words(source):
        return boto3.client("s3", config=Config(retries=retries, connect_timeout=10, read_timeout=60))


def _list_s3(source: str) -> Iterator[SourceFile]:
    bucket, prefix = bucket_and_prefix(source)
    client, empty = s3_client(source), True
    with in_plain_words(source):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", ()):
                empty = False
                yield SourceFile(item["Key"].removeprefix(prefix), item["Size"], item["ETag"].strip('"'))
    if empty and prefix:
        raise UsageError(f"Nothing lies under {source}: check the bucket and the prefix.")


def _download(client: Any, bucket: str, key: str, draft: Path) -> str:
    """Download and verify an object, and return its SHA-256. botocore checks size and S3 checksum as it is read."""
    from botocore.exceptions import FlexibleChecksumError, HTTPClientError, IncompleteReadError
    from botocore.httpchecksum import StreamingChecksumBody

    where = f"s3://{bucket}/{key}"
    reply = client.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    body = reply["Body"]
    sizes = None if isinstance(body, StreamingChecksumBody) else _part_sizes(client, bucket, key, reply)
    digest, parts = hashlib.sha256(), []
    try:
        with body, draft.open("wb") as copy:
            for size in sizes or [reply["ContentLength"]]:
                part = hashlib.md5(usedforsecurity=False)
                while size and (chunk := body.read(min(size, _CHUNK))):
                    digest.update(chunk)
                    part.update(chunk)
                    copy.write(chunk)
                    size -= len(chunk)
                parts.append(part)
            body.read(1)  # at the end of the body botocore compares
    except FlexibleChecksumError as error:
        raise _Damaged(f"{where} does not match its checksum") from error
    except (IncompleteReadError, HTTPClientError) as error:
        raise _Damaged(f"{where} broke off on its way") from error
    except OSError as error:
        raise HeadgateError(f"{where} could not be written to {draft.parent}: {error.strerror}.") from error
    if sizes and reply["ETag"].strip('"') != _etag([part.digest() for part in parts], multipart="-" in reply["ETag"]):
        raise _Damaged(f"{where} does not match its ETag")
    return digest.hexdigest()


def _etag(parts: list[bytes], *, multipart: bool) -> str:
    """The ETag that S3 gives to an object of these parts' MD5s."""
    if not multipart:
        return parts[0].hex()
    return f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"


def _part_sizes(client: Any, bucket: str, key: str, reply: dict[str, Any]) -> list[int] | None:
    """Sizes in bytes of the parts that the ETag was made of, or None where the ETag is no MD5 of the content.

    It is none under encryption with keys of KMS or of the customer, and in stores that number their ETags.
    """
    from botocore.exceptions import ClientError

    found = re.fullmatch(r'"?[0-9a-f]{32}(?:-(\d+))?"?', reply["ETag"])
    if not found or reply.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in reply:
        return None
    if found[1] is None:
        return [reply["ContentLength"]]
    try:
        heads = (client.head_object(Bucket=bucket, Key=key, PartNumber=n + 1) for n in range(int(found[1])))
        sizes = [head["ContentLength"] for head in heads]
    except ClientError:  # a store that does not tell its parts
        return None
    return sizes if sum(sizes) == reply["ContentLength"] else None


@contextmanager
def in_plain_words(where: str) -> Iterator[None]:
    """Turn what boto3 raises about `where` into one sentence that says what to do."""
    from botocore import exceptions as boto

    try:
        yield
    except boto.ClientError as error:
        reply = error.response["Error"]
        match reply.get("Code", ""):
            case "NoSuchBucket":
                raise UsageError(f"There is no bucket for {where}: check its name.") from error
            case "NoSuchKey" | "404":
                raise UsageError(f"There is no file {where}: check the source.") from error
            case "AccessDenied" | "AllAccessDisabled" | "403":
                text = f"Access to {where} is denied: allow s3:ListBucket on the bucket and s3:GetObject on its files."
            case "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken":
                text = f"The store of {where} does not accept the AWS credentials: renew them."
            case code:
                text = f"{where} cannot be read ({code}: {reply.get('Message', '')}): check the store, then try again."
        raise HeadgateError(text) from error
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError) as error:
        remedy = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        raise HeadgateError(f"There are no AWS credentials for {where}: {remedy}.") from error
    except boto.ParamValidationError as error:
        raise UsageError(f"{where} is no S3 address: write s3://bucket/prefix.") from error
    except (boto.HTTPClientError, boto.ConnectionError) as error:
        raise HeadgateError(f"The store of {where} does not answer: check the network and AWS_ENDPOINT_URL.") from error
    except boto.BotoCoreError as error:
        raise HeadgateError(f"{where} cannot be read: {error}") from error
