import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ml_pipelines.core.files import digest
from airflow_ml_pipelines.core.files.digest import CHUNK, Digester, digest_bytes, digest_file

SIZES = [0, 1, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5]


def chunked(data):
    whole = hashlib.sha256(b"ml-pipelines/chunks/1\0")
    for start in range(0, len(data), CHUNK):
        whole.update(hashlib.sha256(data[start : start + CHUNK]).digest())
    return whole.hexdigest()


@pytest.mark.parametrize("size", SIZES)
def test_a_file_has_the_digest_of_its_bytes(size, tmp_path):
    data = b"ab" * (size // 2) + b"c" * (size % 2)
    (tmp_path / "file").write_bytes(data)
    expected = hashlib.sha256(data).hexdigest() if size <= CHUNK else chunked(data)
    assert digest_file(tmp_path / "file") == (expected, size)
    assert digest_bytes(data) == expected
    assert len(expected) == 64


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 16))
def test_the_digest_does_not_vary_on_how_the_bytes_come(pieces, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest, "CHUNK", chunk)
        one, many = Digester(), Digester()
        one.update(b"".join(pieces))
        for piece in pieces:
            many.update(piece)
        assert many.size == one.size == sum(map(len, pieces))
        assert many.hexdigest() == one.hexdigest() == digest_bytes(b"".join(pieces))


@pytest.mark.parametrize("expected", [0, 5, 11, 50, CHUNK])
def test_a_size_that_is_no_longer_true_changes_nothing(expected, tmp_path):
    (tmp_path / "file").write_bytes(b"hello world")
    assert digest_file(tmp_path / "file", expected) == (hashlib.sha256(b"hello world").hexdigest(), 11)


def test_a_file_that_shrank_while_it_was_read_has_a_digest(tmp_path):
    (tmp_path / "file").write_bytes(b"short")
    found, size = digest_file(tmp_path / "file", 3 * CHUNK)
    assert size == 5
    assert found != digest_bytes(b"other")


def test_a_file_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        digest_file(tmp_path / "none")


def test_a_digest_can_be_asked_for_twice_and_between_pieces():
    digester = Digester()
    for piece in (b"x" * CHUNK, b"y" * 10, b"z"):
        digester.update(piece)
        assert digester.hexdigest() == digester.hexdigest()
    assert digester.hexdigest() == digest_bytes(b"x" * CHUNK + b"y" * 10 + b"z")
