"""Answers in what models say around them."""

import pytest

from hoijax.language import first_json, option_in

OPTIONS = ("front", "back", "left", "no", "half_body", "body", "body_or_larger")


@pytest.mark.parametrize(
    ("reply", "want"),
    [
        ("front", "front"),
        ("  Front.\n", "front"),
        ("**Half-Body**", "half_body"),
        ("half body", "half_body"),
        ("The answer is `body_or_larger`, not front.", "body_or_larger"),
        ("I'd say BACK, or perhaps left", "back"),
        ("I do not know", None),
        ("nobody", None),
        ("Frontal", None),
        ("", None),
        ("no", "no"),
        ("No, it stays.", "no"),
    ],
)
def test_an_option_is_a_word_of_the_reply(reply, want):
    assert option_in(reply, OPTIONS) == want


@pytest.mark.parametrize(
    ("reply", "want"),
    [
        ('{"a": 1}', {"a": 1}),
        ('Sure! Here:\n```json\n{"a": {"b": []}}\n```\nHope {that} helps', {"a": {"b": []}}),
        ('a set {x, y} and then {"a": 2}', {"a": 2}),
        ('{"a": 1} {"b": 2}', {"a": 1}),
        ('{"a": NaN} no', None),
        ('{"a": 1, "a": 2}', None),
        ('{"a": 1', None),
        ("[1, 2]", None),
        ("{" * 100_000, None),
        ('{"a": ' + "[" * 100_000, None),
        ("", None),
    ],
)
def test_the_first_object_of_a_reply(reply, want):
    assert first_json(reply) == want
