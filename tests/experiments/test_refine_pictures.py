"""How refinements with and without a picture are scored, and their page."""

import pytest

from hoijax.experiments.refine_pictures import ROWS, markdown, score


def row(body, thing, contact, penetration):
    return {"body": body, "object": thing, "contact": contact, "penetration": penetration, "cpu_s": 2.0}


EACH = [
    dict(
        zip(ROWS, (row(0.9, 0.8, 0.05, 0.03), row(0.89, 0.775, 0.01, 0.002), row(0.7, 0.85, 0.01, 0.001))),
        category="chair",
        note="refined",
    ),
    dict(
        zip(ROWS, (row(0.8, 0.9, 0.03, 0.0), row(0.76, 0.9, 0.03, 0.02), row(0.8, 0.5, 0.0, 0.0))),
        category="ball",
        note="not refined: far away",
    ),
]


def test_falls_are_the_worse_of_both_outlines():
    fitted, seen, blind = (score(EACH)[name] for name in ROWS)
    assert fitted["worst_fall"] == 0 and fitted["kept"] == 1 and fitted["touching"] == 0
    assert seen["worst_fall"] == pytest.approx(0.04) and seen["kept"] == 0.5
    assert (seen["touching"], seen["clear"], blind["clear"]) == (0.5, 0.5, 1.0)
    assert blind["worst_fall"] == pytest.approx(0.4) and blind["kept"] == 0
    assert seen["body"] == pytest.approx(0.825) and fitted["penetration"] == pytest.approx(0.015)


def test_the_page_is_made_of_its_record():
    record = {"config": {"split": "val"}, "machine": "a chip", "seconds": 7.0, "scores": score(EACH), "each": EACH}
    text = markdown(record)
    assert "Left as fitted: ball (not refined: far away)." in text
    assert "2 samples" in text and "| refined with the picture | 0.825 | 0.838 | 50 % | 0.040 |" in text
