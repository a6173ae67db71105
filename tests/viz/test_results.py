"""What a folder holds: results by their records, candidates, what is missing, and what is no result."""

import json

import pytest
import trimesh

from hoijax.errors import InputError
from hoijax.viz.results import find_results

AFTER = {"contact": {"back": 0.001}, "max_penetration": 0.0016}
REFINED = {"before": AFTER, "after": AFTER, "verdict": ["reached"], "good": True, "notes": ["a note"], "options": {}}


def put(folder, record=None, *files):
    """A result of these files."""
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".glb"):
            trimesh.creation.box().export(path)
        else:
            path.write_bytes(b"")
    folder.mkdir(parents=True, exist_ok=True)
    if record is not None:
        (folder / "metrics.json").write_text(record if isinstance(record, str) else json.dumps(record))
    return folder


def test_each_kind_is_told_by_its_record(tmp_path):
    one = "interaction.glb", "refined.npz"
    put(tmp_path / "a", REFINED, *one)
    put(tmp_path / "b", REFINED | {"sequence": {"fps": 25}, "good": False, "verdict": ["missed", "penetrates"]}, *one)
    photo = {"method": "fit", "overlap": {}, "confidence": 0.543, "verdict": "fits the picture", "good": True}
    put(tmp_path / "c", photo, "interaction.glb", "reconstruction.npz")
    put(tmp_path / "d", {"stages": {}, "options": {}}, "interaction.glb", "reconstruction.npz")
    put(tmp_path, {"items": {}, "finished": 4})
    found = find_results(tmp_path)
    assert [(f.name, f.kind) for f in found] == [
        ("a", "refine"), ("b", "sequence"), ("c", "reconstruct"), ("d", "reconstruct")
    ]  # fmt: skip
    assert [f.candidates[0].label for f in found] == [
        "result, 1.6 mm deep, good, reached", "result, 1.6 mm deep, not good, missed; penetrates",
        "result, confidence 0.54, good, fits the picture", "result",
    ]  # fmt: skip
    assert found[0].notes == ("a note",) and not any(f.problems for f in found)
    assert found[0].candidates[0].parameters == tmp_path / "a" / "refined.npz"


def test_candidates_are_listed_with_score_and_verdict(tmp_path):
    rows = [
        {"score": 1.8103, "verdict": ["reached"], "valid": True, "good": False, "reason": "every part touches"},
        {"score": float("nan"), "verdict": "missed", "valid": "yes", "reason": 3},
    ]
    files = [f"candidates/{k:02d}.{end}" for k in range(2) for end in ("glb", "npz")]
    put(tmp_path / "s", {"sentence": "x", "candidates": rows}, "interaction.glb", "affordance.glb", *files)
    rows = [{"measured": "left hand", "good": False, "score": -1.0}, {"measured": "none", "good": True, "score": 0}]
    files = ["run/mesh/0000.glb", "candidates/00.npz", "candidates/01.npz"]
    put(tmp_path / "g", {"prompt": "x", "sentence": "x", "candidates": rows}, "interaction.glb", *files)
    made, drawn, affordance = find_results(tmp_path)
    assert [c.label for c in drawn.candidates] == ["1, score 1.81, good, reached", "2, missed"]
    assert drawn.candidates[0].reason == "every part touches" and drawn.candidates[1].reason == ""
    assert drawn.candidates[1].scene == tmp_path / "s" / "candidates" / "01.glb"
    assert [c.label for c in made.candidates] == ["1, score -1.00, not good, left hand", "2, score 0.00, good, none"]
    assert (affordance.kind, affordance.name) == ("scene", "s/affordance.glb"), "no part of the list of candidates"


def test_what_is_half_written_is_shown_with_what_is_wrong(tmp_path):
    put(tmp_path / "a", None, "interaction.glb")
    put(tmp_path / "b", '{"after": {', "interaction.glb", "refined.npz")
    put(tmp_path / "c", "[1]", "interaction.glb")
    put(tmp_path / "d", REFINED)
    put(tmp_path / "e", {"sentence": "x", "candidates": [{}, 7]}, "candidates/00.glb", "candidates/00.npz")
    put(tmp_path / "f", {"sentence": "x", "candidates": []}, "interaction.glb", "interaction.npz")
    put(tmp_path / "g", '{"after": ')
    put(tmp_path / "h", REFINED | {"after": {"max_penetration": "deep"}, "verdict": 4, "options": 5}, "interaction.glb")
    found = {f.name: f for f in find_results(tmp_path)}
    assert "not finished" in found["a"].problems[0] and not found["a"].candidates[0].missing
    assert "damaged" in found["b"].problems[0] and "damaged" in found["g"].problems[0]
    assert found["g"].candidates[0].missing == ("interaction.glb",)
    assert "holds a list" in found["c"].problems[0]
    assert found["d"].candidates[0].missing == ("interaction.glb", "refined.npz")
    assert found["d"].problems == ("Not there: interaction.glb, refined.npz. Run the command again.",)
    assert [c.missing for c in found["e"].candidates] == [(), ("candidates/01.glb", "candidates/01.npz")]
    assert found["e"].candidates[1].label == "2, candidates/01.glb, candidates/01.npz missing"
    assert "no candidates" in found["f"].problems[0]
    assert found["h"].candidates[0].label == "result, good, refined.npz missing" and found["h"].options == {}


def test_scenes_stay_what_they_are(tmp_path):
    put(tmp_path / "r", REFINED, "interaction.glb", "refined.npz", "other.glb")
    put(tmp_path / "rooms", None, "b.glb", "a.glb")
    assert [(f.name, f.kind) for f in find_results(tmp_path)] == [
        ("r", "refine"), ("r/other.glb", "scene"), ("rooms/a.glb", "scene"), ("rooms/b.glb", "scene"),
    ]  # fmt: skip
    assert [f.name for f in find_results(tmp_path / "r" / "other.glb")] == ["other.glb"]
    assert [f.name for f in find_results(tmp_path / "r")] == ["r", "other.glb"]


@pytest.mark.parametrize(("name", "message"), [("none", "there is no file or folder"), ("empty", "holds no result")])
def test_a_folder_without_results_is_refused(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "metrics.json").write_text('{"x": 1}')
    with pytest.raises(InputError, match=message):
        find_results(tmp_path / name)
