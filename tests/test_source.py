"""The source itself: imports flow one way, lint, format and types hold, files stay small."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOPICS = [p.name for p in (ROOT / "pages").iterdir() if (p / "__init__.py").exists() and p.name != "kit"]
MAX_LINES = 600


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def reaches(found: set[str], package: str) -> bool:
    return any(name == package or name.startswith(package + ".") for name in found)


def test_compute_knows_no_user_interface():
    for path in modules("compute"):
        for banned in ("streamlit", "plotly", "pages", "tests"):
            assert not reaches(imports(path), banned), f"{path} imports {banned}"


def test_topics_do_not_import_each_other():
    for folder in ("compute", "pages"):
        for topic in TOPICS:
            for path in modules(f"{folder}/{topic}"):
                for other in TOPICS:
                    if other != topic:
                        assert not reaches(imports(path), f"compute.{other}"), f"{path} imports {other}"
                        assert not reaches(imports(path), f"pages.{other}"), f"{path} imports {other}"


def test_shared_models_do_not_import_topics():
    for path in [*modules("compute/models"), *modules("compute/methods")]:
        for topic in TOPICS:
            assert not reaches(imports(path), f"compute.{topic}"), f"{path} imports {topic}"


def test_pages_hold_no_numerics():
    for path in modules("pages"):
        for banned in ("scipy", "numba", "numpy.linalg", "numpy.random"):
            if path == ROOT / "pages" / "kit" / "run.py" and banned == "numba":
                continue  # it listens for compilation
            assert not reaches(imports(path), banned), f"{path} imports {banned}"
        assert not re.search(r"\bnp\.(random|linalg|fft)\b", path.read_text()), f"{path} computes"


def test_kit_knows_no_lab():
    for path in modules("pages/kit"):
        for topic in TOPICS:
            assert not reaches(imports(path), f"pages.{topic}") and not reaches(imports(path), f"compute.{topic}"), path


def test_random_numbers_come_from_a_seed():
    for path in modules("compute"):
        assert not re.search(r"np\.random\.(?!default_rng|Generator|SeedSequence|Philox|PCG64)", path.read_text()), (
            f"{path} uses the global state"
        )


def test_files_are_small():
    for path in [*modules("compute"), *modules("pages"), *modules("tests")]:
        assert path.read_text().count("\n") <= MAX_LINES, f"{path} is more than one idea"


@pytest.mark.parametrize("command", ["ruff check .", "ruff format --check .", "mypy"])
def test_tools_are_content(command):
    name, *arguments = command.split()
    done = subprocess.run([sys.executable, "-m", name, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_the_readme_and_ci_run_the_same_test_command():
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    commands = [line.strip() for line in readme.splitlines() if "pip install" in line and "pytest" in line]
    assert len(commands) == 1 and commands[0] in ci
