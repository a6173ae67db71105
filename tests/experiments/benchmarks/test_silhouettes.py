"""The page of the silhouettes' speed is made of its record alone."""

from hoijax.experiments.benchmarks.silhouettes import NAMES, _sides, markdown
from hoijax.experiments.benchmarks.timing import Comparison, Sample


def test_ratios_are_of_cpu_time_within_a_round():
    # Two rounds; the second has half the cores, which must not change a ratio.
    samples = {
        "hard": (Sample(0.010, 2.0), Sample(0.020, 1.0)),
        "outline": (Sample(0.015, 2.0), Sample(0.030, 1.0)),
        "soft": (Sample(0.060, 2.0), Sample(0.120, 1.0)),
    }
    rows = _sides(Comparison(samples, (2.0, 1.0), 2))
    assert rows["soft"]["over_outline"] == 4.0
    assert rows["outline"]["hard_passes"] == 1.5
    assert rows["hard"]["cpu_ms"] == 20.0
    assert rows["hard"]["wall_ms"] == 15.0


def test_page_names_every_side():
    side = {"wall_ms": 1.0, "cpu_ms": 2.0, "hard_passes": 3.0, "over_outline": 4.0}
    made = {"cpu": "a chip", "cores": 2, "versions": {"jax": "0"}}
    row = {"views": 64, "size": 128, "faces": 2994, "sides": dict.fromkeys(NAMES, side)}
    text = markdown({"rows": [row], "environment": made})
    assert all(name in text for name in NAMES.values())
    assert "64 views of 2,994 faces at 128 x 128" in text
