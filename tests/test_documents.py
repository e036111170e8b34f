"""What is printed in README.md and examples/ runs as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
FIGURES = {".png", ".pdf", ".svg"}
LONGEST = 1800  # seconds: something hangs


def python_blocks(text):
    """The python code blocks of a text, {line: script}, blank down to that line for the tracebacks' sake."""
    found = re.finditer(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = {text[: block.start(1)].count("\n"): block[1] for block in found}
    return {above + 1: "\n" * above + code for above, code in lines.items()}


BLOCKS = python_blocks(README.read_text(encoding="utf-8")) if README.exists() else {}


def run(script, folder):
    """Run a script in a folder, as a person would after installing; fail with what it printed."""
    search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": search, "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, str(script)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=LONGEST
    )
    printed = f"{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
    assert done.returncode == 0, f"{script.name} ended with {done.returncode}:\n{printed}"


def is_slow(script):
    return any(line.strip() == "# slow" for line in script.splitlines()[:10])


def examples():
    for path in sorted((ROOT / "examples").glob("*.py")):
        marks = [pytest.mark.slow] if is_slow(path.read_text(encoding="utf-8")) else []
        yield pytest.param(path, id=path.stem, marks=marks)


def test_readme_shows_code():
    assert BLOCKS, "README.md has no ```python block: show a person a first script."


@pytest.mark.parametrize("line", BLOCKS)
def test_readme_runs(line, tmp_path):
    script = tmp_path / "README.md.py"
    script.write_text(BLOCKS[line], encoding="utf-8")
    run(script, tmp_path)


@pytest.mark.parametrize("example", list(examples()))
def test_example_runs_and_draws(example, tmp_path):
    run(example, tmp_path)
    drawn = {path.suffix for path in (tmp_path / "out").rglob("*") if path.stat().st_size > 0}
    assert drawn & FIGURES, f"{example.name} wrote no figure into out/."
