"""The joint fit's table: contacts by kind, numbers by hand, paired gains."""

import dataclasses
import inspect
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.errors import InputError
from hoijax.experiments.interactvlm import joint_fit as table
from hoijax.geometry import RigidPose, SDFGrid
from hoijax.io import read_json
from hoijax.jobs.joint_fit import paired
from hoijax.optim.fitting import ContactEvidence


@pytest.fixture
def case():
    """A plate of points 1 cm above another, side by side with one that touches nothing."""
    grid = np.stack(np.meshgrid(np.arange(30), np.arange(30), [0.0]), axis=-1).reshape(-1, 3) * 0.02
    body = np.concatenate([grid + [0, 0, 2.0], grid + [2.0, 0, 2.0]])
    pose = RigidPose(Rotation.from_rotvec([0, 0.3, 0]).as_matrix(), np.array([0, 0, 2.01]), np.float64(1))
    surface = np.concatenate([grid, grid + [0, 0, 1.0]]) @ Rotation.from_rotvec([0, 0.3, 0]).as_matrix()
    case = object.__new__(table.Case)  # contacts need no body's parameters, template or picture
    case.__dict__.update(body=body, surface=surface, pose=pose)
    return case


@pytest.fixture
def reader():
    reader = table.Reader.__new__(table.Reader)
    reader._rng = np.random.default_rng(0)
    return reader


def test_contacts_of_every_kind(case, reader):
    placed = table.place(case.pose, case.surface)
    np.testing.assert_allclose(placed[:900], case.body[:900] + [0, 0, 0.01], atol=1e-9)
    true = reader.evidence(case, "true")
    np.testing.assert_array_equal(true.body, np.repeat([1.0, 0.0], 900))
    np.testing.assert_array_equal(true.object, np.repeat([1.0, 0.0], 900))
    np.testing.assert_array_equal(true.pairs[0], np.arange(900))
    np.testing.assert_allclose(true.pairs[1], case.surface[:900], atol=1e-6)
    flipped = reader.evidence(case, "flipped")
    for one, other in ((flipped.body, true.body), (flipped.object, true.object)):
        for half in (slice(0, 900), slice(900, None)):
            assert 0.25 < (one[half] != other[half]).mean() < 0.35
    assert flipped.pairs is None
    wrong = reader.evidence(case, "perturbed")
    off = np.linalg.norm(wrong.pairs[1] - true.pairs[1], axis=1)
    assert 0.01 < off.mean() < 0.06
    lost = (true.body > 0) & (wrong.body == 0)
    assert 200 < lost.sum() <= 300
    case.__dict__["pose"] = case.pose.replace(translation=np.array([0, 0, 2.03]))  # 3 cm apart nothing touches
    case.__dict__.pop("placed")
    apart = reader.evidence(case, "true")
    assert not apart.body.any() and not apart.object.any() and not len(apart.pairs[0])


def test_perturbed_sets_lose_a_third_and_gain_a_patch(reader):
    points = np.stack(np.meshgrid(np.arange(30), np.arange(30), [0.0]), axis=-1).reshape(-1, 3) * 0.02
    mask = points[:, 0] < 0.19
    got = reader._perturb(points, mask)
    assert 80 < (mask & ~got).sum() <= mask.sum() // 3  # the patch may hold some of what was dropped
    added = points[got & ~mask]
    assert 3 < len(added) < 60 and np.linalg.norm(added[:, None] - added[None], axis=2).max() < 0.16
    lost = points[mask & ~got]
    assert np.linalg.norm(lost - lost.mean(axis=0), axis=1).max() < 0.25  # about one place
    assert not reader._perturb(points, np.zeros(900, bool)).any()


def test_pairs_are_of_the_pose_that_is_given():
    body = np.array([[0, 0, 1.0], [0.5, 0, 1.0], [9, 9, 9]])
    points = np.array([[0, 0, 0], [0, 0.5, 0], [0, -0.45, 0], [0, 0.49, 0.0]])
    turn = Rotation.from_rotvec([0, 0, np.pi / 2]).as_matrix()  # y becomes -x
    given = ContactEvidence(np.array([0.5, 0.9, 0.4]), np.array([1.0, 0.3, 0.3, 0.29]), points)
    found = paired(given, body, RigidPose(turn, np.array([0.0, 0, 1]), np.float64(1)))
    np.testing.assert_array_equal(found.pairs[0], [0, 1])
    np.testing.assert_allclose(found.pairs[1], points[[0, 2]])
    nothing = dataclasses.replace(given, object=np.zeros(4))
    assert paired(nothing, body, RigidPose(turn, np.zeros(3), np.float64(1))).pairs is None


def test_gains_are_over_the_same_samples():
    row = lambda *x: dict(zip(table.METRICS, x)) | {"cpu_s": 1.0}  # noqa: E731
    rows = {"joint": [row(1.0, 0.9, 0.0), row(3.0, 0.7, 2.0)], "pico": [row(5.0, 0.5, 1.0), row(9.0, 0.1, 3.0)]}
    found = table.score(rows)
    assert found["joint"]["chamfer_cm"] == 2 and found["pico"]["chamfer_cm"] == 7 and found["pico"]["samples"] == 2
    assert "gain_chamfer_cm" not in found["joint"]
    mean, low, high = found["pico"]["gain_chamfer_cm"]
    assert mean == -5 and low >= -6.001 and high <= -3.999
    np.testing.assert_allclose(found["pico"]["gain_contact_f"][0], 0.5)
    np.testing.assert_allclose(found["pico"]["gain_penetration_cm"], [-1, -1, -1])
    record = {"scores": {"true": found}, "cases": [{}, {}], "config": {"split": "test"}, "machine": "m", "seconds": 1.0}
    text = table.markdown(record)
    assert f"| PICO | 7.00 (-5.00; {low:+.2f} to {high:+.2f}) |" in text and low < mean


def test_chamfer_is_there_and_back():
    a, b = np.zeros((4, 3)), np.array([[0.1, 0, 0], [0.3, 0, 0]])
    np.testing.assert_allclose(table._chamfer(a, b), 0.2 + 0.1)


def fake(monkeypatch, count):
    """Samples without fits: every row's numbers are the sample's number."""
    samples = [
        {"key": f"s{i}", "object_mask": np.full((20, 20), i != 1), "object_full_mask": np.ones((20, 20), bool),
         "body_contact": np.array([True])} for i in range(count)
    ]  # fmt: skip
    monkeypatch.setattr(table, "open_split", lambda root, split: samples)
    read = []

    class Reader:
        def __init__(self, seed):
            pass

        def read(self, sample, index):
            read.append(index)
            case = object.__new__(table.Case)
            case.__dict__.update(key=sample["key"], category="cup", action="hold", index=index)
            return case

        def evidence(self, case, kind):
            return kind

    def rows(reader, case, contact, configs, mask):
        value = case.index + (0.5 if contact == "flipped" else 0.0)
        return {name: dict.fromkeys(table.METRICS, value) for name in ("mask", "start", *configs)}

    monkeypatch.setattr(table, "Reader", Reader)
    monkeypatch.setattr(table, "fit_mask", lambda reader, case: None)
    monkeypatch.setattr(table, "fit_case", rows)
    return read


def test_a_run_goes_on_after_its_last_sample(monkeypatch, tmp_path, capsys):
    read = fake(monkeypatch, 6)
    config = table.Config(root=tmp_path, count=2, kinds=("true", "flipped"), rows=("joint", "pico"), out=tmp_path / "o")
    table.main(config)
    assert read == [0, 2]  # of the second nothing is seen
    longer = dataclasses.replace(config, count=4)
    record = table.main(longer)
    assert read == [0, 2, 3, 4] and [case["index"] for case in record["cases"]] == [0, 2, 3, 4]
    assert [row["chamfer_cm"] for row in record["each"]["true"]["pico"]] == [0, 2, 3, 4]
    assert record["scores"]["flipped"]["joint"]["contact_f"] == pytest.approx((0 + 2 + 3 + 4) / 4 + 0.5)
    assert read_json(tmp_path / "o" / "joint_fit.json")["each"] == record["each"]
    text = (tmp_path / "o" / "joint_fit.md").read_text()
    assert "4 samples" in text and "## Contacts: flipped" in text and "| PICO | 2.75" in text and "dev" in text
    assert table.main(longer)["cases"] == record["cases"] and read == [0, 2, 3, 4]  # nothing is left to do
    assert text in capsys.readouterr().out + "\n"
    with pytest.raises(InputError, match="other seed"):
        table.main(dataclasses.replace(longer, seed=3))
    with pytest.raises(InputError, match="no sample of dev"):
        table.main(dataclasses.replace(config, start=6, out=tmp_path / "empty"))


def test_what_is_hidden_or_not_touched_is_left_out():
    seen = np.zeros((40, 40), bool)
    seen[:15, :15] = True
    sample = {"object_mask": seen, "object_full_mask": seen, "body_contact": np.array([False, True])}
    assert table.usable(sample)
    assert not table.usable(sample | {"body_contact": np.zeros(2, bool)})
    assert not table.usable(sample | {"object_full_mask": np.ones((40, 40), bool)})  # 14 % of it are seen
    few = np.zeros((40, 40), bool)
    few[:14, :14] = True
    assert not table.usable(sample | {"object_mask": few, "object_full_mask": few})


def sphere_grid(radius=0.1, size=33, half=0.3):
    axis = np.linspace(-half, half, size)
    places = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    values = np.linalg.norm(places, axis=-1) - radius
    return SDFGrid(values.astype(np.float32), np.full(3, -half, np.float32), np.float32(2 * half / (size - 1)))


def test_numbers_are_of_both_as_fitted(monkeypatch):
    """A fit that is the truth moved, turned and a tenth too large: alike after the similarity, and as deep."""
    rng = np.random.default_rng(0)
    surface = rng.normal(size=(400, 3))
    surface *= 0.1 / np.linalg.norm(surface, axis=1, keepdims=True)
    truth = RigidPose(Rotation.from_rotvec([0.4, 0.1, 0]).as_matrix(), np.array([0.2, 0.1, 2.0]), np.float64(1))
    body = truth.translation + np.concatenate([rng.normal(size=(200, 3)) * 0.2, [[0, 0, 0.07]]])
    body = body[(np.linalg.norm(body - truth.translation, axis=1) > 0.1) | (np.arange(201) == 200)]
    case = object.__new__(table.Case)
    case.__dict__.update(body=body, surface=surface, pose=truth, template=SimpleNamespace(sdf=sphere_grid()))
    turn, move, size = Rotation.from_rotvec([0, 1.0, 0.3]), np.array([0.3, -0.2, 0.5]), 1.1
    fitted = size * turn.apply(body) + move
    monkeypatch.setattr(table, "pose_body_compiled", lambda model, params: SimpleNamespace(vertices=fitted))
    pose = RigidPose(turn.as_matrix() @ truth.rotation, size * turn.apply(truth.translation) + move, np.float64(size))
    found = inspect.unwrap(table.measure)(None, case, None, pose)
    assert found["chamfer_cm"] < 1e-3 and found["contact_f"] > 0.85  # 5 cm of a larger world
    assert found["penetration_cm"] == pytest.approx(100 * 1.1 * 0.03, abs=0.15)
    # Two metres beside it: these over the size apart, and out of the body's reach.
    away = pose.replace(translation=pose.translation + turn.apply([2.0, 0, 0]))
    far = inspect.unwrap(table.measure)(None, case, None, away)
    placed = table.place(case.pose, surface)
    gap = np.linalg.norm(placed[:, None] - placed[None] - [2.0 / 1.1, 0, 0], axis=2)
    assert far["chamfer_cm"] == pytest.approx(100 * (gap.min(axis=1).mean() + gap.min(axis=0).mean()), rel=1e-4)
    assert far["contact_f"] == 0 and far["penetration_cm"] == 0


def test_every_row_begins_where_it_should(monkeypatch, case):
    """The mask's answers go to what starts at contacts; without pairs these are of the fit by the mask."""
    mask = SimpleNamespace(best="mask's best", pose="mask's poses")
    given, told = [], {}
    fits = {}
    monkeypatch.setattr(table, "object_target", lambda *a, **k: told.update(target=(a, k)))
    monkeypatch.setattr(table, "pose_body_compiled", lambda model, params: SimpleNamespace(vertices=params + "'s"))
    monkeypatch.setattr(table, "paired", lambda contact, vertices, pose: (contact.tag, vertices, pose))
    monkeypatch.setattr(table, "joint_problem", lambda *a, **k: told.update(problem=(a, k)) or "problem")
    monkeypatch.setattr(table, "measure", lambda model, case, params, pose: {"who": (params, pose)})

    def fit(problem, config, more):
        given.append((config.name, more))
        fits[config.name] = SimpleNamespace(start=config.name + " start", body=config.name + " body", best="best")
        return fits[config.name]

    monkeypatch.setattr(table, "fit_joint_compiled", fit)
    monkeypatch.setattr(table.jax.tree, "map", lambda function, tree: tree)
    obj, person = np.array([[True, True]]), np.array([[False, True]])
    case.__dict__.update(
        params="params", masks=(obj, person), matrix="K", template=SimpleNamespace(mesh="mesh", sdf="sdf")
    )
    configs = {
        "joint": SimpleNamespace(name="joint", start="contacts"), "pico": SimpleNamespace(name="pico", start="standing")
    }  # fmt: skip
    reader = SimpleNamespace(model="model", coarse="coarse")
    fit_case = inspect.unwrap(table.fit_case)  # names stand for what they would be
    rows = fit_case(reader, case, SimpleNamespace(pairs=None, tag="flipped"), configs, mask)
    assert given == [("joint", "mask's poses"), ("pico", None)]
    assert rows["mask"]["who"] == ("params", "mask's best") and rows["start"]["who"] == ("params", "joint start")
    assert rows["joint"]["who"] == ("joint body", "best") and rows["pico"]["who"] == ("pico body", "best")
    assert "cpu_s" in rows["joint"] and "cpu_s" in rows["pico"] and set(rows) == {"mask", "start", "joint", "pico"}
    places, names = told["problem"]
    assert places[:5] == ("model", "params", "mesh", "sdf", ("flipped", "params's", "mask's best"))
    assert names["picture"] == (1, 2) and names["matrix"] == "K" and names["surface"] == "coarse"
    np.testing.assert_array_equal(names["person"], person)
    np.testing.assert_array_equal(names["hidden"], [[True, False]])
    np.testing.assert_array_equal(told["target"][0][0], obj)
    fit_case(reader, case, SimpleNamespace(pairs="pairs", tag="true"), configs, mask)
    assert told["problem"][0][4].pairs == "pairs"  # those that are known stay
