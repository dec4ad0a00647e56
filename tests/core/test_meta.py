from datetime import UTC, datetime

import pytest

from airflow_ml_pipelines.core.stores.meta import is_strong, object_info

MOMENT = datetime(2026, 6, 30, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("info", "version"),
    [
        ({"ETag": '"abc"', "LastModified": MOMENT, "size": 3}, "abc"),  # S3
        (
            {"etag": "0x8D", "last_modified": MOMENT, "content_settings": {"content_md5": b"\1"}, "size": 3},
            "0x8D",
        ),
        (
            {"content_settings": {"content_md5": bytearray(b"\1\2")}, "last_modified": MOMENT, "size": 3},
            "0102",
        ),
        ({"generation": 17, "etag": "x", "updated": "2026-06-30T12:00:00Z", "size": 3}, "17"),  # GCS
        ({"ETag": '"abc"', "Last-Modified": "Tue, 30 Jun 2026 12:00:00 GMT", "size": 3}, "abc"),  # HTTP
        ({"ETag": 'W/"abc"', "Content-MD5": "xyz", "mtime": MOMENT.timestamp(), "size": 3}, "xyz"),
    ],
)
def test_each_store_has_its_own_names(info, version):
    found = object_info("a/b", info)
    assert (found.path, found.size, found.version, found.modified) == ("a/b", 3, version, MOMENT.timestamp())
    assert is_strong(found.version)


@pytest.mark.parametrize("info", [{"size": 3, "mtime": 7.5}, {"size": 3, "mtime": 7.5, "ETag": 'W/"a"'}])
def test_a_time_stamp_is_a_weak_version(info):
    found = object_info("a", info)
    assert not is_strong(found.version)
    assert found.version != object_info("a", {**info, "mtime": 8}).version
    assert found.version != object_info("a", {**info, "size": 4}).version


def test_what_a_store_does_not_say_is_nothing():
    found = object_info("a", {"size": None, "created": None, "updated": "yesterday"})
    assert (found.size, found.modified) == (0, 0.0)
    assert not is_strong(found.version)
