import json

import pytest

from hoijax.experiments import silhouette_pose


@pytest.mark.slow
def test_poses_come_back_and_the_results_are_whole(tmp_path):
    config = silhouette_pose.Config(starts=6, steps=120, out=tmp_path / "results")
    result = silhouette_pose.main(config)
    assert len(result["degrees"]) == len(result["millimetres"]) == 6
    assert result["succeeded"] == 6, result
    written = json.loads((config.out / "silhouette_pose.json").read_text())
    assert written["succeeded"] == 6 and written["config"]["turn"] == 20.0
    assert "**6 of 6**" in (config.out / "silhouette_pose.md").read_text()


def test_starts_are_as_far_off_as_they_say():
    truth, start, shift = silhouette_pose.draw_starts(silhouette_pose.Config(starts=5))
    for i in range(5):
        turn = start[i] @ truth[i].T
        assert float(turn.trace()) == pytest.approx(1 + 2 * 0.9396926, abs=1e-4)
        assert float((shift[i] ** 2).sum() ** 0.5) == pytest.approx(0.1, rel=1e-5)
