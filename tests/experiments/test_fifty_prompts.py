"""The fifty prompts' command: what counts as finished, and the page."""

import json

import pytest

from hoijax.errors import InputError
from hoijax.experiments.interactanything import run
from hoijax.experiments.interactanything.evaluate import summary

SETTINGS = {"count": 8, "draws": 1, "tries": 0, "lod": "light"}


def row(valid: bool) -> dict:
    checks = {"parts": True, "depth": True, "place": True, "physics": valid}
    fall = {"displacement": 0.25, "holds": valid}
    one = {"checks": checks, "valid": valid, "contact": {"seat": 0.004}, "depth": 0.002, "physics": fall}
    return {"sentence": "A person sits on it", "seconds": 3.0, "candidates": [one, one], "settings": SETTINGS, **one}


def test_a_prompt_is_finished_only_with_the_same_settings(tmp_path):
    (tmp_path / "03.json").write_text(json.dumps(row(True)))
    assert run._finished(tmp_path, 3, SETTINGS) == row(True)
    assert run._finished(tmp_path, 4, SETTINGS) is None
    for other in ({"count": 2}, {"lod": "test"}, {"tries": 1}, {"draws": 2}):
        assert run._finished(tmp_path, 3, SETTINGS | other) is None


def test_the_page_says_what_failed():
    rows = {0: row(True), 7: row(False)}
    text = run.markdown({"settings": SETTINGS, "summary": summary(list(rows.values())), "rows": rows})
    assert "**1 of 2 prompts valid**" in text and "of all candidates 50 %" in text
    assert "| 8 | A person sits on it | 0 of 2 | 4 | 2 | 25.0 | physics |" in text


def test_the_page_of_other_meshes_names_them():
    rows = {0: row(True) | {"name": "chair_026"}}
    text = run.others_markdown({"settings": SETTINGS, "summary": summary(list(rows.values())), "rows": rows})
    assert "**1 of 1 valid**" in text and "| 1 | chair_026: A person sits on it | 2 of 2 | 4 | 2 | 25.0 |  |" in text


def test_without_a_judge_nothing_is_claimed(tmp_path, monkeypatch):
    monkeypatch.setattr(run.physics, "available", lambda: False)
    with pytest.raises(InputError, match="physics"):
        run.main(run.Config(work=tmp_path / "work"))
    assert not (tmp_path / "work").exists()
