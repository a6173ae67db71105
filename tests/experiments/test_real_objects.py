"""The measures and tables of the experiment on real objects, against closed forms."""

import numpy as np
import pytest
import trimesh

from hoijax.errors import InputError
from hoijax.experiments.real_objects import run
from hoijax.experiments.real_objects.cases import CASES, DEV, FURNITURE
from hoijax.experiments.real_objects.measure import closed_parts, measure, surface_of
from hoijax.experiments.real_objects.run import Config, between, settings_of, wanted_cases
from hoijax.experiments.real_objects.tables import markdown, short_table
from hoijax.geometry import Mesh


def as_mesh(mesh):
    return Mesh(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces))


@pytest.fixture(scope="module")
def boxes():
    """Two boxes of 20 cm, side by side with a gap, one of them facing inward."""
    one, two = trimesh.creation.box((0.2, 0.2, 0.2)), trimesh.creation.box((0.2, 0.2, 0.2))
    two.apply_translation((0.5, 0, 0))
    two.invert()
    return as_mesh(trimesh.util.concatenate([one, two]))


def ball(place, radius=0.1):
    mesh = trimesh.creation.icosphere(4, radius)
    mesh.apply_translation(place)
    return mesh


@pytest.mark.parametrize("x", [0.0, 0.5])
def test_a_ball_sunk_into_either_box_is_as_deep_as_it_is(boxes, x):
    body = ball((x, 0.17, 0))  # its lowest point is 3 cm below the box's top
    regions = {"all": np.arange(len(body.vertices)), "lowest": [int(np.argmin(body.vertices[:, 1]))]}
    got = measure(body, surface_of(boxes), closed_parts(boxes), regions, ("lowest",))
    assert got.body_in_object == pytest.approx(0.03, abs=0.0005)
    assert got.object_in_body == pytest.approx(0.03, abs=0.0005)
    assert got.contact["lowest"] == pytest.approx(0.03, abs=0.0005)


def test_a_ball_above_is_not_in_and_its_distance_is_that_of_the_nearest_tenth(boxes):
    body = ball((0.0, 0.25, 0))
    regions = {"all": np.arange(len(body.vertices))}
    got = measure(body, surface_of(boxes), closed_parts(boxes), regions, ("all",))
    assert got.penetration == 0
    lowest = np.sort(body.vertices[:, 1] - 0.1)[: -(-len(body.vertices) // 10)]
    assert got.contact["all"] == pytest.approx(lowest.mean(), abs=0.001)


def test_a_sheet_through_a_ball_is_as_deep_as_its_middle():
    sheet = trimesh.Trimesh([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]], [[0, 1, 2], [0, 2, 3]])
    body = ball((0, 0.04, 0))
    got = measure(body, surface_of(as_mesh(sheet)), closed_parts(as_mesh(sheet)), {}, ())
    assert got.body_in_object == 0
    assert got.object_in_body == pytest.approx(0.06, abs=0.001)


def test_there_are_enough_objects_and_names_are_unique():
    assert len({case.name for case in CASES}) == len(CASES)
    assert len({case.number for case in CASES if case.number is not None}) >= 60
    assert len({case.object for case in CASES if case.packaged}) >= 20
    assert not DEV - {n for numbers in FURNITURE.values() for n in numbers}


def record_of(*rows):
    row = {"case": "sit-001", "sample": 0, "penetration": 0.002, "contact": {"back": 0.01}}
    row |= {"body_moved": 0.1, "object_moved": 0.0, "tilt": 0.0}
    return {"settings": settings_of(Config(split="all")), "rows": [row | more for more in rows]}


@pytest.fixture
def record():
    return record_of({}, {"sample": 1, "penetration": 0.03}, {"case": "sit-086", "contact": {"back": 0.05}, "tilt": 25})


def test_the_page_counts_by_split_and_names_failures(record):
    page = markdown(record)
    assert "| sit | dev | 1 | 2 | 50 % | 50 % | 100 % | 0 % | 0 % |" in page
    assert "| sit | test | 1 | 1 | 0 % | 100 % | 0 % | 100 % | 0 % |" in page
    assert "| all | both | 2 | 3 | 33 % | 67 % | 67 % | 33 % | 0 % |" in page
    assert "| sit-001 | 1 | penetrates | 30 | back 10 |" in page
    assert "| sit-086 | 0 | missed: back, tipped | 2 | back 50 |" in page
    assert "| sit-001 | 0 |" not in page
    assert "no result" in markdown(record | {"settings": settings_of(Config(split="dev"))})


def test_what_reaches_the_rule_but_falls_over_counts_as_success_and_is_named_as_failure():
    page = markdown(record_of({"tilt": 30.0}))
    assert "| sit | dev | 1 | 1 | 100 % | 100 % | 100 % | 100 % | 0 % |" in page
    assert "| sit-001 | 0 | reached, tipped |" in page


def test_the_short_table_tells_apart_what_was_never_looked_at_and_finds_its_place(record):
    text = short_table(record)
    assert "| Sitting, back touching | 2 | 33 % | 0 % | 2.44 | 4.20 | 33 % |" in text
    assert "| **all** | 2 | 33 % | 0 % |" in text
    page = between("a\n<x>\nold\n<y>\nb", ("<x>", "<y>"), text)
    assert page == f"a\n<x>\n{text}\n<y>\nb"


def test_dev_and_test_share_no_object_of_an_action_and_are_all():
    dev, rest = (wanted_cases(Config(split=split)) for split in ("dev", "test"))
    assert not {case.name for case in dev} & {case.name for case in rest}
    assert len(dev) + len(rest) == len(wanted_cases(Config(split="all"))) == len(CASES)
    for action in ("lie", "lean", "push", "carry", "hold", "stand_on"):
        counts = [sum(case.action == action for case in half) for half in (dev, rest)]
        assert abs(counts[0] - counts[1]) <= 1
    assert {case.number for case in dev if case.action.startswith("sit")} == DEV


def test_cases_are_run_by_name_and_a_wrong_name_is_told():
    assert [case.name for case in wanted_cases(Config(only=("lie-088", "sit-001")))] == ["sit-001", "lie-088"]
    with pytest.raises(InputError, match="--only sit-1: no such case; wanted names such as sit-001"):
        wanted_cases(Config(only=("sit-1", "lie-088")))


def test_tables_of_a_few_cases_take_no_page_of_all(monkeypatch, tmp_path):
    """The page is written from a checkout's root, where this runs: only that of a split may be."""
    monkeypatch.chdir(tmp_path)
    written = []
    monkeypatch.setattr(run, "run_cases", lambda config, cases: [{"case": case.name} for case in cases])
    monkeypatch.setattr(run, "markdown", lambda record: str(len(record["rows"])))
    monkeypatch.setattr(run, "write_page", lambda out, name, record, text: written.append((out, text)))
    name = run.CASES[0].name
    for config in (run.Config(only=(name,)), run.Config(only=(name,), out=tmp_path), run.Config(split="all")):
        run.main(config)
    work = run.Config().work
    assert written == [(work, "1"), (tmp_path, "1"), (run.RESULTS, str(len(run.CASES)))]
    with pytest.raises(InputError, match="--only with --page"):
        run.main(run.Config(only=(name,), page=True))
