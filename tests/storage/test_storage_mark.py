"""Which storage is the farm's: what lies there and what Redis knows, in every combination."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from farm.errors import Misconfigured, StorageUnavailable
from farm.layout import MARK
from farm.settings import Settings
from farm.storage import LocalStorage, Storage
from farm.storage_mark import adopt, read_mark, recognise
from farm.store import Store, registry

SETTINGS = Settings(storage_url="file:///here")
OTHERS = "FARM_STORAGE_URL names file:///here here, and the farm in FARM_REDIS_URL keeps its objects elsewhere"


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    with closing(Store.connect(redis_url)) as store:
        yield store


@pytest.fixture
def elsewhere(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "elsewhere")


def known(store: Store) -> str | None:
    return store.run(registry.storage_mark())


def test_a_new_farm_marks_its_storage_once(store: Store, storage: Storage) -> None:
    recognise(store, storage, SETTINGS)
    mark = known(store)
    assert mark is not None
    assert read_mark(storage) == mark
    recognise(store, storage, SETTINGS)
    assert (known(store), read_mark(storage)) == (mark, mark)


def test_an_empty_folder_is_not_the_storage_of_a_farm_that_has_one(
    store: Store, storage: Storage, elsewhere: LocalStorage
) -> None:
    recognise(store, storage, SETTINGS)
    with pytest.raises(Misconfigured, match=f"{OTHERS}: this storage holds nothing of this farm.*`farm adopt-storage`"):
        recognise(store, elsewhere, SETTINGS)
    assert read_mark(elsewhere) is None


def test_the_storage_of_another_farm_is_refused(
    store: Store, storage: Storage, elsewhere: LocalStorage, own_redis: Callable[..., Any]
) -> None:
    with closing(Store.connect(own_redis().url)) as other:
        recognise(other, elsewhere, SETTINGS)
    recognise(store, storage, SETTINGS)
    with pytest.raises(Misconfigured, match=f"{OTHERS}: this storage holds another farm's objects"):
        recognise(store, elsewhere, SETTINGS)


def test_a_redis_that_was_emptied_takes_the_mark_over(store: Store, storage: Storage) -> None:
    recognise(store, storage, SETTINGS)
    mark = known(store)
    store.run(registry.adopt_storage_mark(""))
    store._client.delete("f:storage")
    recognise(store, storage, SETTINGS)
    assert known(store) == mark


def test_a_mark_that_was_written_before_a_crash_is_used(store: Store, storage: Storage) -> None:
    storage.put(MARK, b"5f1d")
    recognise(store, storage, SETTINGS)
    assert known(store) == "5f1d"


def test_storage_that_was_replaced_becomes_the_farms_own_by_the_word_of_its_operator(
    store: Store, storage: Storage, elsewhere: LocalStorage
) -> None:
    recognise(store, storage, SETTINGS)
    for _ in range(2):
        adopt(store, elsewhere)
        recognise(store, elsewhere, SETTINGS)
    with pytest.raises(Misconfigured, match=OTHERS):
        recognise(store, storage, SETTINGS)
    adopt(store, storage)
    recognise(store, storage, SETTINGS)


def test_parts_that_start_at_the_same_time_agree_on_one_mark(
    store: Store, storage: Storage, elsewhere: LocalStorage, redis_url: str
) -> None:
    def start(number: int) -> str:
        with closing(Store.connect(redis_url)) as mine:
            try:
                recognise(mine, elsewhere if number % 2 else storage, SETTINGS)
            except Misconfigured as error:
                return error.message
            return "well"

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(start, range(8)))
    marked, other = (storage, elsewhere) if read_mark(storage) else (elsewhere, storage)
    assert read_mark(marked) == known(store)
    assert read_mark(other) is None
    assert sorted(message == "well" for message in said) == [False] * 4 + [True] * 4


def test_storage_that_takes_no_writes_is_an_outage_and_gets_its_mark_later(store: Store, storage: Storage) -> None:
    class Full:
        def get(self, key: str) -> bytes:
            return storage.get(key)

        def put(self, *_: object) -> None:
            raise StorageUnavailable("no space left")

    full: Any = Full()
    with pytest.raises(StorageUnavailable, match="no space left"):
        recognise(store, full, SETTINGS)
    assert known(store) is None
    store._client.delete("f:lock:storage")  # its lease is over
    recognise(store, storage, SETTINGS)
    assert known(store) == read_mark(storage)
