"""Makes ready what the farm's containers need, as often as you like: the bucket, and the API key of the environment.

    python prepare.py       with the farm's own variables, FARM_API_KEY among them

Runs before the others start, and ends with exit code 0 when storage can be written and the key opens the API. A key
that was changed replaces the one that was made here before.
"""

from __future__ import annotations

import hashlib
import logging
import sys
import time
from typing import TYPE_CHECKING, cast

from botocore.exceptions import BotoCoreError, ClientError

from farm.errors import EXIT_MISCONFIGURED, FarmError, Misconfigured, StorageRefused, Unavailable
from farm.job import DEFAULT_TENANT
from farm.redis_address import RedisAddress
from farm.settings import Settings
from farm.start import check_forms
from farm.storage import open_storage
from farm.storage.bucket import S3Storage
from farm.storage.refusal import status_of, verdict
from farm.store import Store, registry

if TYPE_CHECKING:
    from mypy_boto3_s3.literals import BucketLocationConstraintType

log = logging.getLogger("prepare")

KEY_NAME = "compose"
PATIENCE_S = 60.0  # for a Redis or a bucket that is still starting
PAUSE_S = 1.0
_SHORTEST_KEY = 16


def main() -> int:
    logging.basicConfig(format="%(name)s: %(message)s", stream=sys.stdout)
    log.setLevel(logging.INFO)
    deadline = time.monotonic() + PATIENCE_S
    try:
        settings = Settings.read()
        check_forms(settings)
        while True:
            try:
                make_bucket(settings)
                make_key(settings)
                return 0
            except Unavailable as error:
                if time.monotonic() > deadline:
                    raise
                log.info("waiting: %s", error.message)
                time.sleep(PAUSE_S)
    except FarmError as error:
        log.error("error: %s", error.message)
        return EXIT_MISCONFIGURED if isinstance(error, Misconfigured) else 1


def make_bucket(settings: Settings) -> None:
    """Where there is none; a farm on a folder needs none. Raises Misconfigured where the keys don't allow it."""
    storage = open_storage(settings)
    if isinstance(storage, S3Storage) and not _exists(storage):
        _create(storage)
        log.info("made bucket %s", storage.bucket)
    storage.check()
    log.info("%s can be written", settings.storage_url)


def _exists(storage: S3Storage) -> bool:
    try:
        storage.client.head_bucket(Bucket=storage.bucket)
    except ClientError as error:
        if status_of(error) in (400, 404):  # 400: no bucket can have this name, as making it will tell
            return False
        raise _translated(error, storage) from error
    except BotoCoreError as error:
        raise _translated(error, storage) from error
    return True


def _create(storage: S3Storage) -> None:
    """AWS wants every region named but the oldest."""
    client = storage.client
    region = client.meta.region_name
    try:
        if region == "us-east-1":
            client.create_bucket(Bucket=storage.bucket)
        else:
            where = cast("BucketLocationConstraintType", region)
            client.create_bucket(Bucket=storage.bucket, CreateBucketConfiguration={"LocationConstraint": where})
    except (BotoCoreError, ClientError) as error:
        why = _translated(error, storage)
        if isinstance(why, Misconfigured):
            raise Misconfigured(
                f"there is no bucket {storage.bucket!r}, and making it failed: {error}; create it by hand, or correct "
                "FARM_STORAGE_URL"
            ) from error
        raise why from error


def _translated(error: BotoCoreError | ClientError, storage: S3Storage) -> FarmError:
    """A bucket that refuses is an outage to a farm at work; before its start it is a wrong setting."""
    why = verdict(error, storage.bucket, storage.client.meta.endpoint_url)
    return Misconfigured(why.message) if isinstance(why, StorageRefused) else why


def make_key(settings: Settings) -> None:
    key = settings.api_key
    if key is None or len(key) < _SHORTEST_KEY:
        raise Misconfigured(
            f"FARM_API_KEY must have {_SHORTEST_KEY} characters or more; make one with: openssl rand -hex 24"
        )
    digest = hashlib.sha256(key.encode()).hexdigest()
    store = Store.connect(settings.redis_url)
    try:
        known = store.run(registry.keys()).get(KEY_NAME)
        if known is not None and known.digest == digest and known.operator:
            return
        if known is not None and known.digest != digest:
            store.run(registry.drop_key(KEY_NAME))
        store.run(registry.put_key(digest, DEFAULT_TENANT, KEY_NAME, operator=True))
    finally:
        store.close()
    where = RedisAddress.read(settings.redis_url, "FARM_REDIS_URL")
    log.info("FARM_API_KEY opens the farm on %s as an operator's key of tenant %s", where, DEFAULT_TENANT)


if __name__ == "__main__":
    sys.exit(main())
