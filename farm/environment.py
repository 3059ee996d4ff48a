"""Which variables of the environment decide: those that begin with FARM_, and a few of AWS.

Libraries read variables of their own, behind the settings of the farm. Celery takes CELERY_BROKER_URL, which may stand
there for another program, before the address that it is given; its messages then go to the Redis of that program. So a
process of the farm takes such variables out of its environment before it imports these libraries.
"""

from __future__ import annotations

import logging
import os
from collections.abc import MutableMapping

log = logging.getLogger(__name__)

AWS = frozenset({
    "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE",
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    # With these a cloud gives keys to what runs on its machines. The cloud sets them, not the operator.
    "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_V1_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
})  # fmt: skip

_PREFIXES = ("CELERY_", "KOMBU_", "UVICORN_", "BOTOCORE_", "AWS_")
_NAMES = frozenset({
    "C_BENCH", "C_BENCH_EVERY", "C_FORCE_ROOT", "C_IMPDEBUG", "C_REMDEBUG", "C_STRICT_APP", "C_WARN_APP", "C_WNOCONF",
    "AUTOSCALE_KEEPALIVE", "DISABLE_TRACEBACKS", "EVENTLET_NOBLOCK", "FORKED_BY_MULTIPROCESSING", "MP_LOG",
    "MP_MAIN_FILE", "PICKLE_PROTOCOL", "REMAP_SIGTERM", "TIMER_DEBUG", "USE_FAST_LOCALS",  # of Celery's family
    "FORWARDED_ALLOW_IPS", "WEB_CONCURRENCY",  # of uvicorn
    "BOTO_CONFIG", "REQUESTS_CA_BUNDLE",  # of boto3
})  # fmt: skip


def is_strange(name: str) -> bool:
    """Whether a library would read the variable and the farm does not want it to."""
    return name in _NAMES or (name.startswith(_PREFIXES) and name not in AWS)


def drop_strange(environment: MutableMapping[str, str] = os.environ) -> None:
    """Call it before Celery is imported: some variables are read then, and a malformed one would end the process."""
    found = sorted(name for name in environment if is_strange(name))
    for name in found:
        del environment[name]
    if found:
        log.warning("ignored, because FARM_ variables decide here: %s", ", ".join(found))
