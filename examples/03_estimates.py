"""Files of other methods go in as they are: look first, then refine, then write for other programs.

Here the file is a shipped one; PHALP's, GVHMR's, SAM 3D Body's and others' are read the same way (docs/sources.md).
"""

import pathlib
import shutil
from importlib.resources import files

import tyro

from hoijax import cli, io

DEMO = files("hoijax.assets") / "demo"


def main(out: pathlib.Path = pathlib.Path("examples_out/03"), small: bool = False) -> dict:
    """What `hoijax inspect`, `refine` and `export` do, one after the other."""
    out.mkdir(parents=True, exist_ok=True)
    estimate, mesh = out / "estimate.npz", out / "box.glb"
    shutil.copy(DEMO / "carry_box.npz", estimate)
    shutil.copy(DEMO / "carry_box.glb", mesh)

    source = io.read_parameters(estimate)  # refuses what is no body, with the key and the reason
    print({name: value.shape for name, value in source.values.items()})
    cli.main(["inspect", str(estimate)])

    quick = ["--steps", "5", "--lod", "test", "--pictures", "0"] if small else []
    code = cli.main(
        ["refine", "--body", str(estimate), "--object", str(mesh), "--out", str(out / "refined")]
        + ["--contact", "left_palm,right_palm", "--floor", "0", *quick]
    )
    cli.main(["export", str(out / "refined"), "--out", str(out / "carry.bvh")])
    return {"code": code, "files": sorted(path.name for path in (out / "refined").iterdir())}


if __name__ == "__main__":
    tyro.cli(main)
