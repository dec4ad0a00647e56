"""Each target of the fuzzer takes all that it begins with, and a few things that were found once."""

from __future__ import annotations

import pytest

from fuzz.seeds import dictionary, seeds
from fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_its_seeds(name):
    found = list(seeds(name))
    assert found
    for seed in found:
        TARGETS[name](seed)
        TARGETS[name](seed[: len(seed) // 2])


def test_the_dictionary_has_the_words_of_the_language():
    words = dictionary().splitlines()
    assert '"\\x73\\x74\\x65\\x70\\x73\\x3a"' in words  # steps:
    assert len(words) > 100
