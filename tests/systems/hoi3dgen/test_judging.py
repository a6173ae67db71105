"""Win shares: they add up, a judge who looks at places gives all the same, a server that sees the pictures."""

import dataclasses
import math

import numpy as np
import pytest

from hoijax.errors import InputError
from hoijax.language import ServerModel, encode_image
from hoijax.systems.hoi3dgen.judging import ModelJudge, win_shares


def picture(value):
    return encode_image(np.full((4, 4, 3), value, np.uint8))


POOL = {name: [[picture(10 * k + i)] for i in range(3)] for k, name in enumerate(("ours", "theirs", "others"), 1)}
PROMPTS = ["a", "b", "c"]


@dataclasses.dataclass
class Made:
    """A judge of a function; keeps what it was shown."""

    pick: object
    shown: list = dataclasses.field(default_factory=list)

    def choose(self, prompt, renders, *, seed=0):
        self.shown.append((prompt, tuple(r[0] for r in renders), seed))
        return self.pick(renders)


def test_who_looks_at_the_pictures_and_who_looks_at_places():
    best = Made(lambda renders: [r[0] for r in renders].index(max(r[0] for r in renders)))
    got = win_shares(PROMPTS, POOL, best)
    assert sum(got.shares.values()) == pytest.approx(1) and sum(got.votes.values()) == 9 and got.undecided == 0
    assert sorted(got.shares.values()) == [0, 0, 1]
    place = Made(lambda renders: 0)
    assert set(win_shares(PROMPTS, POOL, place).votes.values()) == {3}
    for prompt in PROMPTS:  # each method once in every place
        orders = [shown for p, shown, _ in place.shown if p == prompt]
        assert all(len(set(column)) == 3 for column in zip(*orders))
    swapped = Made(lambda renders: 0)
    pair = {name: POOL[name] for name in ("theirs", "ours")}
    assert win_shares(PROMPTS, pair, swapped).shares == {"theirs": 0.5, "ours": 0.5}
    assert swapped.shown[0][1] == swapped.shown[1][1][::-1] and {s for *_, s in swapped.shown} == {0, 1}


def test_the_order_of_methods_changes_nothing_and_the_seed_does():
    judges = [Made(lambda renders: 1) for _ in range(3)]
    turned = dict(reversed(POOL.items()))
    first, second = win_shares(PROMPTS, POOL, judges[0], trials=1), win_shares(PROMPTS, turned, judges[1], trials=1)
    assert first == second and judges[0].shown == judges[1].shown and len(judges[0].shown) == 3
    win_shares(PROMPTS, POOL, judges[2], trials=1, seed=3)
    assert judges[2].shown != judges[0].shown


def test_no_answer_counts_for_nobody():
    answers = iter([None, 0, None, 0] + [None] * 9)
    got = win_shares(PROMPTS[:2], {n: POOL[n][:2] for n in ("ours", "theirs")}, Made(lambda renders: next(answers)))
    assert got.undecided == 2 and sum(got.votes.values()) == 2
    none = win_shares(PROMPTS, POOL, Made(lambda renders: None))
    assert all(math.isnan(s) for s in none.shares.values()) and none.undecided == 9


def test_a_server_sees_all_pictures_in_their_order(chat_server):
    replies = ["I like them all very much, " * 10, "hm", "The best is B."]
    with chat_server(lambda body: replies.pop(0) if replies else "neither") as (url, requests):
        judge = ModelJudge(ServerModel("eyes", url, retries=0), "quality")
        assert judge.choose("A person holds a ball.", [[picture(1), picture(2)], [picture(3)]], seed=4) == 1
        assert judge.choose("x", [[picture(1)], [picture(2)]]) is None
    content = requests[0]["messages"][-1]["content"]
    assert len(content) == 4 and "A person holds a ball." in content[0]["text"] and "looks best" in content[0]["text"]
    assert "A: 2 pictures; B: 1 pictures" in content[0]["text"] and requests[0]["seed"] == 4
    assert "letter alone" in requests[1]["messages"][-1]["content"][0]["text"] and len(requests) == 6
    with chat_server(lambda body: 500) as (url, _), pytest.raises(InputError, match="status 500"):
        ModelJudge(ServerModel("down", url, retries=0)).choose("x", [[picture(1)]])


@pytest.mark.parametrize(
    ("prompts", "pool", "trials", "message"),
    [
        (["a"], {"ours": POOL["ours"][:1]}, None, "two methods and a prompt, got 1 and 1"),
        ([], POOL, None, "got 3 and 0"), (PROMPTS, POOL | {"ours": []}, None, "ours has pictures of 0 prompts"),
        (PROMPTS, POOL, 0, "at least one trial"),
    ],
)  # fmt: skip
def test_bad_input(prompts, pool, trials, message):
    with pytest.raises(InputError, match=message):
        win_shares(prompts, pool, Made(lambda renders: 0), trials=trials)
    with pytest.raises(InputError, match="1 to 26 candidates"):
        ModelJudge(ServerModel("m", "http://localhost:1/v1")).choose("x", [[]])
