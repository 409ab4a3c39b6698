"""Sources: a folder, and S3 as moto's server speaks it; faults are made between the server and boto3's client."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

from headgate.data import sources
from headgate.data.sources import SourceFile, fetch, list_files, told_of
from headgate.errors import DataRefused, HeadgateError, UsageError


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# ---------------------------------------------------------------------------------------------------- folders


def test_a_folder_lists_its_files_by_name_without_drafts(tmp_path: Path) -> None:
    for name in ("b.parquet", "a/z.parquet", "a/notes.txt", ".tmp-1/c.parquet", "a/.tmp-d.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    assert list_files(str(tmp_path)) == [SourceFile("a/z.parquet", 5), SourceFile("b.parquet", 5)]
    assert [file.name for file in list_files(str(tmp_path), suffix=".txt")] == ["a/notes.txt"]


def test_a_source_rewritten_in_place_leaves_the_copy_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "in/day").mkdir(parents=True)
    (tmp_path / "in/day/a.parquet").write_bytes(b"before")
    sums = fetch(str(tmp_path / "in"), ["day/a.parquet"], tmp_path / "out")
    with (tmp_path / "in/day/a.parquet").open("r+b") as file:
        file.write(b"AFTER!")
    assert (tmp_path / "out/day/a.parquet").read_bytes() == b"before"
    assert sums == {"day/a.parquet": sha(b"before")}


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "a.parquet"
    source.write_bytes(b"first")
    real = hashlib.sha256

    def growing(*data: bytes) -> Any:  # made as each copy begins, between its two looks at the file
        digest = real(*data)

        class Growing:
            def update(self, chunk: bytes) -> None:
                digest.update(chunk)
                if source.stat().st_size < 1000:
                    with source.open("ab") as file:
                        file.write(b"more")

        return Growing()

    monkeypatch.setattr(hashlib, "sha256", growing)
    monkeypatch.setattr(sources, "_CHUNK", 5)
    monkeypatch.setattr(sources, "_TRIES", 1)
    with pytest.raises(HeadgateError, match="changed while it was read"):
        fetch(str(tmp_path), ["a.parquet"], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["../a.parquet", "x/../../a.parquet", "/a.parquet", ""])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="leads out"):
        fetch(str(tmp_path), [name], tmp_path / "out")


@pytest.mark.parametrize(
    ("source", "words"),
    [("nowhere", "no folder nowhere"), ("gs://b/p", "no source"), ("s3://", "no bucket"), ("s3:///p", "no bucket")],
)
def test_what_is_no_source_is_named(source: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        list_files(source)


@pytest.mark.parametrize("source", ["/in/clicks", "/in/clicks/", "s3://bucket/clicks", "s3://bucket/clicks/"])
def test_a_copy_that_is_refused_is_named_as_the_file_of_its_source(source: str, tmp_path: Path) -> None:
    with pytest.raises(DataRefused) as refusal, told_of(source, tmp_path):
        raise DataRefused(f"{tmp_path / 'clicks' / 'a.parquet'} is empty (0 bytes): copy or export it again.")
    assert str(refusal.value) == f"{source.rstrip('/')}/clicks/a.parquet is empty (0 bytes): copy or export it again."


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file .*gone\.parquet"):
        fetch(str(tmp_path), ["gone.parquet"], tmp_path / "out")


# ---------------------------------------------------------------------------------------------------- S3


class Store:
    """moto's S3 over HTTP; `fault` alters the bytes of each object sent, `refusal` (status, body) answers instead."""

    def __init__(self) -> None:
        self.fault: Callable[[bytes], bytes] = lambda body: body
        self.refusal: tuple[str, str] | None = None
        self.reads = 0
        app = DomainDispatcherApplication(create_backend_app)

        def between(environ: dict[str, Any], start: Any) -> list[bytes]:
            if self.refusal:
                start(self.refusal[0], [("Content-Type", "application/xml")])
                return [self.refusal[1].encode()]
            body = b"".join(app(environ, start))  # the headers, with the true length and checksums, stay as they are
            path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
            if environ["REQUEST_METHOD"] == "GET" and path.count("/") > 1 and "list-type" not in query:
                self.reads += 1
                body = self.fault(body)
            return [body]

        self.server = make_server("127.0.0.1", 0, between, threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()


@pytest.fixture(scope="module")
def server() -> Iterator[Store]:
    store = Store()
    yield store
    store.server.shutdown()
    store.thread.join()
    store.server.server_close()


@pytest.fixture
def store(server: Store, aws: Callable[[str, int], None]) -> Iterator[Store]:
    aws(server.url, 1)
    server.fault, server.reads = lambda body: body, 0
    boto3.client("s3").create_bucket(Bucket="logs")
    yield server
    server.refusal = None
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].reset()


def put(key: str, data: bytes, **how: Any) -> None:
    boto3.client("s3").put_object(Bucket="logs", Key=key, Body=data, **how)


def plain_put(key: str, data: bytes) -> None:
    """Upload as an old client does: without a checksum, so that the ETag is all there is."""
    client = boto3.client("s3", config=Config(request_checksum_calculation="when_required"))
    client.put_object(Bucket="logs", Key=key, Body=data)
    assert "ChecksumCRC32" not in client.head_object(Bucket="logs", Key=key, ChecksumMode="ENABLED")


def test_a_prefix_is_a_folder_and_no_mere_beginning(store: Store, tmp_path: Path) -> None:
    put("clicks/2026-11-01.parquet", b"one")
    put("clicks/deep/a.parquet", b"two")
    put("clicks/.tmp-x/a.parquet", b"draft")
    put("clicks/notes.txt", b"text")
    put("clicks-old/2026-11-01.parquet", b"old")
    files = list_files("s3://logs/clicks/")
    assert [(file.name, file.size) for file in files] == [("2026-11-01.parquet", 3), ("deep/a.parquet", 3)]
    assert files[0].etag == hashlib.md5(b"one").hexdigest()
    assert len(list_files("s3://logs")) == 3
    sums = fetch("s3://logs/clicks", [file.name for file in files], tmp_path)
    assert sums == {"2026-11-01.parquet": sha(b"one"), "deep/a.parquet": sha(b"two")}
    assert (tmp_path / "deep/a.parquet").read_bytes() == b"two"


def test_more_keys_than_a_page_holds(store: Store) -> None:
    for number in range(1005):  # put where the server keeps them: a thousand requests would take long
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object("logs", f"many/{number:05}.parquet", b"")
    files = list_files("s3://logs/many")
    assert [file.name for file in files] == [f"{number:05}.parquet" for number in range(1005)]


def test_an_empty_object_and_odd_names(store: Store, tmp_path: Path) -> None:
    names = ["empty.parquet", "with space +ü.parquet"]
    for name in names:
        put(f"p/{name}", b"")
    assert [file.name for file in list_files("s3://logs/p")] == names
    assert fetch("s3://logs/p", names, tmp_path) == dict.fromkeys(names, sha(b""))


def multipart(key: str, parts: list[bytes]) -> None:
    client = boto3.client("s3", config=Config(request_checksum_calculation="when_required"))
    upload = client.create_multipart_upload(Bucket="logs", Key=key)["UploadId"]
    tags = []
    for n, part in enumerate(parts, start=1):
        reply = client.upload_part(Bucket="logs", Key=key, UploadId=upload, PartNumber=n, Body=part)
        tags.append({"PartNumber": n, "ETag": reply["ETag"]})
    client.complete_multipart_upload(Bucket="logs", Key=key, UploadId=upload, MultipartUpload={"Parts": tags})


UPLOADS: dict[str, Callable[[str, bytes], None]] = {
    "sha256": lambda key, data: put(key, data, ChecksumAlgorithm="SHA256"),
    "crc32": lambda key, data: put(key, data, ChecksumAlgorithm="CRC32"),
    "etag": plain_put,
    "parts": lambda key, data: multipart(key, [data[: 5 << 20], data[5 << 20 : 11 << 20], data[11 << 20 :]]),
}
DATA = bytes(range(256)) * 50_000  # 12.8 MB: three parts of unequal size


@pytest.mark.parametrize("upload", UPLOADS)
def test_a_download_that_breaks_off_or_is_altered_is_fetched_again(store: Store, tmp_path: Path, upload: str) -> None:
    faults = [lambda body: body[: len(body) // 2], lambda body: body[:-9] + b"x" + body[-8:], lambda body: body]
    store.fault = lambda body: faults.pop(0)(body)
    data = DATA if upload == "parts" else DATA[:100_000]
    UPLOADS[upload]("a.parquet", data)
    assert fetch("s3://logs", ["a.parquet"], tmp_path) == {"a.parquet": sha(data)}
    assert (tmp_path / "a.parquet").read_bytes() == data
    assert store.reads == 3


@pytest.mark.parametrize("upload", UPLOADS)
def test_an_object_that_rotted_is_never_handed_on(store: Store, tmp_path: Path, upload: str) -> None:
    UPLOADS[upload]("a.parquet", DATA if upload == "parts" else DATA[:100_000])
    store.fault = lambda body: body[:1000] + bytes([body[1000] ^ 1]) + body[1001:]
    with pytest.raises(HeadgateError, match=r"s3://logs/a\.parquet does not match its (checksum|ETag), 4 times"):
        fetch("s3://logs", ["a.parquet"], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_etag_that_is_no_md5_is_not_held_against_the_object(store: Store, tmp_path: Path) -> None:
    client = boto3.client("s3", config=Config(request_checksum_calculation="when_required"))
    client.put_object(Bucket="logs", Key="a.parquet", Body=b"abc", ServerSideEncryption="aws:kms")
    store.fault = lambda body: b"abd"  # of the same size, which is all that is known of it
    assert fetch("s3://logs", ["a.parquet"], tmp_path) == {"a.parquet": sha(b"abd")}


def test_missing_bucket_prefix_and_file(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no bucket for s3://elsewhere"):
        list_files("s3://elsewhere/p")
    with pytest.raises(UsageError, match="Nothing lies under s3://logs/p"):
        list_files("s3://logs/p")
    assert list_files("s3://logs") == []
    with pytest.raises(UsageError, match=r"no file s3://logs/p/gone\.parquet"):
        fetch("s3://logs/p", ["gone.parquet"], tmp_path)
    with pytest.raises(UsageError, match="no S3 address"):
        list_files("s3://not a bucket/p")


def test_no_credentials(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(HeadgateError, match=r"no AWS credentials for s3://logs/p: set AWS_ACCESS_KEY_ID"):
        list_files("s3://logs/p")


def test_a_profile_that_does_not_exist(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    with pytest.raises(HeadgateError, match="nobody"):
        list_files("s3://logs/p")


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        ("403 Forbidden", "AccessDenied", r"Access to s3://logs/p is denied: allow s3:ListBucket"),
        ("400 Bad Request", "ExpiredToken", "does not accept the AWS credentials: renew them"),
        ("503 Slow Down", "SlowDown", r"cannot be read \(SlowDown: told\): check the store"),
    ],
)
def test_what_the_store_refuses(store: Store, status: str, code: str, words: str) -> None:
    store.refusal = (status, f"<Error><Code>{code}</Code><Message>told</Message></Error>")
    with pytest.raises(HeadgateError, match=words):
        list_files("s3://logs/p")


def test_no_access_to_a_file(store: Store, tmp_path: Path) -> None:
    put("p/a.parquet", b"secret")
    rule = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::logs/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
    boto3.client("s3").put_bucket_policy(Bucket="logs", Policy=policy)
    with pytest.raises(HeadgateError, match=r"Access to s3://logs/p/a\.parquet is denied"):
        fetch("s3://logs/p", ["a.parquet"], tmp_path)


def test_a_store_that_does_not_answer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(HeadgateError, match="does not answer: check the network and AWS_ENDPOINT_URL"):
        list_files("s3://logs/p")


@pytest.mark.parametrize("source", ["", "  "])
def test_an_empty_source_is_none(source: str) -> None:
    """What an unset variable of a deployment comes to; it must not mean the folder that a process happens to be in."""
    with pytest.raises(UsageError, match="The source is empty"):
        sources.check(source)
