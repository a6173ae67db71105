"""Every name that a module uses is bound in it: what is only met in a rare branch fails here and not at a user's.

Ruff's rule F821 takes the shapes in jaxtyping's annotations for names and is switched off; this one never looks into
strings.
"""

import builtins
import pathlib
import symtable

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FOLDERS = ("hoijax", "body_models", "nets", "optim", "data", "experiments", "tools", "examples", "tests")
KNOWN = {*dir(builtins), "__file__", "__name__", "__doc__", "__path__", "__annotations__"}


def undefined(source, name="module"):
    """Names that are read and nowhere bound."""
    top = symtable.symtable(source, name, "exec")
    scopes = [top]
    for scope in scopes:
        scopes += scope.get_children()
    bound = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    for scope in scopes:
        bound |= {s.get_name() for s in scope.get_symbols() if s.is_declared_global() and s.is_assigned()}
    read = {s.get_name() for scope in scopes for s in scope.get_symbols() if s.is_referenced() and s.is_global()}
    read |= {s.get_name() for s in top.get_symbols() if s.is_referenced()}
    return sorted(read - bound - KNOWN)


@pytest.mark.parametrize("folder", FOLDERS)
def test_names_are_bound(folder):
    wrong = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        found = undefined(path.read_text(), str(path))
        if found:
            wrong[str(path.relative_to(ROOT))] = found
    assert not wrong


def test_what_is_not_bound_is_found():
    lines = ["import a", 'def f(x: "B 3") -> "J":', "    global g", "    g = a.b",
             "    return missing[x] + [y for y in g] + len(x)", ""]  # fmt: skip
    source = "\n".join(lines)
    assert undefined(source) == ["missing"]
