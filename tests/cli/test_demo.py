"""`hoijax demo` around the optimisation, on made-up cases."""

import json

import numpy as np
import pytest
import trimesh

from hoijax.cli import demo, main


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
    return fake.CALLS


def test_all_cases_are_refined_in_one_batch(cases, tmp_path, capsys):
    assert main(["demo", f"--out={tmp_path / 'out'}", "--no-pictures"]) == 0
    (call,) = cases
    assert call["batch"] == 2 and [list(c) for c in call["contacts"]] == [["left_hand"], ["left_hand", "right_hand"]]
    np.testing.assert_allclose(call["floor"].level, [0, -0.01])
    assert len(call["template"]) == 2 and call["template"][0] is not call["template"][1]
    for name in ("carry", "lift"):
        folder = tmp_path / "out" / name
        assert {p.name for p in folder.iterdir()} == {"interaction.glb", "refined.npz", "metrics.json"}
    out = capsys.readouterr().out
    assert "penetration, mm" in out and "carry" in out and "50.0 -> 2.0" in out
    assert main(["demo", f"--out={tmp_path / 'out'}", "--no-pictures"]) == 0
    assert len(cases) == 1 and "2 of 2 are finished already" in capsys.readouterr().out


def test_the_page_shows_every_case_by_its_title(cases, tmp_path, monkeypatch, capsys):
    import hoijax.viz

    monkeypatch.setattr(hoijax.viz, "write_comparison", lambda path, *a, **k: path.write_bytes(b"\x89PNG\r\n\x1a\n"))
    assert main(["demo", f"--out={tmp_path / 'out'}", "--only=lift"]) == 0
    page = (tmp_path / "out" / "index.html").read_text()
    assert "To lift" in page and "To carry" not in page
    assert "index.html" in capsys.readouterr().out


def test_an_unknown_case_is_named_with_those_there_are(cases, tmp_path, capsys):
    assert main(["demo", "--only=fly", f"--out={tmp_path / 'out'}"]) == 2
    assert "there is no case fly; the cases are carry, lift" in capsys.readouterr().err
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
