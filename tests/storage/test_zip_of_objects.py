from __future__ import annotations

import io
import os
import zipfile
from datetime import UTC, datetime

import pytest

from api.archives import pieces
from api.zip_stream import Entry, zip_length, zip_stream
from farm.errors import ObjectMissing
from farm.storage import Storage


def test_an_archive_is_made_of_the_objects_of_every_storage(storage: Storage) -> None:
    files = {"large": os.urandom(5_000_001), "empty": b"", "small": b"a"}
    for key, data in files.items():
        storage.put(f"results/{key}", data)
    held = [storage.head(f"results/{key}") for key in files]
    entries = [Entry(each.key, each.size, datetime(2026, 1, 1, tzinfo=UTC), each.key) for each in held if each]
    archive = b"".join(zip_stream(entries, lambda key: pieces(storage, key)))
    assert len(archive) == zip_length(entries)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert {info.filename: opened.read(info) for info in opened.infolist()} == {
            f"results/{key}": data for key, data in files.items()
        }


def test_an_object_that_was_deleted_meanwhile_ends_the_archive_early(storage: Storage) -> None:
    storage.put("results/one", b"one")
    entries = [Entry(key, 3, datetime(2026, 1, 1, tzinfo=UTC), key) for key in ("results/one", "results/two")]
    stream = zip_stream(entries, lambda key: pieces(storage, key))
    with pytest.raises(ObjectMissing):
        list(stream)
