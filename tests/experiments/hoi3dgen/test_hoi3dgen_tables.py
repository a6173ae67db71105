"""The tables hold what the committed results say, and name what is missing."""

import json

from hoijax.experiments.hoi3dgen import tables


def test_the_page_holds_the_numbers_of_the_files_that_are_there(tmp_path):
    (tmp_path / "segment_register.json").write_text(json.dumps({"scores": {"chamfer_cm": 1.2345}}))
    tables.main(tables.Config(results=tmp_path, out=tmp_path / "page.md"))
    page = (tmp_path / "page.md").read_text()
    assert "| hoijax on SynthHOI | 1.23 |" in page
    assert f"shapes that ship | {tables.ABSENT} | {tables.ABSENT} | {tables.ABSENT} |" in page


def test_contact_is_the_share_of_prompts_that_came_out_right(tmp_path):
    summary = {"accuracy": 0.95, "right": 57, "prompts": 60}
    (tmp_path / "hoi3dgen_compose.json").write_text(json.dumps({"summary": summary}))
    tables.main(tables.Config(results=tmp_path, out=tmp_path / "page.md"))
    assert "95.0 % (57 of 60)" in (tmp_path / "page.md").read_text()
