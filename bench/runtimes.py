"""The Pythons that the benches run: this CPython, the distribution's, and PyPy where there is one.

PyPy is ``$TRUNKLINE_PYPY``, else ``pypy3`` on the path. It needs no pip: what the package depends
on is pure Python, and is taken from this environment into a folder of its own beside it, compiled
parts left behind. cffi is PyPy's own; uvloop it does without.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import trunkline

__all__ = ["CPYTHON", "Runtime", "pypy"]

_SOURCES = Path(trunkline.__file__).parents[1]
_ROOT = Path(__file__).parents[1]
_COMPILED = {".so", ".pyd", ".pyc"}
# PyPy brings its own cffi. typer converts arguments by pydantic, whose core is compiled: `run`
# starts without either.
_LEFT_BEHIND = {"cffi", "pycparser", "uvloop", "greenlet", "pydantic", "pydantic-core"}


@dataclass(frozen=True)
class Runtime:
    """One Python, and the variables that it needs to find the package and the benches."""

    name: str
    title: str
    interpreter: str
    environment: dict[str, str] = field(default_factory=dict)
    warm_up: int = 20_000
    """Messages before anything is measured."""
    note: str = ""
    """What to know about this build."""

    def variables(self, **more: str) -> dict[str, str]:
        """Return the environment for a process of this runtime."""
        return {**os.environ, **self.environment, **more}


def _path(*folders: Path) -> str:
    return os.pathsep.join(map(str, folders))


# Without it, CPython is a fifth slower or more; distributions' builds have it.
_OPTIMISED = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
_BUILD = "" if _OPTIMISED else " (built without profile-guided optimisation)"

CPYTHON = Runtime(
    "cpython",
    f"CPython {platform.python_version()}",
    sys.executable,
    {"PYTHONPATH": _path(_SOURCES, _ROOT)},
    note=_BUILD,
)


@functools.cache
def distribution() -> Runtime | None:
    """Return the distribution's CPython, with this environment's packages, if there is one.

    It has to be of the same version, for the compiled packages to fit. Where this interpreter was
    built without optimisation, it is the one that compares with what the distribution compiled.
    """
    interpreter = Path("/usr/bin/python3")
    if not interpreter.exists() or interpreter.samefile(Path(sys.executable).resolve()):
        return None
    question = "import platform; print(platform.python_version())"
    answer = subprocess.run(
        [str(interpreter), "-c", question], capture_output=True, text=True, check=True
    )
    version = answer.stdout.strip()
    if version.split(".")[:2] != platform.python_version().split(".")[:2]:
        return None
    packages = Path(sysconfig.get_paths()["purelib"])
    return Runtime(
        "distribution",
        f"the distribution's CPython {version}",
        str(interpreter),
        {"PYTHONPATH": _path(_SOURCES, _ROOT, packages)},
    )


@functools.cache
def pypy() -> Runtime | None:
    """Return PyPy ready to run the package, or ``None`` where there is none."""
    interpreter = os.environ.get("TRUNKLINE_PYPY") or shutil.which("pypy3")
    if interpreter is None:
        return None
    question = "import sys; print(sys.implementation.name, *sys.version_info[:3])"
    answer = subprocess.run(
        [interpreter, "-c", question], capture_output=True, text=True, check=True
    )
    name, *version = answer.stdout.split()
    if name != "pypy" or tuple(map(int, version)) < (3, 11):
        raise RuntimeError(f"{interpreter} is {name} {'.'.join(version)}, not PyPy 3.11 or newer")
    packages = Path(sys.prefix) / "pypy-packages"
    _collect(packages)
    return Runtime(
        "pypy",
        f"PyPy {'.'.join(version)}",
        interpreter,
        # The bytecode of ten thousand lines is worth keeping: PyPy is slow before it is warm.
        {"PYTHONPATH": _path(_SOURCES, _ROOT, packages), "PYTHONDONTWRITEBYTECODE": ""},
        warm_up=400_000,
    )


def _collect(folder: Path) -> None:
    """Copy the package's pure dependencies into ``folder``, unless they are there already."""
    distributions = _closure("trunkline")
    wanted = "".join(sorted(f"{d.name} {d.version}\n" for d in distributions))
    stamp = folder / "versions.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    for distribution in distributions:
        for file in distribution.files or ():
            if file.suffix in _COMPILED or ".." in file.parts:
                continue
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(distribution.locate_file(file)), target)
    stamp.write_text(wanted)


def _closure(root: str) -> list[metadata.Distribution]:
    """Return all that ``root`` needs, without extras and without ``root``."""
    seen = {root}
    found: list[metadata.Distribution] = []
    todo = [metadata.distribution(root)]
    while todo:
        for requirement in todo.pop().requires or ():
            name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()
            if "extra ==" in requirement or name in seen or name in _LEFT_BEHIND:
                continue
            seen.add(name)
            try:
                distribution = metadata.distribution(name)
            except metadata.PackageNotFoundError:
                continue  # for another system or version
            found.append(distribution)
            todo.append(distribution)
    return found
