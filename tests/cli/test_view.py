"""`hoijax view` on results of `hoijax refine`: before and after, the film, and refining again from another place."""

import functools
import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.cli.asked_before import options_of, request_of
from hoijax.errors import InputError
from hoijax.jobs.refine_again import PageRefiner, new_folder, write_dragged
from hoijax.jobs.shown_results import load_candidate
from hoijax.viz.results import find_results
from hoijax.viz.shown import Drag

LOAD = functools.partial(load_candidate, request_of=request_of)
STEPS = ("--steps", "20")


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_before_is_the_estimate_and_after_the_result(refine, save, estimate, tmp_path):
    """Rows of a batch, in a frame whose z is up: each has its own, turned upright."""
    rows = estimate((2,))
    assert refine(save("rows.npz", rows), "--up", "+z", *STEPS)[0] == 0
    found = find_results(tmp_path / "out")
    assert [(f.name, f.kind) for f in found] == [("000000", "refine"), ("000001", "refine")]
    for row, one in enumerate(found):
        shown = LOAD(one, one.candidates[0])
        before, after = ({m.name: m.vertices for m in shown.scene(s, 0)} for s in ("before", "after"))
        centre = before["object"].mean(axis=0)
        x, y, z = rows["obj_trans"][row]
        np.testing.assert_allclose(centre, [x, z, -y], atol=1e-5)
        np.testing.assert_allclose(after["object"].mean(axis=0) - centre, [0, 0, -0.01], atol=1e-5)
        assert not np.allclose(before["body"], after["body"], atol=1e-3) and before["body"].shape == after["body"].shape


def test_without_the_commands_files_the_result_is_shown_all_the_same(refine, save, estimate, tmp_path):
    body = save("one.npz", estimate())
    refine(body, *STEPS)
    body.unlink()
    (one,) = find_results(tmp_path / "out")
    shown = LOAD(one, one.candidates[0])
    assert not shown.before and "one.npz of its command is not there" in shown.notes[0]
    refiner = PageRefiner(tmp_path / "out", request_of)
    assert "one.npz of its command is not there" in refiner.refuses(one, one.candidates[0])
    refiner.close()


def test_a_page_refines_again_from_where_the_object_was_put(refine, save, estimate, fake, tmp_path):
    """The page itself, with the fake refiner: nothing is written before it is saved, and then only what is new."""
    pytest.importorskip("viser", reason="extra [viewer]")
    from hoijax.viz.viewer import Viewer

    refine(save("one.npz", estimate()), "--contact", "left_hand", "--floor", "auto", *STEPS)
    before = contents(tmp_path)
    (found,) = find_results(tmp_path / "out")
    refiner = PageRefiner(tmp_path / "out", request_of)
    page = Viewer([found], load=LOAD, refiner=refiner, port=18095)
    try:
        assert page.candidates == [found.candidates[0].label.replace(";", "_")] and page.message == ""
        panel = page._panel
        panel.grab(True)
        panel._control.position = panel._control.position + np.array([0.0, 0.0, 0.2])
        panel._steps.value = 7
        fake.CALLS.clear()
        panel.refine()
        panel.wait()
        (call,) = fake.CALLS
        assert call["contacts"] == [("left_hand",)] and call["floor"] is not None and call["config"].steps == 7
        assert len(page.candidates) == 2 and page.candidates[1].startswith("again 1")
        made, _ = page.chosen
        again, was = (np.load(f / "refined.npz") for f in (made.folder, found.folder))
        np.testing.assert_allclose(again["obj_trans"] - was["obj_trans"], [0, 0.01, 0.2], atol=1e-5)
        assert contents(tmp_path) == before, "nobody has asked to save it"
        (tmp_path / "out-again-1").mkdir()
        panel.save()
        panel.save()
        kept = tmp_path / "out-again-2"
        assert panel.status == f"saved in {kept}" and not (tmp_path / "out-again-3").exists()
        assert {p: b for p, b in contents(tmp_path).items() if kept not in p.parents} == before
        (saved,) = find_results(kept)
        assert (
            not saved.problems and saved.options["steps"] == 7 and saved.options["body"] == str(kept / "estimate.npz")
        )
        start = LOAD(saved, saved.candidates[0]).scene("before", 0)
        thing = next(m for m in start if m.name == "object").vertices.mean(axis=0)
        np.testing.assert_allclose(thing, was["obj_trans"] + [0, 0, 0.2], atol=1e-5)
    finally:
        page.stop()
        refiner.close()


def test_a_sequence_is_shown_frame_by_frame(refine, save, estimate, tmp_path, monkeypatch):
    """By its numbers: the record of a sequence beside the rows of a batch, with a frame missing."""
    rows = estimate((5,))
    refine(save("rows.npz", rows), *STEPS)
    out = tmp_path / "out"
    options = json.loads((out / "000000" / "metrics.json").read_text())["options"]
    record = {"sequence": {"fps": 20.0}, "name": "rows", "after": {}, "verdict": [], "options": options}
    (out / "metrics.json").write_text(json.dumps(record))
    (out / "interaction.glb").write_bytes((out / "000000" / "interaction.glb").read_bytes())
    found = next(f for f in find_results(out) if f.kind == "sequence")
    shown = LOAD(found, found.candidates[0])
    np.testing.assert_allclose(shown.times, np.arange(5) / 20)
    for k in range(5):
        for state, up in (("before", 0.0), ("after", 0.01)):
            thing = next(m for m in shown.scene(state, k) if m.name == "object").vertices.mean(axis=0)
            np.testing.assert_allclose(thing, rows["obj_trans"][k] + [0, up, 0], atol=1e-5)
    monkeypatch.setattr("hoijax.jobs.shown_results.SHOWN", 3)
    fewer = LOAD(found, found.candidates[0])
    np.testing.assert_allclose(fewer.times, [0, 0.1, 0.2])
    assert "3 of 5 frames are shown" in fewer.notes[0]


def test_dragging_writes_the_place_and_nothing_else(save, estimate, tmp_path):
    values = estimate(obj_rot=np.array([0.1, -0.4, 0.2], np.float32))
    path = save("one.npz", values)
    turn = Rotation.from_rotvec([-np.pi / 2, 0, 0]).as_matrix()
    write_dragged(path, tmp_path / "same.npz", Drag(np.ones(3), np.eye(3), np.ones(3)), turn)
    for name, value in np.load(tmp_path / "same.npz").items():
        np.testing.assert_array_equal(value, values[name])
    drag = Drag(np.ones(3), Rotation.from_rotvec([0, 0.5, 0]).as_matrix(), np.array([1.0, 1.0, 3.0]))
    write_dragged(path, tmp_path / "new.npz", drag, turn)
    new = np.load(tmp_path / "new.npz")
    corner = np.array([0.1, 0.2, 0.3])
    place = lambda v: Rotation.from_rotvec(v["obj_rot"]).as_matrix() @ corner + v["obj_trans"]  # noqa: E731
    wanted = drag.rotation @ (turn @ place(values)) + drag.shift
    np.testing.assert_allclose(turn @ place(new), wanted, atol=1e-6)
    assert all(np.array_equal(new[n], values[n]) for n in values if n not in ("obj_rot", "obj_trans"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "does not hold the options"),
        ({"out": "x", "shell": "rm"}, "option shell that"),
        ({"out": "x", "lod": "huge"}, "lod = 'huge'"),
        ({"out": "x", "steps": "many"}, "steps = 'many'"),
        ({"out": "x", "sequence": 3}, "sequence = 3"),
        ({"out": "x", "contact": None}, "contact = None"),
    ],
)
def test_records_that_hold_other_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        options_of(options)


def test_what_fails_leaves_no_folder(tmp_path):
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path, "x") as folder:
        (folder / "half").write_text("")
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())
