"""Servers that tests start."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.process import free_port, server

# Fails so often, each time a line in the file; then it serves.
_SERVES_LATE = """
import http.server, pathlib, sys
port, failures, said, file = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], pathlib.Path(sys.argv[4])
with file.open("a") as tried:
    tried.write("tried\\n")
if len(file.read_text().splitlines()) <= failures:
    sys.exit(said)
http.server.HTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def _start(folder: Path, failures: int, said: str) -> int:
    """How often it was started."""
    port, tried = free_port(), folder / "tried"
    command = [sys.executable, "-c", _SERVES_LATE, str(port), str(failures), said, tried]
    log = folder / "server.log"
    try:
        with server(command, cwd=folder, env=os.environ, url=f"http://127.0.0.1:{port}/", log=log, timeout=20):
            pass
    finally:
        count = len(tried.read_text().splitlines())
    return count


def test_a_server_whose_inner_port_was_taken_is_started_again(tmp_path: Path) -> None:
    assert _start(tmp_path, 2, "Address already in use") == 3


def test_a_server_that_fails_otherwise_is_not(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no such setting"):
        _start(tmp_path, 1, "no such setting")
    assert (tmp_path / "tried").read_text().count("tried") == 1
