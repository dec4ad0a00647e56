"""Secrets are taken out of what a script writes, wherever it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_ml_pipelines.runtime.masking import Mask

SECRETS = ["hunter22", "hunter", "ab" * 10, "été-secret"]


def masked(pieces: list[bytes], secrets=SECRETS) -> bytes:
    mask = Mask(secrets)
    return b"".join([mask.feed(piece) for piece in pieces] + [mask.flush()])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the password is hunter22!", "the password is ***!"),
        ("hunter and hunter22", "*** and ***"),
        ("été-secret", "***"),
        ("hunte", "hunte"),
        ("", ""),
        ("abababababababababab", "***"),
    ],
)
def test_a_secret_is_replaced(text, expected):
    assert masked([text.encode()]).decode() == expected


@given(st.lists(st.sampled_from([*SECRETS, "x", "hunt", "er22", "ab", "\n"]), max_size=8), st.data())
def test_no_cut_lets_a_secret_through(words, data):
    whole = "".join(words).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    found = masked(pieces)
    assert not [secret for secret in SECRETS if secret.encode() in found]


@given(st.binary(max_size=50), st.integers(0, 50))
def test_what_has_no_secret_stays_as_it_is(data, cut):
    assert masked([data[:cut], data[cut:]], ["a secret that nothing has"]) == data
    assert masked([data[:cut], data[cut:]], []) == data


def test_each_line_of_a_secret_is_one():
    assert masked([b"two: second line"], ["first line\nsecond line\n"]) == b"two: ***"


def test_what_is_too_short_to_be_told_apart_is_left():
    assert masked([b"1234 a"], ["1234", "a", ""]) == b"1234 a"


def test_nothing_is_held_back_longer_than_it_has_to_be():
    mask = Mask(["hunter22"])
    assert mask.feed(b"progress 10%") == b"progress 10%"
    assert mask.feed(b" hunt") == b" "
    assert mask.feed(b"ing") == b"hunting"
