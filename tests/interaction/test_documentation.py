import pathlib
import re

import numpy as np

import hoijax.interaction
import hoijax.metrics

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "interaction.md").read_text()


def test_the_example_runs():
    names = {}
    exec(re.search(r"```python\n(.*?)```", PAGE, re.S).group(1), names)
    assert np.isfinite(names["value"]) and np.any(names["slope"].translation != 0)


def test_every_function_in_the_tables_exists():
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.M)
    assert len(rows) > 20
    for name in re.findall(r"`(\w+)", " ".join(rows)):
        assert hasattr(hoijax.interaction, name) or hasattr(hoijax.metrics, name), name
