"""The sixty prompts: eight configurations, summaries and pages by hand-made rows; the tables of what is available."""

import collections
import json

from hoijax.experiments.hoi3dgen import prompts, tables
from hoijax.systems.hoi3dgen.annotation.contact import CONFIGURATIONS
from hoijax.systems.hoi3dgen.compose import choose_shape, read_prompt

ROWS = json.loads(prompts.PROMPTS.read_text())


def test_prompts_are_sixty_of_eight_configurations_and_none_is_in_both_splits():
    counts = collections.Counter(asked for asked, _ in ROWS["test"])
    assert len(ROWS["test"]) == 60 and set(counts) == {c.replace("_", " ") for c in CONFIGURATIONS}
    assert min(counts.values()) >= 7
    assert not {text for _, text in ROWS["test"]} & {text for _, text in ROWS["dev"]}
    for _, text in ROWS["test"] + ROWS["dev"]:
        prompt = read_prompt(text)
        assert all(g.known for g in prompt.person.garments) and choose_shape(prompt.thing).source


def test_the_order_takes_each_configuration_in_turn():
    order = prompts._order(ROWS["test"])
    assert sorted(order) == list(range(60))
    assert {ROWS["test"][k][0] for k in order[:8]} == {asked for asked, _ in ROWS["test"]}


def made(asked, measured, depth, **more):
    row = {
        "prompt": f"A person, {asked}",
        "asked": asked,
        "measured": measured,
        "any_vertex": measured,
        "parts": ["head"],
    }
    return row | {"depth": depth, "right": asked == measured, "shape": "procedural box 0", "notes": []} | more


def test_summaries_and_pages_say_what_rows_hold():
    rows = {
        0: made("right hand", "right hand", 0.002),
        1: made("right hand", "others", 0.004, any_vertex="right hand"),
        2: made("back", "back", 0.013),
        3: {"prompt": "A person holds a gizmo", "asked": "others", "failed": "no shape", "right": False},
    }
    total = prompts.summary(rows)
    assert (total["prompts"], total["right"], total["accuracy"], total["below_1cm"]) == (4, 2, 0.5, 2)
    assert total["by_configuration"] == {"right hand": [1, 2], "back": [1, 1], "others": [0, 1]}
    assert total["any_vertex"] == 3 and total["deepest_m"] == 0.013 and total["median_depth_m"] == 0.004
    settings = {"count": 3, "draws": 2, "rounds": 1, "steps": 0.5, "lod": "test", "physics": False}
    page = prompts.markdown({"settings": settings, "summary": total, "rows": rows})
    assert "**Contact as asked: 2 of 4 (50 %" in page and "| 2 | A person, right hand | right hand | **others**" in page
    assert "refused: no shape" in page and "4 of the sixty" in page
    both = tables.markdown({"hoi3dgen_compose": {"summary": total}})
    assert "50.0 % (2 of 4)" in both and both.count(tables.ABSENT) == 3 and "45.76 %" in both
    assert tables.markdown({}).count(tables.ABSENT) == 4
