"""A real S3 server for tests: OpenStack Swift with its s3api, from Python packages alone.

It checks signatures, expiry and access as AWS does, which the usual mocks do not. Proxy, account, container and object
server share one child process, so that it starts in about a second; `stop` and `start` keep the data and the port.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import boto3
from botocore.config import Config

ACCESS_KEY = "farm:farm"
SECRET_KEY = "farm-secret"
PAGE = 100  # objects per listing page; S3 itself gives 1000, which would make tests of paging slow

_PLAIN_FILTERS = ("catch_errors", "gatekeeper", "listing_formats", "bulk", "slo", "dlo")
_NODES = ("account", "container", "object")
_PIPELINE = "catch_errors gatekeeper listing_formats bulk s3api tempauth slo dlo proxy-server"

_SWIFT = """
[swift-hash]
swift_hash_path_prefix = farm
swift_hash_path_suffix = farm
[storage-policy:0]
name = only
default = yes
"""
_PROXY = """
[DEFAULT]
swift_dir = {folder}
log_address = /dev/null
log_level = CRITICAL
[pipeline:main]
pipeline = {pipeline}
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_{user} = {secret} .admin
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
dns_compliant_bucket_names = true
max_bucket_listing = {page}
"""
_FILTER = "[filter:{name}]\nuse = egg:swift#{name}\n"
_NODE = """
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
log_address = /dev/null
log_level = CRITICAL
[app:main]
use = egg:swift#{node}
allow_versions = true
"""


class S3Server:
    """One server with one empty bucket. `environment` is what points boto3 at it."""

    def __init__(self, folder: Path, bucket: str = "farm") -> None:
        self.folder = folder
        self.bucket = bucket
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
        }

    def start(self, secret: str = SECRET_KEY) -> None:
        """With another secret it refuses everybody who has the usual one."""
        place = (str(self.folder), str(self.port), "127.0.0.1")
        command = [sys.executable, "-W", "ignore", __file__, *place, secret]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said:
            raise RuntimeError(f"the S3 server ended with exit code {self._process.wait()} before it listened")
        first_start, self.port = self.port == 0, int(said)
        if first_start:
            self._create_bucket()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _create_bucket(self) -> None:
        session = boto3.Session(ACCESS_KEY, SECRET_KEY, region_name="us-east-1")
        config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
        client = session.client("s3", endpoint_url=self.endpoint, config=config)
        client.create_bucket(Bucket=self.bucket)
        client.close()


# --- the child --------------------------------------------------------------------------------------------------------


def _serve(folder: Path, port: int, host: str = "127.0.0.1", secret: str = SECRET_KEY) -> None:
    """Listens, prints the port, and ends with the parent, even with one that was killed: its pipe closes."""
    import eventlet
    from eventlet.hubs import trampoline
    from swift.common import storage_policy, utils, wsgi

    utils.monkey_patch()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "swift.conf").write_text(_SWIFT)
    utils.set_swift_dir(str(folder))
    storage_policy.reload_storage_policies()

    for node in _NODES:
        listener = eventlet.listen(("127.0.0.1", 0))
        _write_ring(folder, node, listener.getsockname()[1])
        (folder / f"{node}.conf").write_text(_NODE.format(folder=folder, node=node))
        eventlet.spawn(_answer, listener, wsgi.loadapp(f"{folder}/{node}.conf"))

    listener = eventlet.listen((host, port))
    filters = "".join(_FILTER.format(name=name) for name in _PLAIN_FILTERS)
    conf = _PROXY.format(folder=folder, pipeline=_PIPELINE, user=ACCESS_KEY.replace(":", "_"), secret=secret, page=PAGE)
    (folder / "proxy.conf").write_text(conf + filters)
    eventlet.spawn(_answer, listener, wsgi.loadapp(f"{folder}/proxy.conf"))

    print(listener.getsockname()[1], flush=True)  # noqa: T201
    trampoline(sys.stdin, read=True)


def _write_ring(folder: Path, node: str, port: int) -> None:
    """Where the proxy finds a node: one replica on one device."""
    from swift.common.ring import RingBuilder

    (folder / "devices" / "d1").mkdir(parents=True, exist_ok=True)
    ring = RingBuilder(part_power=4, replicas=1, min_part_hours=0)
    ring.add_dev({"region": 1, "zone": 1, "weight": 1, "ip": "127.0.0.1", "port": port, "device": "d1"})
    ring.rebalance()
    ring.get_ring().save(str(folder / f"{node}.ring.gz"))


def _answer(listener: object, app: object) -> None:
    import eventlet.wsgi

    # S3 clients look for "ETag"; eventlet would send "Etag".
    eventlet.wsgi.server(listener, app, log_output=False, capitalize_response_headers=False)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
