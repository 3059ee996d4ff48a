"""The forms of the address of a Redis, and what is refused. No message repeats a password."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from redis.asyncio.connection import parse_url as read_by_asyncio
from redis.connection import parse_url as read_by_redis

from farm.errors import Misconfigured
from farm.redis_address import RedisAddress

SECRET = "s3cr3t"


def read(url: str) -> RedisAddress:
    return RedisAddress.read(url, "FARM_REDIS_URL")


@pytest.mark.parametrize(
    ("given", "place", "database", "username", "password"),
    [
        ("redis://127.0.0.1:6379/0", "127.0.0.1:6379", 0, "", ""),
        ("redis://redis", "redis", 0, "", ""),
        ("redis://redis/", "redis", 0, "", ""),
        ("redis://", "localhost", 0, "", ""),
        ("redis://redis?db=3", "redis", 3, "", ""),
        ("redis://redis/3?db=3", "redis", 3, "", ""),
        ("redis://my_redis.internal-1:6380/15", "my_redis.internal-1:6380", 15, "", ""),
        ("redis://[::1]:6379/2", "[::1]:6379", 2, "", ""),
        ("REDIS://redis/1", "redis", 1, "", ""),
        ("redis://:p%40ss%2F%23%3F@redis/1", "redis", 1, "", "p@ss/#?"),
        ("redis://:p@ss@redis/1", "redis", 1, "", "p@ss"),
        ("redis://:100%@redis/1", "redis", 1, "", "100%"),
        ("rediss://farm:pass@redis:6380/1", "redis:6380", 1, "farm", "pass"),
        ("rediss://default:k%C3%A9y=@cache.example.com:6380", "cache.example.com:6380", 0, "default", "kéy="),
        ("unix:///run/redis.sock", "/run/redis.sock", 0, "", ""),
        ("unix:///run/redis.sock?db=4", "/run/redis.sock", 4, "", ""),
        ("unix://farm:p%40ss@/run/my%20redis.sock?db=4", "/run/my redis.sock", 4, "farm", "p@ss"),
        ("unix:///run/redis.sock?username=farm&password=p%2Bss", "/run/redis.sock", 0, "farm", "p+ss"),
    ],
)
def test_an_address_is_read_by_its_parts(given: str, place: str, database: int, username: str, password: str) -> None:
    found = read(given)
    assert (found.place, found.database, found.username, found.password) == (place, database, username, password)
    assert read(found.url) == found


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix"])
@pytest.mark.parametrize("password", ["", "plain", "p@s:s/w?o#r[d]%;+ é", "="])
def test_both_readers_of_redis_find_what_was_given(scheme: str, password: str) -> None:
    place = "/run/a b;c#d.sock" if scheme == "unix" else "redis:6380"
    given = f"{scheme}://farm:{quote(password, safe='')}@{quote(place, safe='/:')}?db=7"
    for reader in (read_by_redis, read_by_asyncio):
        found = reader(read(given).url)
        assert (found["username"], found.get("password", ""), found["db"]) == ("farm", password, 7)
        assert place == (found["path"] if scheme == "unix" else f"{found['host']}:{found['port']}")


def test_the_broker_checks_certificates_unless_told_otherwise() -> None:
    assert read("rediss://redis/1").kombu_url == "rediss://redis/1?ssl_cert_reqs=required"
    for word in ("none", "CERT_NONE"):
        assert read(f"rediss://redis/1?ssl_cert_reqs={word}").kombu_url == "rediss://redis/1?ssl_cert_reqs=none"


def test_options_of_the_connection_reach_redis_and_those_of_tls_the_broker_as_well() -> None:
    found = read("rediss://redis/1?ssl_ca_certs=/ca%20s.pem&health_check_interval=30&client_name=farm")
    assert found.url == "rediss://redis/1?ssl_ca_certs=%2Fca+s.pem&health_check_interval=30&client_name=farm"
    assert found.kombu_url == "rediss://redis/1?ssl_cert_reqs=required&ssl_ca_certs=%2Fca+s.pem"
    assert found.files == {"ssl_ca_certs": "/ca s.pem"}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("", "it must be like"),
        ("localhost:6379", "it must be like"),
        (f":{SECRET}@redis:6379/0", "it must be like"),
        ("http://redis:6379", "it must be like"),
        ("amqp://guest@redis//", "it must be like"),
        ("unix:/run/redis.sock", "it must be like"),
        ("redis:/redis", "it must be like"),
        ("redis+socket:///run/redis.sock", "it must be like"),
        (f"sentinel://:{SECRET}@redis:26379/0", "Sentinel"),
        ("redis+sentinel://redis:26379/mymaster/0", "Sentinel"),
        ("redis-sentinel://redis:26379", "Sentinel"),
        ("redis-cluster://redis:6379", "cluster"),
        (f"redis://:{SECRET}#x@redis/0", "%23"),
        ("redis://redis/0#", "%23"),
        (f"redis://:{SECRET}/x@redis/0", "%2F"),
        (f"redis://:{SECRET}?x@redis/0", "%3F"),
        (f"redis://:{SECRET}[x@redis/0", "%5B"),
        (f"redis://:{SECRET} x@redis/0", "%20"),
        (f"redis://:{SECRET}@redis/0\r", "line end"),
        ("redis://redis/0\n", "line end"),
        ("\tredis://redis/0", "it must be like"),
        ("redis://[::1/0", "IPv6"),
        ("redis://[zz]/0", "IPv6"),
        (f"redis://redis:{SECRET}/0", "its port is no number"),
        ("redis://redis:99999/0", "its port is no number"),
        ("redis://redis:0/0", "its port is no number"),
        ("redis://redis:/0", "its port is no number"),
        ("redis://redis,other/0", "its host"),
        ("redis://redis/abc", "its database must be a number"),
        ("redis://redis/-1", "its database must be a number"),
        ("redis://redis/0/1", "its database must be a number"),
        ("redis://redis/٣", "its database must be a number"),
        ("redis://redis?db=", "its database must be a number"),
        ("redis://redis?db=abc", "its database must be a number"),
        ("redis://redis/1?db=2", "two databases"),
        ("redis://redis?db=1&db=2", "twice"),
        ("redis://redis/0?nonsense=1", "no option nonsense"),
        ("redis://redis/0?decode_responses=true", "no option decode_responses"),
        ("redis://redis/0?protocol=3", "no option protocol"),
        (f"redis://redis/0?password={SECRET}", "no option password"),
        (f"redis://redis/0?{SECRET}", "must be like db=0"),
        ("redis://redis/0?ssl_cert_reqs=none", "rediss://"),
        ("rediss://redis/0?ssl_cert_reqs=maybe", "ssl_cert_reqs"),
        ("rediss://redis/0?ssl_check_hostname=maybe", "ssl_check_hostname"),
        ("redis://redis/0?socket_timeout=soon", "socket_timeout"),
        ("unix://redis.sock?db=0", "the path of a socket is absolute"),
        ("unix://redis/run.sock", "the path of a socket is absolute"),
        ("unix:///", "the path of a socket is absolute"),
        ("unix:///run/%00.sock", "the path of a socket is absolute"),
    ],
)
def test_a_malformed_address_is_refused_on_one_line_without_its_password(wrong: str, says: str) -> None:
    with pytest.raises(Misconfigured) as raised:
        read(wrong)
    message = raised.value.message
    assert message.startswith("FARM_REDIS_URL: ")
    assert says in message
    assert "\n" not in message
    assert SECRET not in message


def test_neither_the_words_nor_the_repr_of_an_address_hold_its_password() -> None:
    found = read(f"unix://farm:{SECRET}@/run/redis.sock?db=4")
    assert str(found) == "unix:///run/redis.sock?db=4"
    assert SECRET not in repr(found)
    assert str(read(f"rediss://farm:{SECRET}@redis:6380/1?ssl_cert_reqs=none")) == "rediss://redis:6380/1"
