"""The store on S3, as moto's server speaks it: what is forgotten goes in all its versions."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import make_server

from headgate import settings as settings_module
from headgate.errors import HeadgateError, UsageError
from headgate.privacy.references import Forgotten
from headgate.privacy.store import Store
from headgate.privacy.sweep import sweep
from headgate.settings import Settings

from .stores import Turned, found, make_store

CONTENT = b"the bytes of a person " * 20_000  # more than a shard takes


class Served:
    """moto's S3 over HTTP; it refuses what is asked with one of `denied` in its method or query."""

    def __init__(self) -> None:
        self.denied = ""
        app = DomainDispatcherApplication(create_backend_app)

        def between(environ: dict[str, Any], start: Any) -> Any:
            if self.denied and self.denied in f"{environ['REQUEST_METHOD']} {environ['QUERY_STRING']}":
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                start("403 Forbidden", [("Content-Type", "application/xml")])
                return [b"<Error><Code>AccessDenied</Code><Message>No.</Message></Error>"]
            return app(environ, start)

        self.server = make_server("127.0.0.1", 0, between, threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    served = Served()
    yield served
    served.server.shutdown()
    served.thread.join()
    served.server.server_close()


@pytest.fixture(params=["versioned", "plain"])
def bucket(request: pytest.FixtureRequest, server: Served, aws: Callable[[str, int], None]) -> Iterator[Any]:
    aws(server.url, 1)
    client = boto3.client("s3")
    client.create_bucket(Bucket="persons")
    if request.param == "versioned":
        client.put_bucket_versioning(Bucket="persons", VersioningConfiguration={"Status": "Enabled"})
    yield client
    server.denied = ""
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].reset()


@pytest.fixture
def clock() -> Turned:
    return Turned()


@pytest.fixture
def store(settings: Settings, clock: Turned, bucket: Any) -> Store:
    return make_store(replace(settings, store="s3://persons/kept"), clock)


def versions(bucket: Any) -> list[str]:
    """Every version, mark of deletion and part of an upload that the bucket still has."""
    told = bucket.list_object_versions(Bucket="persons")
    kept = [one["Key"] for name in ("Versions", "DeleteMarkers") for one in told.get(name, ())]
    return kept + [one["Key"] for one in bucket.list_multipart_uploads(Bucket="persons").get("Uploads", ())]


@pytest.mark.parametrize("kind", ["note", "picture"])
def test_what_is_put_is_found_until_it_is_forgotten_in_all_its_versions(store: Store, bucket: Any, kind: str) -> None:
    gone, kept = store.put("ann", CONTENT, kind), store.put("bob", CONTENT, kind)
    assert store.put("ann", CONTENT, kind) == gone
    assert store.get(gone) == CONTENT
    with store.open(kept) as file:
        file.seek(5)
        assert file.read(3) == CONTENT[5:8]
    assert found(store.settings.home, CONTENT[:40]) == [], "on this machine is the index alone"
    (key,) = [key for key in versions(bucket) if gone.split(".")[3] in key]
    bucket.put_object(Bucket="persons", Key=key, Body=b"another version")
    bucket.delete_object(Bucket="persons", Key=key)
    assert store.forget("ann").kinds == {kind: {"blobs": 1, "bytes": len(CONTENT)}}
    assert [key for key in versions(bucket) if "bob" in key or gone.split(".")[2] in key] == []
    with pytest.raises(Forgotten):
        store.get(gone)
    assert store.get(kept) == CONTENT


@pytest.mark.parametrize("kind", ["note", "picture"])
def test_a_finished_upload_is_put_and_goes(store: Store, tmp_path: Path, kind: str) -> None:
    """A large one in parts."""
    content = CONTENT * 20  # 8.8 MB
    (tmp_path / "upload").write_bytes(content)
    reference = store.put("ann", tmp_path / "upload", kind)
    assert not (tmp_path / "upload").exists()
    assert store.get(reference) == content


def test_what_a_killed_process_left_goes_with_its_unit_and_by_the_sweeper(store: Store, bucket: Any) -> None:
    """Objects that no row of the index knows, and uploads in parts."""
    unit = store.put("ann", b"1", "note").split(".")[2]
    for whose in (unit, "f" * 24):
        part = {"Bucket": "persons", "Key": f"kept/rooms/{whose}/note-0-0"}
        upload = bucket.create_multipart_upload(**part)
        bucket.upload_part(**part, UploadId=upload["UploadId"], PartNumber=1, Body=b"x")
        bucket.put_object(**part | {"Key": f"kept/rooms/{whose}/note-1-1"}, Body=b"x")
    store.forget("ann")
    assert not [key for key in versions(bucket) if unit in key]
    assert len(versions(bucket)) == 2
    sweep(store)
    assert versions(bucket) == [f"kept/rooms/{'f' * 24}/note-1-1"]


def test_what_is_over_goes_by_the_sweeper(store: Store, bucket: Any, clock: Turned) -> None:
    store.put("ann", CONTENT, "scan")
    clock.turn(hours=1)
    assert sweep(store).expired == 1
    assert versions(bucket) == []


def test_what_is_denied_says_what_to_allow_and_can_be_run_again(store: Store, bucket: Any, server: Served) -> None:
    reference = store.put("ann", CONTENT, "note")
    for denied, allow in (("GET versions", "s3:ListBucketVersions"), ("POST delete", "s3:DeleteObjectVersion")):
        server.denied = denied
        with pytest.raises(HeadgateError, match=allow):
            store.forget("ann")
        with pytest.raises(Forgotten):  # refused from the first moment
            store.get(reference)
    server.denied = ""
    assert store.forget("ann").kinds == {"note": {"blobs": 1, "bytes": len(CONTENT)}}
    assert versions(bucket) == []
    server.denied = "PUT"
    with pytest.raises(HeadgateError, match="s3:PutObject"):
        store.put("bob", CONTENT, "note")
    assert store.index.pending() == []


def test_a_setting_that_names_no_bucket_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_STORE", "/mnt/share")
    with pytest.raises(UsageError, match="HEADGATE_STORE=/mnt/share is no place"):
        settings_module.load()
