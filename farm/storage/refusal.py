"""Errors of S3 as errors of the farm, whose messages tell the operator what to do.

keys, rights, bucket, region, clock, an endpoint that is not S3    StorageRefused: the farm pauses until this is
corrected unreachable, timeout, 5xx, throttling                              StorageUnavailable: the farm pauses and
goes on
"""

from __future__ import annotations

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError

from farm.errors import StorageRefused, StorageUnavailable

_KEYS = {"AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"}
_REGION = {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"}
_CLOCK = {"RequestTimeTooSkewed", "RequestExpired"}
_PASSING = {"OperationAborted", "RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable"}

_NO_KEYS = (boto.NoCredentialsError, boto.PartialCredentialsError)
_NO_ANSWER = (
    boto.ConnectionError,
    boto.HTTPClientError,
    boto.IncompleteReadError,
    boto.ChecksumError,
    boto.CredentialRetrievalError,
)


def verdict(error: BotoCoreError | ClientError, bucket: str, endpoint: str) -> StorageUnavailable:
    if isinstance(error, ClientError):
        return _refused(error, bucket, endpoint)
    if isinstance(error, _NO_ANSWER):
        return StorageUnavailable(f"can't reach {endpoint}: {error}; is it running, and is AWS_ENDPOINT_URL right?")
    if isinstance(error, _NO_KEYS):
        return StorageRefused(f"no keys for {endpoint}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    return StorageRefused(f"{error}; check FARM_STORAGE_URL (bucket {bucket!r}) and the AWS_ variables")


def _refused(error: ClientError, bucket: str, endpoint: str) -> StorageUnavailable:
    code, status = code_of(error), status_of(error)
    said = f"{endpoint} answered {error.operation_name} with {code}: {error.response['Error'].get('Message', '')}"
    if code == "NoSuchBucket" or status == 404:
        return StorageRefused(f"{endpoint} has no bucket {bucket!r}: create it, or correct FARM_STORAGE_URL")
    if code in _REGION or status in (301, 307):
        return StorageRefused(f"{said}; set AWS_REGION to the region of bucket {bucket!r}")
    if code in _CLOCK:
        return StorageRefused(f"{said}; set this machine's clock")
    if code in _KEYS or status in (401, 403):
        return StorageRefused(
            f"{said}; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that they may read, write, list and delete"
            f" in bucket {bucket!r}"
        )
    if code in _PASSING or status >= 500 or status in (408, 409, 429):
        return StorageUnavailable(f"{said}; the farm tries again")
    return StorageRefused(f"{said}; does AWS_ENDPOINT_URL name an S3 server?")


def code_of(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


def status_of(error: ClientError) -> int:
    """The HTTP status; 0 when only one object of a request was refused."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
