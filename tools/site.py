"""Hooks of the documentation site (mkdocs.yml).

One page of reference for each public package is made from its `__all__`, and one for each module outside of these that
pages or examples import from; the READMEs that stand beside shipped files are pages of it too.
"""

import ast
import pathlib
import re

from mkdocs.structure.files import File, Files

_OUTSIDE = re.compile(r"\]\((?:\.\./)+hoijax/assets/(\w+)/README\.md\)")
ROOT = pathlib.Path(__file__).resolve().parents[1]
_PARTS = ("hoijax", "body_models", "nets", "optim", "data")
_MODULES = (
    "hoijax/camera.py", "hoijax/errors.py", "hoijax/jobs/engine.py", "hoijax/jobs/runners.py", "hoijax/viz/figures.py",
    "hoijax/systems/hoi3dgen/layout.py", "hoijax/systems/hoi3dgen/registration.py",
    "hoijax/systems/hoi3dgen/segmentation.py", "hoijax/systems/hoi3dgen/views.py",
    "hoijax/systems/scorehoi/networks.py",
    "hoijax/systems/interactanything/distil.py", "hoijax/systems/interactvlm/pairs.py",
    "nets/scorehoi/state.py", "data/loading.py", "data/objects/real.py", "data/real/builder.py",
    "experiments/common/runs.py", "experiments/common/trainer.py",
)  # fmt: skip
"""Public modules whose package does not offer their names."""


def public_packages(root: pathlib.Path = ROOT) -> dict[str, list[str]]:
    """Every package that names what it offers, with these names in their order.

    Args:
      root: a checkout.

    Returns:
      dotted name of the package or module -> the names that it offers.
    """
    packages = {}
    for part in _PARTS:
        for path in sorted((root / part).rglob("__init__.py"), key=lambda path: path.parent):
            names = _offered(path)
            if names:
                packages[_dotted(path.parent.relative_to(root))] = names
    for path in _MODULES:
        packages[_dotted(pathlib.Path(path).with_suffix(""))] = _offered(root / path) or _defined(root / path)
    return dict(sorted(packages.items()))


def _dotted(path: pathlib.Path) -> str:
    """The name under which a package or module of the tree is imported."""
    return ".".join(path.parts if path.parts[0] == "hoijax" else ("hoijax", *path.parts))


def _offered(path: pathlib.Path) -> list[str]:
    """The literal `__all__` of a module; empty where it has none."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", None) for target in node.targets] == ["__all__"]:
            return sorted(ast.literal_eval(node.value), key=str.lower)
    return []


def _defined(path: pathlib.Path) -> list[str]:
    """The functions, classes and constants of a module that have a docstring and no underscore."""
    nodes, found = ast.parse(path.read_text(encoding="utf-8")).body, []
    for node, after in zip(nodes, [*nodes[1:], None]):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            found.append(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and _is_text(after):
            found.append(node.targets[0].id)
    return sorted((name for name in found if name[0] != "_"), key=str.lower)


def _is_text(node: ast.stmt | None) -> bool:
    """Whether a statement is a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def reference_page(package: str, names: list[str]) -> str:
    """The Markdown of one package's page."""
    body = "\n\n".join(f"::: {package}.{name}" for name in names)
    options = "\n".join(f"      {name}: false" for name in ("members", "show_root_heading", "show_root_toc_entry"))
    return f"# {package}\n\n::: {package}\n    options:\n{options}\n\n{body}\n"


def on_config(config):
    """Adds to the table of contents what comes in numbers."""
    docs = pathlib.Path(config.docs_dir)
    provenance = [path.parent.name for path in sorted((ROOT / "hoijax/assets").glob("*/README.md"))]
    config.nav += [
        {"Results": [f"results/{path.name}" for path in sorted((docs / "results").glob("*.md"))]},
        {"Provenance": [f"provenance/{name}.md" for name in provenance]},
        {"Reference": ["api/index.md", *(f"api/{name}.md" for name in public_packages())]},
    ]
    return config


def on_files(files: Files, config) -> Files:
    """Adds the pages of reference and a list of them."""
    packages = public_packages()
    rows = "\n".join(f"| [`{name}`]({name}.md) | {len(names)} |" for name, names in packages.items())
    head = (
        "# Reference\n\nEvery public name of every package, from its own docstring; `hoijax` itself offers the most "
        "used of them.\n\n| package | names |\n|---|---|\n"
    )
    files.append(File.generated(config, "api/index.md", content=head + rows + "\n"))
    for name, names in packages.items():
        files.append(File.generated(config, f"api/{name}.md", content=reference_page(name, names)))
    for path in sorted((ROOT / "hoijax/assets").glob("*/README.md")):
        files.append(File.generated(config, f"provenance/{path.parent.name}.md", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page, config, files) -> str:
    """Points links to shipped files' READMEs, right in a checkout, to their pages of the site."""
    up = "../" * page.file.src_uri.count("/")
    return _OUTSIDE.sub(lambda link: f"]({up}provenance/{link[1]}.md)", markdown)
