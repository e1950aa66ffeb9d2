"""Servers that tests start: a free port each, a time-out, and an end by their own process id."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_PORTS = (15_000, 32_000)


def free_port() -> int:
    """A TCP port of the loopback interface on which nobody listens.

    It lies below those that the system gives to outgoing connections: a server that takes seconds to start would find
    one of these taken.
    """
    while True:
        port = random.SystemRandom().randrange(*_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def run(
    command: Sequence[str | Path], *, cwd: Path, timeout: float, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; raises with its output where it fails, and when it takes too long."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, timeout=timeout, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command} failed with code {done.returncode}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done


@contextmanager
def server(
    command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], url: str, log: Path, timeout: float = 60
) -> Generator[subprocess.Popen[bytes]]:
    """Start a server, wait until `url` answers 200, and end its whole process group afterwards.

    Raises RuntimeError with the end of its log where it stops or does not answer in time.
    """
    process = _started(command, cwd, env, url, log, timeout, tries=3)
    try:
        yield process
    finally:
        _stop(process)


def _started(
    command: Sequence[str | Path], cwd: Path, env: Mapping[str, str], url: str, log: Path, timeout: float, tries: int
) -> subprocess.Popen[bytes]:
    """Start it; once more where it found a port taken: wrangler looks for inner ones before it listens on them."""
    with log.open("ab") as output:
        begin = output.tell()
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=dict(env),
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, url, log, timeout)
    except BaseException as error:
        _stop(process)
        taken = b"Address already in use" in log.read_bytes()[begin:]
        if tries > 1 and taken and isinstance(error, RuntimeError):
            return _started(command, cwd, env, url, log, timeout, tries - 1)
        raise
    return process


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server stopped with code {process.returncode}:\n{_tail(log)}")
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass  # not listening yet: asked again until the deadline
        time.sleep(0.1)
    raise RuntimeError(f"{url} did not answer within {timeout:.0f} s:\n{_tail(log)}")


def _tail(log: Path, characters: int = 4000) -> str:
    return log.read_text(errors="replace")[-characters:]


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            continue
    process.wait(timeout=10)
