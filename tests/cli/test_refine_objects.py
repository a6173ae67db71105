"""`hoijax refine` around the optimisation: which way is up, floors, regions of the object, many objects in one run."""

import json

import numpy as np
import pytest
import trimesh

from hoijax.cli import main
from hoijax.geometry import RigidPose
from hoijax.io import write_npz
from hoijax.jobs.refinement import mean_shift


def box(low, high):
    mesh = trimesh.creation.box(np.subtract(high, low))
    mesh.apply_translation(np.add(low, high) / 2)
    return mesh


@pytest.fixture(scope="module")
def stool(tmp_path_factory):
    """A stool with z up in its file: its seat is at z = 0.5."""
    legs = [box((x - 0.02, y - 0.02, 0), (x + 0.02, y + 0.02, 0.46)) for x in (-0.2, 0.2) for y in (-0.2, 0.2)]
    path = tmp_path_factory.mktemp("meshes") / "stool.obj"
    trimesh.util.concatenate([box((-0.22, -0.22, 0.46), (0.22, 0.22, 0.5)), *legs]).export(path)
    return path


def record(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_a_mesh_with_z_up_is_hinted_at_on_the_screen_and_in_the_record(refine, estimate, save, stool, tmp_path):
    code, out, _, (call,) = refine(save("a.npz", estimate()), mesh=stool)
    assert code == 0 and "stool.obj: the mesh looks as if +z were up" in out and "--object-up=+z" in out
    assert any("+z were up" in note for note in record(tmp_path / "out")["notes"])
    assert np.ptp(call["template"].mesh.vertices, axis=0)[2] == pytest.approx(0.5)


def test_an_object_is_turned_before_anything_else_and_everywhere(refine, estimate, save, stool, tmp_path):
    body = save("a.npz", estimate())
    code, out, _, (call,) = refine(
        body, "--object-up=z", "--contact", "left_hand: box(-.3 -.3 .49, .3 .3 .6)", mesh=stool
    )
    assert code == 0 and "its +z points up" in out and "were up" not in out
    vertices = call["template"].mesh.vertices
    np.testing.assert_allclose(
        [vertices.min(axis=0), vertices.max(axis=0)], [[-0.22, 0, -0.22], [0.22, 0.5, 0.22]], atol=1e-6
    )
    # The box is told in the file's axes, its points are in the turned object's.
    region = call["regions"][0]["left_hand"]
    np.testing.assert_allclose([region.points[:, 1].min(), region.points[:, 1].max()], [0.49, 0.5], atol=2e-4)
    told = record(tmp_path / "out")
    assert "place the turned mesh" in " ".join(told["notes"]) and told["options"]["object_up"] == "z"
    # The picture of the result is that of refined.npz: the turned mesh under obj_rot and obj_trans.
    scene = trimesh.load_scene(tmp_path / "out" / "interaction.glb", process=False)
    got = scene.geometry["object"].vertices
    with np.load(tmp_path / "out" / "refined.npz") as file:
        move = file["obj_trans"]
    np.testing.assert_allclose(got[:, 1].max() - move[1], 0.5, atol=0.02)  # turned by 0.05 about z by the fake
    # Another turn is another job, the same one is finished.
    for turn, calls in (("z", 1), ("z", 0), ("-z", 1)):
        assert len(refine(body, f"--object-up={turn}", "--contact", "none", mesh=stool, out="again")[3]) == calls
    assert refine(body, "--object-up=z", "--contact", "left_hand: box(-.3 -.3 .49, .3 .3 .6)", mesh=stool)[3] == []
    assert len(refine(body, "--object-up=-z", "--contact", "left_hand: box(-.3 -.3 .49, .3 .3 .6)", mesh=stool)[3]) == 1
    assert len(refine(body, "--object-up=-z", "--contact", "left_hand: box(-.3 -.3 .48, .3 .3 .6)", mesh=stool)[3]) == 1


def test_up_is_any_direction_for_the_floor_the_turn_and_the_pictures(
    refine, estimate, save, stool, tmp_path, monkeypatch
):
    import hoijax.viz

    drawn = []

    def draw(path, before, after, **options):
        drawn.append(before)
        path.write_bytes(b"\x89PNG\r\n\x1a\n")

    monkeypatch.setattr(hoijax.viz, "write_comparison", draw)
    up = np.array([0.0, 0.6, -0.8])
    arrays = estimate(obj_rot=np.zeros(3), obj_trans=np.zeros(3))
    options = ["--up=0,3,-4", "--object-up=z", "--floor", "-2", "--contact", "none"]
    code, _, _, (call,) = refine(save("a.npz", arrays), *options, mesh=stool, pictures=1)
    assert code == 0
    np.testing.assert_allclose(call["floor"].gravity, [-up], atol=1e-6)
    np.testing.assert_allclose(call["floor"].level, [-2])
    heights = call["template"].mesh.vertices @ up
    np.testing.assert_allclose([heights.min(), heights.max()], [0, 0.5], atol=1e-6)
    shown = drawn[0][1].vertices
    np.testing.assert_allclose([shown[:, 1].min(), shown[:, 1].max()], [0, 0.5], atol=1e-5)


def test_the_floor_of_a_scan_is_told_with_the_result_and_one_above_the_body_is_doubted(
    refine, estimate, save, tmp_path
):
    rng = np.random.default_rng(0)
    scan = np.stack([rng.uniform(-2, 2, 2000), rng.normal(0.1, 0.002, 2000), rng.uniform(-2, 2, 2000)], axis=1)
    write_npz(tmp_path / "room.npz", {"points": scan})
    body = save("a.npz", estimate())
    code, out, _, (call,) = refine(body, "--floor", str(tmp_path / "room.npz"))
    assert code == 0 and "a: the floor of room.npz: 100 % of its points" in out
    np.testing.assert_allclose(call["floor"].level, [0.1], atol=0.002)
    assert "the floor of room.npz" in " ".join(record(tmp_path / "out")["notes"])
    code, out, _, _ = refine(body, "--floor", "0,1,0,-3")
    assert code == 0 and "most of the body starts below the floor: is --up right" in out
    assert "below the floor" not in refine(body, "--floor", "0,1,0,0")[1]


def test_regions_and_plain_parts_mix_and_what_is_out_of_reach_is_said(
    refine, fake, estimate, save, stool, tmp_path, monkeypatch
):
    names = tmp_path / "regions.txt"
    names.write_text("rim: box(0.1 -.3 .4, .3 .3 .6)")
    contact = ["--contact", "buttocks, right hand: rim", "--regions", str(names)]
    code, _, _, (call,) = refine(save("a.npz", estimate()), *contact, mesh=stool)
    assert code == 0 and [list(parts) for parts in call["contacts"]] == [["buttocks", "right_hand"]]
    assert call["regions"][0].keys() == {"right_hand"} and call["regions"][0]["right_hand"].name == "rim"
    monkeypatch.setattr(fake, "AFTER", [0.3])
    code, out, _, _ = refine(save("a.npz", estimate()), *contact, "--redo", mesh=stool)
    assert "the object offers nothing within reach of buttocks (30 cm away), right_hand" in out
    refused = [
        ["--contact", "right_hand: rum", "--regions", str(names)],
        ["--object-up=w"],
        ["--up=0,0,0"],
        ["--floor", "1,2"],
        ["--contacts-of", "chair"],
        ["--object-name", "chair"],
    ]
    for options, message in zip(
        refused,
        ["(did you mean rim?)", "--object-up w", "--up 0,0,0", "--floor 1,2", "of --contacts;", "of --object-pose;"],
    ):
        code, _, err, calls = refine(save("b.npz", estimate()), *options, out="none", mesh=stool)
        assert code == 2 and message in err and calls == [] and not (tmp_path / "none").exists()


@pytest.fixture
def many(estimate, save, stool, tmp_path):
    """Runs a table of three bodies and two objects, with one bad row."""
    for i in range(3):
        save(f"in/{i}.npz", estimate(seed=i))
    (tmp_path / "in" / "stool.obj").write_bytes(stool.read_bytes())
    box((-0.1, -0.1, -0.1), (0.1, 0.1, 0.1)).export(tmp_path / "in" / "cube.ply")
    rows = ["body,object,name,contact,object_up,floor", "0.npz,stool.obj,,left_hand,z,",
            "1.npz,cube.ply,held,right_hand,,",
            "2.npz,gone.obj,,left_hand,,", "2.npz,cube.ply,,left_hand: box(-1 .09 -1 1 .2 1),,0"]  # fmt: skip
    table = tmp_path / "in" / "pairs.csv"
    table.write_text("\n".join(rows))
    return table


def pairs_of(fake, capsys, tmp_path, table, *options, out="out"):
    fake.CALLS.clear()
    code = main(
        ["refine", "--pairs", str(table), "--out", str(tmp_path / out), "--lod", "test", "--pictures", "0", *options]
    )
    told = capsys.readouterr()
    return code, told.out, told.err, list(fake.CALLS)


def test_a_table_of_pairs_is_one_run(fake, many, monkeypatch, capsys, tmp_path):
    fake.patch(monkeypatch.setattr)
    code, out, err, calls = pairs_of(fake, capsys, tmp_path, many)
    assert code == 1 and err.splitlines() == [f"not used: 2-gone: there is no mesh file {tmp_path / 'in' / 'gone.obj'}"]
    # Two of one program share a batch, each with its own object; the third has a floor and a region.
    assert sorted(call["batch"] for call in calls) == [1, 2]
    (two,) = (call for call in calls if call["batch"] == 2)
    assert [list(parts) for parts in two["contacts"]] == [["left_hand"], ["right_hand"]] and two["regions"] is None
    spans = [np.ptp(template.mesh.vertices, axis=0).max() for template in two["template"]]
    np.testing.assert_allclose(spans, [0.5, 0.2], atol=1e-6)
    summary = record(tmp_path / "out")
    assert summary["items"].keys() == {"0", "held", "2-cube"} and summary["failed"].keys() == {"2-gone"}
    assert summary["good"] == 3 and summary["verdicts"] == {"reached": 3} and "3 of 3 good (3 reached)" in out
    assert {p.name for p in (tmp_path / "out" / "held").iterdir()} == {"interaction.glb", "refined.npz", "metrics.json"}
    assert "0: the mesh was turned so that its +z points up" in out
    for name, extent in (("0", 0.5), ("held", 0.2)):
        scene = trimesh.load_scene(tmp_path / "out" / name / "interaction.glb", process=False)
        np.testing.assert_allclose(np.ptp(scene.geometry["object"].vertices[:, 1]), extent, atol=0.03)


def test_the_record_of_a_pair_tells_what_it_was_itself_asked_for(fake, many, monkeypatch, capsys, tmp_path):
    """Export finds its mesh and its vertical by that."""
    fake.patch(monkeypatch.setattr)
    rows = [
        "body,object,name,up,object_up,units,contact",
        "0.npz,stool.obj,a,-z,z,,left_hand",
        "1.npz,cube.ply,b,,,cm,",
    ]
    many.write_text("\n".join(rows))
    assert pairs_of(fake, capsys, tmp_path, many, "--contact=none", "--floor=auto", "--up=y")[0] == 0
    one, two = (record(tmp_path / "out" / name)["options"] for name in "ab")
    names = ("object", "up", "object_up", "units", "contact", "floor")
    folder = many.parent
    assert [one[name] for name in names] == [str(folder / "stool.obj"), "-z", "z", None, "left_hand", "auto"]
    assert [two[name] for name in names] == [str(folder / "cube.ply"), "y", None, "cm", "none", "auto"]
    assert one["body"] == str(folder / "0.npz") and one["pairs"] == str(many)


def test_another_mesh_in_the_place_of_one_is_another_object(fake, many, monkeypatch, capsys, tmp_path):
    """In one process too, as in a notebook."""
    fake.patch(monkeypatch.setattr)
    many.write_text("body,object\n0.npz,cube.ply\n")
    for size, count in ((0.2, 1), (0.2, 0), (0.4, 1)):
        box((-size / 2,) * 3, (size / 2,) * 3).export(many.parent / "cube.ply")
        calls = pairs_of(fake, capsys, tmp_path, many)[3]
        assert len(calls) == count
        for call in calls:
            template = call["template"]
            mesh = (template[0] if isinstance(template, list) else template).mesh
            np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), size, rtol=1e-5)


@pytest.mark.parametrize(("away", "far"), [(8.0, False), (12.0, True)])
def test_what_moved_far_is_the_object_and_not_the_origin_of_its_file(
    refine, fake, estimate, save, tmp_path, monkeypatch, away, far
):
    """The fake moves the origin by a centimetre and turns by 0.05 radians: the threshold is half a metre."""
    from hoijax.jobs import objects

    def template(mesh, resolution=64):
        made, report = fake.make_solid_template(mesh, resolution)
        return made.replace(points=mesh.vertices), report

    monkeypatch.setattr(objects, "make_solid_template", template)
    path = tmp_path / "away.obj"
    box((away - 0.1, -0.1, -0.1), (away + 0.1, 0.1, 0.1)).export(path)
    assert refine(save("a.npz", estimate()), "--contact=left_hand", mesh=path)[0] == 0
    assert ("moved far" in record(tmp_path / "out")["verdict"]) == far


def test_a_turn_about_a_far_middle_moves_nothing_there():
    middle, turn = np.array([3.0, 0, 0]), np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    start = RigidPose(np.eye(3), np.zeros(3), np.float64(2))
    end = RigidPose(turn, 2 * (middle - turn @ middle), np.float64(2))
    assert mean_shift(middle[None], start, end) == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(mean_shift(middle[None] + [[0.1, 0, 0], [0, 0, 5]], start, end), np.sqrt(2) * 0.1)


def test_pairs_go_on_where_they_stopped_and_strict_counts_verdicts(fake, many, monkeypatch, capsys, tmp_path):
    fake.patch(monkeypatch.setattr)
    many.write_text(many.read_text().replace("2.npz,gone.obj,,left_hand,,\n", ""))
    assert pairs_of(fake, capsys, tmp_path, many)[0] == 0
    code, out, _, calls = pairs_of(fake, capsys, tmp_path, many)
    assert code == 0 and calls == [] and "3 of 3 are finished already" in out
    many.write_text(many.read_text().replace("held,right_hand", "held,left_hand"))
    monkeypatch.setattr(fake, "AFTER", [0.03])
    code, out, err, calls = pairs_of(fake, capsys, tmp_path, many, "--strict")
    assert code == 1 and [call["batch"] for call in calls] == [1]
    assert "2 of 3 good (2 reached, 1 missed, 1 penetrates)" in out
    assert err.startswith("not good: held: missed: left_hand; penetrates")


def test_a_mesh_that_fails_late_does_not_take_its_batch_along(fake, many, monkeypatch, capsys, tmp_path):
    """The distance grid is made when its batch is computed; the cube's cannot be."""
    from hoijax.errors import InputError
    from hoijax.jobs import objects

    fake.patch(monkeypatch.setattr)
    objects._load_stored.cache_clear()

    def fail(mesh, resolution=64):
        if len(mesh.vertices) == 8:
            raise InputError("no grid of a cube")
        return fake.make_solid_template(mesh, resolution)

    monkeypatch.setattr(objects, "make_solid_template", fail)
    code, _, err, calls = pairs_of(fake, capsys, tmp_path, many, out="late")
    assert code == 1 and [call["batch"] for call in calls] == [2]  # the failed one's place is filled
    assert record(tmp_path / "late")["items"].keys() == {"0"}
    assert "not used: held: no grid of a cube" in err and "not used: 2-cube: no grid of a cube" in err


def test_files_that_a_table_names_are_beside_it_wherever_they_are_named(fake, many, monkeypatch, capsys, tmp_path):
    fake.patch(monkeypatch.setattr)
    folder = many.parent
    (folder / "top.txt").write_text("4 5 6 7")
    (folder / "rim.txt").write_text("rim: box(-1 .09 -1 1 .2 1)")
    np.savez(folder / "room.npz", points=np.random.default_rng(0).uniform([-2, 0.3, -2], [2, 0.301, 2], (2000, 3)))
    box((-0.1, -0.1, -0.1), (0.1, 0.1, 0.1)).export(folder / "cube.obj")
    many.write_text("body,object,name,contact,regions,floor\n"
                    "0.npz,cube.obj,a,left_hand: vertices(top.txt),,room.npz\n"
                    f"1.npz,cube.obj,b,right_hand: rim,rim.txt,{'x' * 5000}\n"
                    "2.npz,cube.obj,c,right_hand: rim,rim.txt,0.1\n")  # fmt: skip
    code, _, err, calls = pairs_of(fake, capsys, tmp_path, many)
    assert code == 1 and len(err.splitlines()) == 1 and "not used: b: --floor xxxx" in err
    ((call,),) = (calls,)
    assert [list(own) for own in call["regions"]] == [["left_hand"], ["right_hand"]]
    np.testing.assert_allclose(call["floor"].level, [0.3005, 0.1], atol=1e-3)
    np.testing.assert_allclose(call["regions"][1]["right_hand"].points[:, 1].min(), 0.1, atol=0.011)


def test_a_mesh_of_many_pairs_is_read_once(fake, many, monkeypatch, capsys, tmp_path):
    from hoijax.jobs import requests

    fake.patch(monkeypatch.setattr)
    names, read = [], requests.read_mesh

    def count(path, **options):
        names.append(path.name)
        return read(path, **options)

    monkeypatch.setattr(requests, "read_mesh", count)
    assert pairs_of(fake, capsys, tmp_path, many)[0] == 1
    assert sorted(names) == ["cube.ply", "gone.obj", "stool.obj"]


def test_a_floor_that_leans_is_drawn_level(refine, estimate, save, stool, monkeypatch):
    import hoijax.viz

    drawn = []

    def draw(path, before, after, **options):
        drawn.append((before[0].vertices, options["floor"]))
        path.write_bytes(b"\x89PNG\r\n\x1a\n")

    monkeypatch.setattr(hoijax.viz, "write_comparison", draw)
    body = save("a.npz", estimate())
    for floor in ("none", "0,0.96,0.28,1"):
        assert refine(body, "--floor", floor, "--contact", "none", "--redo", mesh=stool, pictures=1)[0] == 0
    (plain, _), (level, height) = drawn
    np.testing.assert_allclose(level[:, 1], plain @ [0, 0.96, 0.28], atol=1e-5)
    np.testing.assert_allclose(height, -1)


def test_pairs_take_the_place_of_body_and_object(fake, many, monkeypatch, capsys, tmp_path):
    fake.patch(monkeypatch.setattr)
    for options, message in (
        (["--body", "a.npz"], "--pairs names bodies and objects by itself; leave out --body"),
        (["--object-pose", "o.npz"], "--object-pose o.npz is of one BODY, and --pairs names many; leave it out"),
        (["--contacts", "c.npz"], "--contacts c.npz is of one BODY, and --pairs names many; leave it out"),
        (["--contact", "tail"], "'tail' is no part of the body"),
    ):
        rows = many.with_name("bare.csv")
        rows.write_text("body,object\n0.npz,cube.ply\n")
        code, _, err, calls = pairs_of(fake, capsys, tmp_path, rows, *options, out="none")
        assert code == 2 and message in err and calls == [] and not (tmp_path / "none").exists()


def test_an_object_that_leans_by_more_than_twenty_degrees_is_told(refine, fake, estimate, save, tmp_path, monkeypatch):
    for degrees, told in ((19, False), (21, True)):
        monkeypatch.setattr(fake, "TILT", [np.radians(degrees)])
        code, out, _, _ = refine(save("a.npz", estimate()), "--contact", "left_hand", "--redo")
        assert code == 0 and (f"the object leans {degrees} degrees further" in out) == told
        got = record(tmp_path / "out")
        assert ("tipped" in got["verdict"]) == told and got["good"] != told
        np.testing.assert_allclose(got["moved"]["tilt"], degrees, rtol=1e-5)
