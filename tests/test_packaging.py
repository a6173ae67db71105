"""The distribution holds every package of the tree, and nothing of it runs at import."""

import pathlib
import subprocess
import sys
import tomllib

from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_pyproject_lists_every_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    listed = set(project["packages"])
    found = set()
    for name, folder in project["package-dir"].items():
        for init in (ROOT / folder).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT / folder).parts
            found.add(".".join([name, *parts]))
    assert listed == found


def test_the_pythons_that_are_named_have_a_flax_that_they_can_import():
    """Flax before 0.12.3 reads `__annotations__` in a way that Python 3.14 has no more."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line]
    assert named == ["3.11", "3.12", "3.13", "3.14"] and project["requires-python"] == ">=3.11"
    assert "Python 3.11, 3.12, 3.13 and 3.14" in (ROOT / "docs" / "faq.md").read_text()
    needs = [Requirement(line) for line in project["dependencies"]]
    for python in named:
        asked = [n for n in needs if n.name == "flax" and n.marker.evaluate({"python_version": python})]
        assert len(asked) == 1 and asked[0].specifier.contains("0.12.3")
        assert asked[0].specifier.contains("0.12.2") == (python != "3.14")


def test_a_bare_checkout_resolves_the_root_folders():
    """Editors and linters follow the links; a checkout without links has small text files there instead."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
    for name, folder in packages.items():
        link = ROOT / name.replace(".", "/")
        assert link.resolve() == (ROOT / folder).resolve() or link.read_text().strip() == f"../{folder}", name


def test_the_front_door_opens_and_costs_nothing_before():
    code = (
        "import sys, hoijax\n"
        "assert not {'jax', 'numpy', 'flax'} & set(sys.modules), 'import hoijax imports more than itself'\n"
        "assert len(hoijax.__all__) > 40\n"
        "for name in hoijax.__all__: getattr(hoijax, name)\n"
        "assert hoijax.geometry.Mesh is hoijax.Mesh and hoijax.optim.gradient.refine_batch is hoijax.refine_batch\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT / "tests")


def test_library_imports_no_reference_package_and_touches_no_device():
    code = (
        "import sys, hoijax, hoijax.geometry, hoijax.camera, hoijax.body_models, hoijax.interaction, hoijax.metrics,"
        "hoijax.render, hoijax.diffusion, hoijax.nets, hoijax.optim.gradient, hoijax.systems.scorehoi,"
        "hoijax.systems.graft, hoijax.systems.interactanything.relations, hoijax.language, hoijax.jobs, hoijax.viz,"
        "hoijax.cli\n"
        "bad = {'torch', 'smplx', 'pytorch3d', 'chumpy', 'tensorflow', 'openai'} & set(sys.modules)\n"
        "assert not bad, bad\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized(), 'import initialised a device'\n"
        "import jax\n"
        "assert not jax.config.jax_enable_x64\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT / "tests")


def test_the_commands_need_no_extra():
    """`pip install .` runs every verb but those that say which extra they want."""
    code = (
        "import importlib, pkgutil, sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        extras = ('tensorflow_datasets', 'array_record', 'grain', 'apache_beam', 'mujoco', 'cv2', 'viser')\n"
        "        if name.partition('.')[0] in extras:\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import hoijax.jobs\n"
        "for module in pkgutil.iter_modules(hoijax.jobs.__path__):\n"
        "    if module.name not in ('datasets', 'sheets', 'beam'):\n"
        "        importlib.import_module(f'hoijax.jobs.{module.name}')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT / "tests")
