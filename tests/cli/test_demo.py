"""`hoijax demo` around the optimisation, on made-up cases."""

import html
import json
import pathlib
import shlex

import numpy as np
import pytest
import trimesh

from hoijax.cli import demo, demo_systems, main
from hoijax.errors import InputError


def fake_system(case, assets, out, *, redo):
    """A result of two boxes; GRAFT's is refused."""
    if case.name == "graft":
        raise InputError("no room")
    (out / case.name).mkdir(parents=True, exist_ok=True)
    scene = trimesh.Scene({"body": trimesh.creation.box((1, 1, 1)), "object": trimesh.creation.box((2, 1, 1))})
    scene.export(out / case.name / "interaction.glb")
    (out / case.name / "report.html").write_text("")
    return 7.4


@pytest.fixture
def cases(fake, estimate, monkeypatch, tmp_path):
    """Two cases with objects of their own, the free body's test level in place of the default one."""
    import hoijax.body_models

    fake.patch(monkeypatch.setattr)
    fake.CALLS.clear()
    assets = tmp_path / "assets"
    assets.mkdir()
    rows = []
    for seed, (name, size) in enumerate((("carry", 0.3), ("lift", 0.2))):
        np.savez(assets / f"{name}.npz", **estimate(seed=seed))
        trimesh.creation.box((size, size, size)).export(assets / f"{name}.obj")
        rows.append({"name": name, "title": f"To {name}", "body": f"{name}.npz", "object": f"{name}.obj",
                     "contact": ["left_hand"]})  # fmt: skip
    rows[1] |= {"contact": ["left_hand", "right_hand"], "floor": -0.01}
    (assets / "cases.json").write_text(json.dumps(rows))
    monkeypatch.setattr(demo, "_assets", lambda: assets)
    small = hoijax.body_models.free_body("test")
    monkeypatch.setattr(hoijax.body_models, "free_body", lambda lod="default": small)
    monkeypatch.setattr(demo_systems, "run_system", fake_system)
    monkeypatch.setattr(demo, "FIRST", 1)
    return fake.CALLS


ESTIMATES = "--only=estimates"


def test_all_cases_are_refined_in_one_batch(cases, tmp_path, capsys):
    assert main(["demo", f"--out={tmp_path / 'out'}", "--no-pictures", ESTIMATES]) == 0
    (call,) = cases
    assert call["batch"] == 2 and [list(c) for c in call["contacts"]] == [["left_hand"], ["left_hand", "right_hand"]]
    np.testing.assert_allclose(call["floor"].level, [0, -0.01])
    assert len(call["template"]) == 2 and call["template"][0] is not call["template"][1]
    for name in ("carry", "lift"):
        folder = tmp_path / "out" / name
        assert {p.name for p in folder.iterdir()} == {"interaction.glb", "refined.npz", "metrics.json"}
    out = capsys.readouterr().out
    assert "penetration, mm" in out and "carry" in out and "50.0 -> 2.0" in out
    assert main(["demo", f"--out={tmp_path / 'out'}", "--no-pictures", ESTIMATES]) == 0
    assert len(cases) == 1 and "2 of 2 are finished already" in capsys.readouterr().out


def test_the_page_shows_every_case_by_its_title(cases, tmp_path, monkeypatch, capsys):
    import hoijax.viz

    monkeypatch.setattr(hoijax.viz, "write_comparison", lambda path, *a, **k: path.write_bytes(b"\x89PNG\r\n\x1a\n"))
    assert main(["demo", f"--out={tmp_path / 'out'}", "--only=lift"]) == 0
    page = (tmp_path / "out" / "index.html").read_text()
    assert "To lift" in page and "To carry" not in page
    assert "index.html" in capsys.readouterr().out


def test_the_page_shows_the_first_estimate_and_each_system(cases, tmp_path, monkeypatch, capsys):
    """One that cannot be run is named, and ends with 1; the others are there."""
    import hoijax.viz

    monkeypatch.setattr(hoijax.viz, "write_comparison", lambda path, *a, **k: path.write_bytes(b"\x89PNG\r\n\x1a\n"))
    out = tmp_path / "out"
    assert main(["demo", f"--out={out}"]) == 1
    assert "graft: no room" in capsys.readouterr().err
    page = (out / "index.html").read_text()
    for case in demo_systems.SYSTEMS:
        assert (html.escape(case.title) in page) == (case.name != "graft"), case.name
    assert "To carry" in page and "7 s. All of it: scorehoi/report.html." in page and "ASSETS" not in page
    assert "hoijax generate &quot;A woman" in page
    assert "To carry" in (out / "refined.html").read_text() and not (out / "lift").exists()


def test_systems_alone_refine_no_estimate(cases, tmp_path):
    assert main(["demo", f"--out={tmp_path / 'out'}", "--only=hoi3dgen"]) == 0
    assert not cases and {p.name for p in (tmp_path / "out").iterdir()} == {"hoi3dgen", "index.html"}


@pytest.mark.parametrize("case", demo_systems.SYSTEMS, ids=lambda case: case.name)
def test_a_systems_case_is_a_command_on_files_that_ship(case, monkeypatch, tmp_path):
    import importlib

    module = importlib.import_module(f"hoijax.cli.{case.verb}")
    asked = []
    monkeypatch.setattr(module, "run", asked.append)
    assets = pathlib.Path(str(demo._assets()))
    assert demo_systems.run_system(case, assets, tmp_path, redo=True) >= 0
    (options,) = asked
    assert options.redo and options.out == tmp_path / case.name
    files = [word.replace("ASSETS", str(assets)) for word in shlex.split(case.words) if "ASSETS" in word]
    assert all(pathlib.Path(file).is_file() for file in files)


def test_an_unknown_case_is_named_with_those_there_are(cases, tmp_path, capsys):
    assert main(["demo", "--only=fly", f"--out={tmp_path / 'out'}"]) == 2
    assert "there is no case fly; the cases are carry, lift, scorehoi" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_shipped_cases_are_complete():
    """Their files are there and readable, their parts exist, and each starts near its object."""
    from hoijax.body_models import contact_regions, free_body
    from hoijax.io import read_mesh, read_parameters
    from hoijax.jobs.bodies import start_of
    from hoijax.jobs.objects import place_mesh
    from hoijax.jobs.refinement import posed_vertices

    model, known = free_body(), contact_regions(free_body())
    shipped = demo.demo_cases()
    assert len(shipped) >= 3
    for case in shipped:
        assert case.contact and set(case.contact) <= set(known), case.name
        source = read_parameters(demo._assets() / case.body)
        start = start_of(model, source.item(0), case.name)
        mesh = read_mesh(demo._assets() / case.object)
        assert source.count == 1 and start.freeze == () and start.notes == ()
        body, obj = posed_vertices(model, start.params), place_mesh(mesh, start.pose)
        assert (obj.min(0) < body.max(0) + 0.3).all() and (obj.max(0) > body.min(0) - 0.3).all(), case.name
