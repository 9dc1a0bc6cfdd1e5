"""The ``trunkline`` command's entry point.

Exit codes: 0 done, 1 what was asked about is not well, 2 wrong use or bad input, 3 no such node
or network is up. Errors go to standard error as one sentence; ``--json`` output stands alone.

``run`` goes its own way: a node must start where there is nothing but pure Python (PyPy), and
typer converts arguments by pydantic's compiled core. It also keeps a node's memory free of the
other commands.
"""

from __future__ import annotations

import sys

from trunkline.errors import TrunklineError

__all__ = ["main"]


def main() -> None:
    """Run the command; turn the package's own errors into one line and exit code 2 or 3."""
    try:
        if sys.argv[1:2] == ["run"]:
            from trunkline.cli import run

            run.main(sys.argv[2:])
        else:
            from trunkline.cli.app import build

            build(*sys.argv[1:2])()
    except TrunklineError as problem:
        print(f"trunkline: {problem}", file=sys.stderr)
        absent = problem.code in {"control.unreachable", "lab.not-up", "rpc.unreachable"}
        sys.exit(3 if absent else 2)
