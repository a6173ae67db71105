"""What a command keeps for the next one: where, when, and that nothing else in the library does."""

import os
import pathlib
import subprocess
import sys

import pytest

from hoijax.cli import main
from hoijax.cli.cache import LIMIT, cache_folder, grid_folder, keep_programs

SETTINGS = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "JAX_COMPILATION_CACHE_MAX_SIZE")  # fmt: skip


@pytest.mark.parametrize("environment, want", [
    ({"HOIJAX_CACHE": "/x/y"}, pathlib.Path("/x/y")),
    ({"HOIJAX_CACHE": "~/x"}, pathlib.Path.home() / "x"),
    ({"HOIJAX_CACHE": "off", "XDG_CACHE_HOME": "/c"}, None),
    ({"HOIJAX_CACHE": "OFF"}, None),
])  # fmt: skip
def test_the_environment_names_the_folder_or_switches_it_off(environment, want):
    assert cache_folder(environment) == want


@pytest.mark.skipif(sys.platform != "linux", reason="the system's folder is another one")
def test_without_it_the_systems_folder_for_caches_is_taken():
    assert cache_folder({"XDG_CACHE_HOME": "/c"}) == pathlib.Path("/c/hoijax")
    assert cache_folder({}) == pathlib.Path.home() / ".cache" / "hoijax"


def test_programs_of_any_size_are_kept_up_to_a_limit(tmp_path):
    environment = {"HOIJAX_CACHE": str(tmp_path / "new")}
    assert keep_programs(environment) == tmp_path / "new"
    got = [environment[name] for name in SETTINGS]
    assert got == [str(tmp_path / "new" / "programs"), "0", "-1", str(LIMIT)]


def test_a_users_own_settings_of_jax_stay(tmp_path):
    mine = {"HOIJAX_CACHE": str(tmp_path), "JAX_COMPILATION_CACHE_DIR": "/mine"}
    environment = dict(mine)
    keep_programs(environment)
    assert environment == mine


def test_no_folder_no_cache(tmp_path):
    (tmp_path / "file").write_text("")
    for place in ("off", str(tmp_path / "file" / "x")):
        environment = {"HOIJAX_CACHE": place}
        assert keep_programs(environment) is None and environment == {"HOIJAX_CACHE": place}


def test_a_folder_that_may_not_be_written_to_is_no_cache(tmp_path, monkeypatch):
    """Asked of the system: a superuser, as in containers, may write anywhere."""
    monkeypatch.setattr(os, "access", lambda path, mode: not (mode & os.W_OK))
    environment = {"HOIJAX_CACHE": str(tmp_path)}
    assert keep_programs(environment) is None and environment == {"HOIJAX_CACHE": str(tmp_path)}


def test_calls_of_main_from_python_keep_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("HOIJAX_CACHE", str(tmp_path))
    before = dict(os.environ)
    assert main(["render", str(tmp_path / "none.glb"), f"--out={tmp_path / 'x.png'}", "--no-cache"]) == 2
    assert main(["render", str(tmp_path / "none.glb"), f"--out={tmp_path / 'x.png'}"]) == 2
    assert dict(os.environ) == before and grid_folder() is None and not (tmp_path / "programs").exists()


def test_importing_the_library_sets_nothing():
    script = (
        "import os; before = dict(os.environ); import hoijax.cli, hoijax.cli.cache, hoijax.jobs.engine; "
        "assert dict(os.environ) == before; import jax; assert jax.config.jax_compilation_cache_dir is None"
    )
    plain = {k: v for k, v in os.environ.items() if k not in SETTINGS}
    subprocess.run([sys.executable, "-c", script], check=True, env=plain)


@pytest.mark.slow
def test_the_second_command_compiles_nothing(tmp_path):
    """A picture. The same again reads every program and adds none; with --no-cache nothing is kept."""
    import trimesh

    trimesh.creation.box().export(tmp_path / "box.ply")
    plain = {k: v for k, v in os.environ.items() if k not in SETTINGS} | {"HOIJAX_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "hoijax.cli", "render", str(tmp_path / "box.ply"), f"--out={tmp_path / 'x.png'}",
               "--size=16", "--samples=1", "--views=1"]  # fmt: skip

    def run(*options):
        done = subprocess.run([*command, *options], env=plain, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        files = sorted((tmp_path / "cache").rglob("*"))
        return {p.name for p in files if p.name.endswith("-cache")}, [p for p in files if p.name.endswith("-atime")]

    assert run("--no-cache") == (set(), []) and not (tmp_path / "cache").exists()
    first, used = run()
    assert len(first) > 3
    before = [p.read_bytes() for p in used]
    again, used = run()
    assert again == first
    assert all(a != b for a, b in zip(before, [p.read_bytes() for p in used]))
