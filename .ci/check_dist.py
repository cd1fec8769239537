"""Build the sdist and the wheel, check their contents, and resolve the wheel without compilers.

    python .ci/check_dist.py [FOLDER]

needs build, twine and uv. The files stay in FOLDER, by default `dist`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")


def run(*command: str | Path) -> None:
    """Run a command that has to succeed."""
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT)  # noqa: S603


def check_wheel(wheel: Path) -> None:
    """Check that the wheel holds the package with its templates, and nothing beside it."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        info = wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"
        description = archive.read(f"{info}/METADATA").decode()
    print(f"{wheel.name}: {len(names)} files, {wheel.stat().st_size // 1000} kB")
    print("\n".join(f"  {name}" for name in names))
    folders = {name.partition("/")[0] for name in names}
    assert folders == {"mlflow_interpret", info}, folders
    modules = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert modules == {name for name in names if name.startswith("mlflow_interpret/")}
    assert "mlflow_interpret/py.typed" in names
    assert f"{info}/licenses/LICENSE" in names
    assert f"{info}/entry_points.txt" in names
    relative = re.findall(r"\]\((?!http|#)[^)]+\)", description)
    assert not relative, f"relative links, which the package index does not have: {relative}"


def check_sdist(sdist: Path) -> None:
    """Check that the sdist holds all that building and testing need."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    print(f"{sdist.name}: {len(names)} files, {sdist.stat().st_size // 1000} kB")
    wanted = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "tests/conftest.py"}
    assert not wanted - names, wanted - names


def check_binary_packages(wheel: Path) -> None:
    """Check that each Python installs the wheel from binary packages alone."""
    for python in PYTHONS:
        run("uv", "pip", "compile", "--quiet", "--only-binary", ":all:", "--python-version", python,
            "--no-header", "--output-file", wheel.parent / f"requirements-{python}.txt",
            _requirement(wheel))  # fmt: skip
        print(f"Python {python}: installs from binary packages")


def check_installation(wheel: Path) -> None:
    """Install the wheel into an empty environment, and run its command."""
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder) / "environment"
        run("uv", "venv", "--quiet", "--python", sys.executable, environment)
        (python,) = [*environment.glob("bin/python"), *environment.glob("Scripts/python.exe")]
        run("uv", "pip", "install", "--quiet", "--only-binary", ":all:", "--python", python, wheel)
        run(python, "-m", "mlflow_interpret.cli", "--version")


def _requirement(wheel: Path) -> Path:
    path = wheel.parent / "requirements.in"
    path.write_text(f"mlflow-interpret @ {wheel.as_uri()}\n", encoding="utf-8")
    return path


def main() -> None:
    """Build and check."""
    folder = (Path(sys.argv[1]) if sys.argv[1:] else ROOT / "dist").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", folder)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    check_wheel(wheel)
    check_sdist(sdist)
    check_binary_packages(wheel)
    check_installation(wheel)
    for path in folder.glob("requirements*"):
        path.unlink()


if __name__ == "__main__":
    main()
