"""`hoijax refine --runner direct`: on Apache Beam every interaction's files are those of a run in this process."""

import json

import pytest

CHANGES = {"seconds", "options"}
"""What a record may differ in: times, and the runner that was asked for."""


def results(folder):
    """Every file below a folder, records without what may differ."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name == "metrics.json" and path.parent != folder:
            record = json.loads(path.read_text())
            found[str(path.relative_to(folder))] = {k: v for k, v in record.items() if k not in CHANGES}
        elif path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


@pytest.mark.slow
def test_beam_gives_the_same_files(refine, estimate, save, tmp_path):
    pytest.importorskip("apache_beam", reason="extra [beam]")
    for i in range(3):
        save(f"many/{i}.npz", estimate(seed=i))
    save("many/bad.npz", {"x": estimate()["betas"]})
    options = ("--batch-size", "2", "--contact", "left_hand")
    code, _, _, calls = refine(tmp_path / "many", *options, out="here")
    assert code == 1 and [call["batch"] for call in calls] == [2, 2]
    code, told, _, calls = refine(
        tmp_path / "many", *options, "--runner", "direct", "--beam-options", "direct_num_workers=1", out="there"
    )
    assert code == 1 and [call["batch"] for call in calls] == [2, 2]
    assert "3 interactions in 2 batches on Beam" in told
    here, there = results(tmp_path / "here"), results(tmp_path / "there")
    assert here == there and len(here) == 3 * 3 + 1
    # What one has written the other finds finished.
    code, told, _, calls = refine(tmp_path / "many", *options, out="there")
    assert code == 1 and calls == [] and "3 of 3 are finished already" in told


def test_options_of_beam_without_beam_are_refused(refine, estimate, save, tmp_path):
    code, _, error, calls = refine(save("a.npz", estimate()), "--beam-options", "direct_num_workers=2")
    assert code == 2 and "are for --runner direct" in error and not calls and not (tmp_path / "out").exists()
