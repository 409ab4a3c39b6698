"""The store's bytes in S3: one object a blob, below its unit, so that all of a unit is found by its name.

``PREFIX/DOMAIN/UNIT/KIND-NAME-TOKEN``. What goes, goes in all its versions and with the marks of its deletion; uploads
that were cut off in parts too. That takes s3:PutObject, s3:GetObject, s3:DeleteObject, s3:DeleteObjectVersion,
s3:ListBucketVersions, s3:ListBucketMultipartUploads and s3:AbortMultipartUpload on bucket and prefix.
"""

import secrets
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from headgate.data import sources
from headgate.errors import HeadgateError
from headgate.privacy.index import Place


class Bucket:
    """The bytes of one domain below an S3 prefix."""

    def __init__(self, store: str, domain: str) -> None:
        """`store` is ``s3://bucket/prefix``."""
        self._store = store
        self._bucket, prefix = sources.bucket_and_prefix(store)
        self._prefix = f"{prefix}{domain}/"

    @cached_property
    def _client(self) -> Any:
        return sources.s3_client(self._store)

    def reserve(self, kind: str, unit: str, name: str, length: int, now: datetime) -> Place:
        """An object of its own."""
        return Place(f"{unit}/{kind}-{name}-{secrets.token_hex(4)}", None, length)

    def write(self, place: Place, content: bytes | Path) -> None:
        """Put the object; a large file goes in parts."""
        with self._told(f"write to {self._store}", "s3:PutObject"):
            if isinstance(content, bytes):
                self._client.put_object(Bucket=self._bucket, Key=self._prefix + place.file, Body=content)
            else:
                self._client.upload_file(str(content), self._bucket, self._prefix + place.file)

    def read(self, place: Place) -> bytes:
        """The object's bytes."""
        with self._told(f"read from {self._store}", "s3:GetObject"):
            return bytes(self._get(place).read())

    def open(self, place: Place) -> BinaryIO:
        """The object's bytes, on disk where they are many; that copy has no name, and goes as it is closed."""
        file = tempfile.SpooledTemporaryFile(max_size=8 << 20)  # noqa: SIM115
        with self._told(f"read from {self._store}", "s3:GetObject"):
            body = self._get(place)
            while data := body.read(1 << 20):
                file.write(data)
        file.seek(0)
        return file  # type: ignore[return-value]

    def erase(self, places: Iterable[Place]) -> None:
        """Delete objects, whatever versions they have."""
        for place in places:
            self._erase_all(self._prefix + place.file)

    def erase_unit(self, unit: str) -> None:
        """Delete all that lies below the unit, also what no index knows, and parts of uploads that were cut off."""
        self._abort(f"{self._prefix}{unit}/")
        self._erase_all(f"{self._prefix}{unit}/")

    def tidy(self, used: Collection[str], now: datetime) -> None:
        """Abort uploads that were cut off. Every object has a row, so there are no others to look for."""
        self._abort(self._prefix)

    def _get(self, place: Place) -> Any:
        from botocore.exceptions import ClientError

        try:
            return self._client.get_object(Bucket=self._bucket, Key=self._prefix + place.file)["Body"]
        except ClientError as error:
            if error.response["Error"].get("Code") in ("NoSuchKey", "404"):
                raise FileNotFoundError(place.file) from error
            raise

    def _erase_all(self, prefix: str) -> None:
        """Delete every version, and every mark of a deletion, of every object below `prefix`."""
        with self._told(f"delete from {self._store}", "s3:ListBucketVersions, s3:DeleteObject, s3:DeleteObjectVersion"):
            for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=prefix):
                found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
                if not found:
                    continue
                objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
                told = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
                for refused in told.get("Errors", ()):
                    raise HeadgateError(
                        f"{self._store} does not let a version be deleted ({refused.get('Code')}): allow "
                        "s3:DeleteObjectVersion, and keep no object lock on this prefix. Run it again then."
                    )

    def _abort(self, prefix: str) -> None:
        with self._told(f"look for uploads in {self._store}", "s3:ListBucketMultipartUploads, s3:AbortMultipartUpload"):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=prefix)
            for one in [one for page in pages for one in page.get("Uploads", ())]:
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=one["Key"], UploadId=one["UploadId"])

    @contextmanager
    def _told(self, deed: str, allow: str) -> Iterator[None]:
        """Say of what was denied what would allow it; of anything else what `sources` says of it."""
        from botocore.exceptions import ClientError

        try:
            with sources.in_plain_words(self._store):
                yield
        except HeadgateError as error:
            cause = error.__cause__
            if isinstance(cause, ClientError) and cause.response["Error"].get("Code") in ("AccessDenied", "403"):
                raise HeadgateError(f"To {deed} is denied: allow {allow}, then run it again.") from error
            raise
