"""A cache that cannot lie: what was changed in it is worked out again, and what it cannot do is said once and done in memory."""

import sqlite3

import pytest

from symjax.evaluate import cache as module
from symjax.evaluate import stages
from symjax.evaluate.cache import Cache, stamp

pytestmark = pytest.mark.faults
ROWS = [(f"key-{i}", {"number": i, "text": "x" * 200}) for i in range(400)]
KEYS = [key for key, _ in ROWS]


@pytest.fixture
def path(tmp_path):
    with Cache(tmp_path / "cache.sqlite") as cache:
        cache.put_many("stage", "1", ROWS)
    return tmp_path / "cache.sqlite"


def change(path, sql, *values):
    with sqlite3.connect(path) as database:
        database.execute(sql, values)
    database.close()


@pytest.mark.parametrize("text", ["{}", "null", '{"number": 3}', "00000000 {}", "", "no json", b"\xff\xfe"])
def test_values_that_were_not_written_are_not_read(path, text):
    change(path, "UPDATE results SET value = ? WHERE key = 'key-7'", text)
    change(path, "UPDATE results SET value = (SELECT value FROM results WHERE key = 'key-1') WHERE key = 'key-9'")
    with Cache(path) as cache:
        found = cache.get_many("stage", "1", KEYS)
    assert found == {key: value for key, value in ROWS if key not in ("key-7", "key-9")}


def test_versions_of_packages_are_in_the_key(path, monkeypatch):
    assert "spglib" in stages.SYMMETRY.stamp and "smact" in stages.COMPOSITION.stamp
    assert "matminer" in stages.fingerprint().stamp and "pymatgen" in stages.GEOMETRY.stamp
    before = stamp(1, ["spglib"])
    monkeypatch.setattr(module, "versions", lambda names: dict.fromkeys(names, "0.0"))
    assert before != stamp(1, ["spglib"]) == "1; spglib 0.0"


def test_damaged_pages(path, caplog):
    """Every page zeroed in turn: values that are right or none, never a traceback; and what is new is kept in memory."""
    whole = path.read_bytes()
    for start in range(4096, len(whole), 4096):
        path.write_bytes(whole[:start] + bytes(4096) + whole[start + 4096 :])
        caplog.clear()
        with Cache(path) as cache:
            found = cache.get_many("stage", "1", KEYS)
            assert found.items() <= dict(ROWS).items()
            cache.put("stage", "1", "new", {"a": 1})
            assert cache.get_many("stage", "1", ["new"]) == {"new": {"a": 1}}
        assert len(caplog.records) <= 1
    path.write_bytes(whole[: len(whole) // 2])
    with Cache(path) as cache:
        assert cache.get_many("stage", "1", KEYS).items() <= dict(ROWS).items()


@pytest.mark.parametrize("how", ["PRAGMA query_only = ON", "PRAGMA max_page_count = 1"])
def test_what_cannot_be_written_is_kept_in_memory(path, caplog, how):
    """A read-only file and a full disk, as sqlite tells them."""
    with Cache(path) as cache:
        cache.database.execute(how)
        more = [(f"more-{i}", {"number": i, "text": "y" * 5000}) for i in range(50)]
        cache.put_many("stage", "1", more)
        cache.put("stage", "1", "last", {"a": 1})
        found = cache.get_many("stage", "1", [*KEYS, *dict(more), "last"])
        assert found == dict(ROWS) | dict(more) | {"last": {"a": 1}}
    (record,) = caplog.records
    assert "cannot be written" in record.getMessage() and "in memory only" in record.getMessage()


def test_a_folder_that_cannot_be_made(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with Cache(tmp_path / "file" / "cache.sqlite") as cache:
        cache.put("stage", "1", "a", {"a": 1})
        assert cache.get_many("stage", "1", ["a", "b"]) == {"a": {"a": 1}}
    assert len(caplog.records) == 1
