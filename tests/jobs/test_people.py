"""`refine --scene` around the refinement: batches, who is whose row, resuming, Ctrl-C, people who cannot be used."""

import dataclasses
import functools
import json
import pickle

import jax
import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyParams, free_body, named_pose, pose_body
from hoijax.errors import InputError
from hoijax.jobs import people
from hoijax.jobs.bodies import BodyChoice
from hoijax.jobs.head_alignment import SKIN, skin_depth
from hoijax.jobs.people import PeopleRequest, decide, free_parts, make_refiner, prepare_job, refine_people
from hoijax.systems.graft import body_spec

RISE = 0.01


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A floor as a cloud, and five people on it a metre apart, the fourth of them far away."""
    folder = tmp_path_factory.mktemp("people")
    rng = np.random.default_rng(0)
    floor = np.stack([rng.uniform(-4, 4, 4000), np.zeros(4000), rng.uniform(-4, 4, 4000)], axis=1)
    np.savez(folder / "floor.npz", points=floor, normals=np.tile([0.0, 1.0, 0.0], (4000, 1)))
    model = free_body("test")
    pose = {k: np.stack([v] * 5) for k, v in named_pose("stand").items()} | {"betas": np.zeros((5, 10), np.float32)}
    lowest = np.asarray(pose_body(model, BodyParams.from_axis_angle(model, **pose)).vertices)[0, :, 1].min()
    place = np.zeros((5, 3), np.float32)
    place[:, 0], place[:, 1], place[3, 0] = np.arange(5) - 2, -lowest, 60
    np.savez(folder / "people.npz", **(pose | {"transl": pose["transl"] + place}))
    return folder


@pytest.fixture
def job(scene, tmp_path, monkeypatch):
    """Runs it with a refiner that lifts everybody by a centimetre; returns failures and the batches it saw."""
    seen, spec = [], body_spec(free_body("test"))

    def make_refiner(request, model):
        def lift(scenes, params, poses):
            seen.append(np.round(np.asarray(params.translation)[:, 0], 3).tolist())
            assert len(scenes.normals) == len(poses.scale) == len(seen[-1])
            after = params.replace(translation=params.translation + np.float32([0, RISE, 0]))
            return after, np.asarray(pose_body(model, after).vertices)

        return lift, spec, {}

    monkeypatch.setattr(people, "make_refiner", make_refiner)

    def run(*, redo=False, **changes):
        seen.clear()
        request = PeopleRequest(
            scene=scene / "floor.npz", out=tmp_path / "out", choice=BodyChoice(lod="test"),
            **({"body": scene / "people.npz", "batch_size": 2} | changes),
        )  # fmt: skip
        return refine_people(request, pictures=0, redo=redo), list(seen)

    return run


def load(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def test_everybody_is_refined_in_batches_and_keeps_their_row(job, scene, tmp_path, capsys):
    failures, batches = job()
    start = np.round(load(scene / "people.npz")["transl"][:, 0], 3).tolist()
    # The far one's place is taken by somebody else, so that the batch keeps its size; the last batch is filled up.
    assert batches == [[start[0], start[1]], [start[2], start[2]], [start[4], start[4]]]
    assert list(failures) == ["person 3"] and "person 3 is " in failures["person 3"]
    assert "must share a frame" in failures["person 3"]
    before, after = load(scene / "people.npz"), load(tmp_path / "out" / "refined.npz")
    rise = after["transl"] - before["transl"]
    np.testing.assert_allclose(rise, RISE * np.outer([1, 1, 1, 0, 1], [0, 1, 0]), atol=2e-5)
    for name in ("body_pose", "global_orient", "betas"):
        np.testing.assert_allclose(after[name], before[name], atol=1e-5, err_msg=name)
    record = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert list(record["people"]) == [f"person {i}" for i in (0, 1, 2, 4)] and record["failed"] == failures
    for person in record["people"].values():
        assert person["moved"] == pytest.approx(RISE, abs=1e-4)
        # Lifted by a centimetre off the floor's nearest point.
        assert person["after"]["nearest"] > person["before"]["nearest"]
    assert record["versions"].keys() == {"hoijax", "jax", "numpy"} and record["steps"] == 100
    assert sorted(p.name for p in (tmp_path / "out").glob("person_*")) == [f"person_{i}" for i in (0, 1, 2, 4)]
    assert "4 of 5 written" in capsys.readouterr().out


def test_who_is_finished_is_not_refined_again(job, tmp_path, capsys):
    job()
    first = load(tmp_path / "out" / "refined.npz")
    (tmp_path / "out" / "person_2" / "refined.npz").unlink()
    (tmp_path / "out" / "refined.npz").unlink()
    failures, batches = job()
    assert list(failures) == ["person 3"] and len(batches) == 1 and set(batches[0]) == {0.0}
    assert "3 of 5 are finished already" in capsys.readouterr().out
    again = load(tmp_path / "out" / "refined.npz")
    for name, value in first.items():
        np.testing.assert_allclose(again[name], value, atol=1e-6, err_msg=name)
    assert len(job(steps=7)[1]) == 3 and len(job(steps=7)[1]) == 0
    assert len(job(steps=7, freeze="hands")[1]) == 3
    assert len(job(steps=7, freeze="hands", redo=True)[1]) == 3


def test_ctrl_c_keeps_the_batches_that_are_done(job, tmp_path, monkeypatch, capsys):
    good = people.make_refiner

    def stopping(request, model):
        lift, spec, facts = good(request, model)
        calls = []

        def second(*args):
            calls.append(args)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return lift(*args)

        return second, spec, facts

    monkeypatch.setattr(people, "make_refiner", stopping)
    with pytest.raises(KeyboardInterrupt):
        job()
    assert "2 of 5 people are finished and written; the same command goes on" in capsys.readouterr().out
    assert not (tmp_path / "out" / "refined.npz").exists()
    monkeypatch.setattr(people, "make_refiner", good)
    failures, batches = job()
    assert len(batches) == 2 and list(failures) == ["person 3"]
    assert len(json.loads((tmp_path / "out" / "metrics.json").read_text())["people"]) == 4


def test_a_body_that_is_not_finite_is_named(job, tmp_path, monkeypatch):
    good = people.make_refiner

    def spoiling(request, model):
        lift, spec, facts = good(request, model)

        def spoil(*args):
            after, vertices = lift(*args)
            vertices = np.array(vertices)
            vertices[0, 3, 1] = np.nan
            return after, vertices

        return spoil, spec, facts

    monkeypatch.setattr(people, "make_refiner", spoiling)
    failures, _ = job(batch_size=5)
    assert "person 0: the refined body is not finite" in failures["person 0"] and len(failures) == 2
    assert not (tmp_path / "out" / "person_0").exists()


@pytest.mark.slow
def test_people_side_by_side_come_out_as_one_by_one(scene, tmp_path):
    """The real refiner, few steps: a batch of two gives what two batches of one give, and the floor draws everybody."""
    results = []
    x, z = (axis.ravel() for axis in np.meshgrid(np.arange(-3, 3, 0.025), np.arange(-1, 1, 0.025)))
    floor = np.stack([x, np.full_like(x, -0.03), z], axis=1)
    np.savez(tmp_path / "floor.npz", points=floor, normals=np.tile([0.0, 1.0, 0.0], (len(floor), 1)))
    for size in (1, 2):
        request = PeopleRequest(
            body=scene / "people.npz", scene=tmp_path / "floor.npz", out=tmp_path / str(size), steps=5,
            choice=BodyChoice(lod="test"), batch_size=size,
        )  # fmt: skip
        assert list(refine_people(request, pictures=0)) == ["person 3"]
        results.append(load(tmp_path / str(size) / "refined.npz"))
    moved = np.abs(results[0]["transl"] - load(scene / "people.npz")["transl"])[[0, 1, 2, 4]].max(axis=1)
    assert moved.min() > 1e-3 and moved.max() < 0.2  # and the way back is that of the way there
    for name, value in results[0].items():
        np.testing.assert_allclose(results[1][name], value, atol=2e-4, err_msg=name)


def test_what_may_move_is_asked_for_by_name():
    mask = free_parts("pose, hands")
    assert not mask.pose and not mask.hands and mask.orient and mask.scale
    with pytest.raises(InputError, match="of a person in a scene there are orient, pose"):
        free_parts("object")
    assert jax.tree.leaves(free_parts("")) == jax.tree.leaves(free_parts(" , "))


def test_each_sees_the_scene_from_a_camera_before_them(job, scene, tmp_path, monkeypatch):
    """A level floor comes back level by the pose that goes with it, its normals up; the camera looks at the face."""
    good, given = people.make_refiner, []

    def watching(request, model):
        lift, spec, facts = good(request, model)
        return lambda *args: given.append(args) or lift(*args), spec, facts

    monkeypatch.setattr(people, "make_refiner", watching)
    values = load(scene / "people.npz")
    values["global_orient"][1] = [0, 1, 0]
    np.savez(tmp_path / "turned.npz", **values)
    job(body=tmp_path / "turned.npz")
    scenes, params, poses = given[0]
    pelvis = np.asarray(pose_body(free_body("test"), params).joints)[:, 0]
    floor = cKDTree(load(scene / "floor.npz")["points"])
    assert np.asarray(poses.rotation).shape == (2, 3, 3)
    for row in range(2):
        rotation, translation = np.asarray(poses.rotation[row]), np.asarray(poses.translation[row])
        points, normals = (np.asarray(x) for x in (scenes.blocks.points[row].reshape(3, -1).T, scenes.normals[row]))
        back = (points - translation) @ rotation
        np.testing.assert_allclose(back[:, 1], 0, atol=1e-4)
        assert floor.query(back)[0].max() < 1e-4 and np.ptp(back[:, 0]) > 0.5
        np.testing.assert_allclose(normals.reshape(-1, 3) @ rotation, [[0, 1, 0]] * len(points), atol=1e-5)
        face = np.asarray(params.rotations[row, 0])[:, 2] * [1, 0, 1]
        np.testing.assert_allclose(rotation[2], -face / np.linalg.norm(face), atol=1e-5)
        np.testing.assert_allclose(rotation[1], [0, -1, 0], atol=1e-5)
        assert (rotation @ pelvis[row] + translation)[0] == pytest.approx(0, abs=1e-5)
    # Up another way the rotation is no longer its own inverse.
    job(body=tmp_path / "turned.npz", up=(0.6, 0.8, 0.0))
    scenes, _, poses = given[3]
    back = np.asarray(scenes.blocks.points[1]).reshape(3, -1).T - np.asarray(poses.translation[1])
    assert floor.query(back @ np.asarray(poses.rotation[1]))[0].max() < 1e-4


def test_who_changed_in_the_file_is_refined_again_and_nobody_else(job, scene, tmp_path):
    job()
    values = load(scene / "people.npz")
    path = tmp_path / "others.npz"
    values["transl"][2, 2] += 0.5
    np.savez(path, **values)
    assert job(body=path)[1] == [[0.0, 0.0]]


def test_before_is_the_estimate_and_after_the_result(job, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(people, "write_results", lambda out, model, start, done, *args, **options: written.extend(done))
    job()
    assert [person.row for person in written] == [0, 1, 2, 4]
    for person in written:
        rise = person.after - person.before
        np.testing.assert_allclose(rise, np.broadcast_to([0, RISE, 0], rise.shape), atol=5e-5)


def test_numbers_are_of_each_body_and_the_scene_around_it(job, scene, tmp_path, monkeypatch):
    """People at both ends of the floor with an arm turned by the refiner; the first of all cannot be used."""
    values = load(scene / "people.npz")
    values["transl"][:, 0] = [60, -3.9, 3.9, 0, 1]
    np.savez(tmp_path / "ends.npz", **values)
    good, written = people.make_refiner, []
    turn = Rotation.from_rotvec([0, 0, 0.5]).as_matrix().astype(np.float32)

    def turning(request, model):
        lift, spec, facts = good(request, model)

        def both(scenes, params, poses):
            rotations = np.array(params.rotations)
            rotations[:, 16] = rotations[:, 16] @ turn
            return lift(scenes, params.replace(rotations=rotations), poses)

        return both, spec, facts

    monkeypatch.setattr(people, "make_refiner", turning)
    monkeypatch.setattr(people, "write_results", lambda out, model, start, done, *args, **options: written.extend(done))
    failures, batches = job(body=tmp_path / "ends.npz", batch_size=3)
    assert list(failures) == ["person 0"]
    np.testing.assert_allclose(batches, [[-3.9, -3.9, 3.9], [0, 1, 1]], atol=1e-6)
    floor = cKDTree(load(scene / "floor.npz")["points"])
    for person in written:
        away = np.linalg.norm(person.after - person.before, axis=1)
        assert away.max() > 2 * away.mean() and person.metrics["moved"] == pytest.approx(away.mean(), abs=1e-4)
        for when, body in (("before", person.before), ("after", person.after)):
            assert person.metrics[when]["nearest"] == pytest.approx(floor.query(body)[0].min(), abs=1e-4)


def test_what_one_camera_sees_stays_in_its_frame_where_up_is_against_y(tmp_path, monkeypatch):
    """A wall three metres before a camera and a person before the wall: nobody is turned, whatever `up` says."""
    intrinsics = np.array([[30, 0, 16], [0, 30, 12], [0, 0, 1]], np.float32)
    np.savez(tmp_path / "wall.npz", depth=np.full((24, 32), 3.0, np.float32), intrinsics=intrinsics)
    pose = named_pose("stand") | {"betas": np.zeros(10, np.float32), "transl": np.float32([0, 0, 2.8])}
    np.savez(tmp_path / "person.npz", **{name: value[None] for name, value in pose.items()})
    given, ups = [], []

    def watch(request, model):
        def stay(scenes, params, poses):
            given.append((scenes, poses))
            return params, np.asarray(pose_body(model, params).vertices)

        return stay, body_spec(model), {}

    monkeypatch.setattr(people, "make_refiner", watch)
    monkeypatch.setattr(people, "write_results", lambda out, model, start, done, geometry, up, *_, **__: ups.append(up))
    request = PeopleRequest(tmp_path / "person.npz", tmp_path / "wall.npz", tmp_path / "out", BodyChoice(lod="test"))
    assert refine_people(request, pictures=0) == {}
    (scenes, poses), (up,) = given[0], ups
    assert poses is None and up.tolist() == [0, -1, 0]
    np.testing.assert_allclose(np.asarray(scenes.blocks.points)[0].reshape(3, -1)[2], 3, atol=1e-5)


def test_a_key_is_of_everything_that_a_result_depends_on(scene, tmp_path, monkeypatch):
    """And a worker, who makes the job from a pickled request, has the same keys."""
    facts, load_body = {}, people.load_body
    monkeypatch.setattr(people, "make_refiner", lambda request, model: (None, None, dict(facts)))

    def request(**changes):
        given = {"body": scene / "people.npz", "scene": scene / "floor.npz", "out": tmp_path / "out"}
        return PeopleRequest(**(given | {"choice": BodyChoice(lod="test")} | changes))

    def changed(**changes):
        prepare = pickle.loads(pickle.dumps(functools.partial(prepare_job, request(**changes))))
        return [i for i, item in enumerate(prepare().items) if item.key != first[i]]

    first = [item.key for item in prepare_job(request()).items]
    assert len(set(first)) == 5 and changed(out=tmp_path / "elsewhere", batch_size=3, options={"lod": "test"}) == []
    everybody = list(range(5))
    floor = load(scene / "floor.npz")
    np.savez(tmp_path / "floor.npz", **(floor | {"points": floor["points"] + 0.001}))
    for name, value in {
        "units": "m", "up": (0.0, 0.0, 1.0), "freeze": "hands", "steps": 99, "scene": tmp_path / "floor.npz",
    }.items():  # fmt: skip
        assert changed(**{name: value}) == everybody, name
    assert changed(steps=100) == []
    for row, name in enumerate(("global_orient", "betas", "transl")):
        values = load(scene / "people.npz")
        values[name][row] += 0.01
        np.savez(tmp_path / "other.npz", **values)
        assert changed(body=tmp_path / "other.npz") == [row]
    facts["sha256"] = "x"
    assert changed() == everybody
    facts.clear()
    monkeypatch.setattr(people, "load_body", lambda *args: (load_body(*args)[0], "y"))
    assert changed() == everybody
    with pytest.raises(ZeroDivisionError):
        refine_people(request(), pictures=0, execute=lambda job, batches: 1 / 0)
    assert [request(graft=graft, steps=n).number_of_steps for graft in (True, False) for n in (None, 0)] == [
        3,
        0,
        100,
        0,
    ]


def test_a_network_holds_the_shape_of_another_body_than_its_own(scene, tmp_path, monkeypatch, random_module):
    from hoijax.nets.graft import Graft, GraftConfig, save_graft

    config = GraftConfig(
        width=16, layers=1, heads=2, feedforward=16, fourier=8, probe_hidden=8, probe_features=8, head_hidden=8,
        visual=False,
    )  # fmt: skip
    rules, network = [], random_module(lambda rngs: Graft(config, rngs))
    monkeypatch.setattr(people, "RolloutOptions", lambda **rule: rules.append(rule))
    for body in ("free", "smplx"):
        path = tmp_path / f"{body}.safetensors"
        save_graft(path, network, {"body": body})
        request = PeopleRequest(
            scene / "people.npz", scene / "floor.npz", tmp_path, BodyChoice(lod="test"), graft=True, weights=path,
            freeze="hands",
        )  # fmt: skip
        facts = make_refiner(request, free_body("test"))[2]
        assert facts["body"] == body and facts["file"] == str(path) and len(facts["sha256"]) == 64
    assert [(rule["steps"], rule["update"].betas, rule["update"].hands) for rule in rules] == [
        (3, True, False), (3, False, False),
    ]  # fmt: skip


def test_the_prior_is_graft_where_its_weights_fit(scene, tmp_path):
    """Nobody named one: the free body's is the network, another body's gradients, and so are steps that are counted."""
    asked = PeopleRequest(
        scene / "people.npz", scene / "floor.npz", tmp_path, BodyChoice(lod="test"), graft=None
    )  # fmt: skip
    free, said = free_body("test"), []
    for model, changes, graft, steps, text in (
        (free, {}, True, 3, "prior: graft"),
        (free.replace(kind="smplx"), {}, False, 100, "these are of smplx"),
        (free, {"steps": 7}, False, 7, "whose steps --steps counts"),
    ):
        found = decide(dataclasses.replace(asked, **changes), model, said.append)
        assert (found.graft, found.number_of_steps) == (graft, steps) and text in said.pop()
    for graft in (True, False):
        given = dataclasses.replace(asked, graft=graft)
        assert decide(given, free, said.append) is given and not said


def test_skin_is_nearer_than_the_joint():
    """A sphere of 9 cm about the joint, a hand 40 cm before it, which is none of the head's skin; and nothing."""
    rng, head = np.random.default_rng(0), np.array([0.4, -0.3, 3.0])
    sphere = rng.normal(size=(4000, 3))
    sphere = head + 0.09 * sphere / np.linalg.norm(sphere, axis=1, keepdims=True)
    hand = head * (1 - 0.4 / np.linalg.norm(head)) + 0.01 * rng.normal(size=(50, 3))
    # Along the ray 9 cm, of which the depth takes its share.
    wanted = 0.09 * head[2] / np.linalg.norm(head)
    assert skin_depth(np.concatenate([sphere, hand]), head) == pytest.approx(wanted, abs=0.006)
    assert skin_depth(head + np.float64([[0.5, 0, 0]]), head) == SKIN


def test_nobody_near_the_scene_is_an_error_before_anything_is_written(job, scene, tmp_path):
    values = load(scene / "people.npz")
    values["transl"][:, 0] = 60
    np.savez(tmp_path / "far.npz", **values)
    with pytest.raises(InputError, match="must share a frame"):
        job(body=tmp_path / "far.npz")
    assert not (tmp_path / "out" / "refined.npz").exists()
