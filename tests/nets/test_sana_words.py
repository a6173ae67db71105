"""Whole words as tokens."""

import pytest

from hoijax.errors import InputError
from hoijax.nets.sana import Tokenizer
from hoijax.nets.sana.words import BEGIN, WordTokenizer, words_of


def test_words_are_numbered_in_the_order_given_after_padding_and_beginning():
    tokenizer = WordTokenizer(["a", "box", "."])
    assert isinstance(tokenizer, Tokenizer) and len(tokenizer) == 5
    assert tokenizer.encode("  A BOX. a") == [BEGIN, 2, 3, 4, 2]
    assert tokenizer.encode("") == [BEGIN]
    assert words_of("A T-shirt,\nblue.") == ["a", "t-shirt", ",", "blue", "."]


def test_unknown_words_are_named_with_those_that_are_known():
    with pytest.raises(InputError, match=r"does not know 'lamp', 'two'; its words are a box$"):
        WordTokenizer(["a", "box", "."]).encode("Two lamp box lamp.")
