"""The bridge into a generated project: JSON lines to a process of the project, which knows and does what only it can.

The process keeps stdin and stdout for the protocol. It runs in a session of its own, so that Ctrl-C does not reach it,
and ends when its stdin closes. No secret crosses the bridge.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

PROTOCOL = 1
START_SECONDS = 90.0  # wrangler starts workerd
CALL_SECONDS = 180.0  # Polar may take its time for every page of a customer
STOP_SECONDS = 10.0
LONGEST_LINE = 64 * 1024 * 1024
# What is read of the results that are objects.
RESULTS: Mapping[str, set[str]] = {
    "migrations": {"answers", "current"},
    "request": {"status", "headers", "body"},
    "replay": {"outcome"},
    "reconcile": {"outcome", "calls"},
    "drift": {"differences", "calls"},
    "standing": {"access"},
    "read_event": {"projection", "problem"},
}


class BridgeBroken(Exception):
    """The bridge does not do its part; the message is one line that says what to do."""


class SettingsProblem(Exception):
    """The settings of the project are invalid; the message names variables, never their values."""


class StoreProblem(Exception):
    """The project's database does not answer, or refused."""


class UnreadableProblem(Exception):
    """An answer of Polar cannot be read."""


class DemoProblem(Exception):
    """The project has demo products: there is no Polar to ask."""


class PolarProblem(Exception):
    """Polar refused the app, or did not answer (status 0)."""

    def __init__(
        self, message: str, status: int, error: str = "", retry_after: float | None = None, detail: object = None
    ) -> None:
        super().__init__(message)
        self.status, self.error, self.retry_after, self.detail = status, error, retry_after, detail


class PolarGoneProblem(PolarProblem):
    """Polar has no such object."""


class Bridge:
    """A running bridge. A call that fails raises one of the errors above."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        *,
        start_seconds: float = START_SECONDS,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._call_seconds = call_seconds
        self._last_id = 0
        self._rest = b""
        try:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "no command"
            raise BridgeBroken(f"The bridge cannot be started: {command[0]}: {why}.") from None
        try:
            assert self._process.stdin is not None
            os.set_blocking(self._process.stdin.fileno(), False)
            complaint = f"The bridge does not start within {start_seconds:.0f} seconds."
            self.runtime = _runtime(self._read(time.monotonic() + start_seconds, complaint))
        except BaseException:
            self._kill()
            self._finish()
            raise

    def call(self, operation: str, *, seconds: float | None = None, **arguments: Any) -> Any:
        """Ask for an operation of the protocol and return its result."""
        self._last_id += 1
        request = {"id": self._last_id, "op": operation, **arguments}
        seconds = seconds or self._call_seconds
        deadline = time.monotonic() + seconds
        complaint = f"The bridge does not answer to `{operation}` within {seconds:.0f} seconds."
        self._write(json.dumps(request, ensure_ascii=False).encode() + b"\n", deadline, complaint)
        answer = self._read(deadline, complaint)
        if answer.get("id") != self._last_id:
            raise BridgeBroken(f"The bridge answers something else than `{operation}`.")
        return read_answer(operation, answer)

    def sql(self, sql: str, **values: object) -> list[dict[str, Any]]:
        """Run one statement and return its rows; parameters are written `:name`."""
        return self.batch((sql, values))[0]

    def batch(self, *statements: tuple[str, Mapping[str, object]]) -> list[list[dict[str, Any]]]:
        """Run statements in one transaction and return the rows of each."""
        sent = [{"sql": sql, "values": dict(values)} for sql, values in statements]
        result: list[list[dict[str, Any]]] = self.call("sql", statements=sent)
        if len(result) != len(sent):
            raise BridgeBroken("The bridge answers nonsense to `sql`.")
        return result

    def close(self) -> None:
        """End the process: by closing its stdin, and by force where it does not end."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
        self._finish()

    def _kill(self) -> None:
        """End the process and all that it started: they have a session of their own."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _finish(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close it at the end of the block; at once where it does not do its part, or Ctrl-C ends the command."""
        if kind is not None and issubclass(kind, BridgeBroken | KeyboardInterrupt):
            self._kill()
            self._finish()
        else:
            self.close()

    def _write(self, line: bytes, deadline: float, complaint: str) -> None:
        assert self._process.stdin is not None
        descriptor = self._process.stdin.fileno()
        rest = memoryview(line)
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_WRITE)
            while rest:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise BridgeBroken(complaint)
                try:
                    rest = rest[os.write(descriptor, rest) :]
                except BlockingIOError:
                    continue
                except OSError:
                    raise BridgeBroken(self._died()) from None

    def _read(self, deadline: float, complaint: str) -> dict[str, Any]:
        line = self._line(deadline, complaint)
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise BridgeBroken("The bridge answers nonsense: something else writes to its standard output.")
        return answer

    def _line(self, deadline: float, complaint: str) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        parts = [self._rest]
        length = len(self._rest)
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in parts[-1]:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise BridgeBroken(complaint)
                piece = os.read(descriptor, 65536)
                length += len(piece)
                if not piece:
                    raise BridgeBroken(self._died())
                if length > LONGEST_LINE:
                    raise BridgeBroken("The bridge answers without end.")
                parts.append(piece)
        line, _, self._rest = b"".join(parts).partition(b"\n")
        return line

    def _died(self) -> str:
        try:
            code: int | str = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            code = "still running"
        return f"The bridge ended by itself (exit code {code}); what it printed says why."


def read_answer(operation: str, answer: Mapping[str, Any]) -> Any:
    """Return the result in an answer, or raise the error in it."""
    if "error" in answer:
        raise _problem(operation, answer["error"])
    if not _is_good(operation, answer.get("result")):
        raise BridgeBroken(f"The bridge answers nonsense to `{operation}`.")
    return answer["result"]


def _runtime(hello: Mapping[str, Any]) -> str:
    if "bridge" not in hello:
        raise BridgeBroken("The bridge answers nonsense: it does not say its version.")
    if hello["bridge"] != PROTOCOL:
        raise BridgeBroken(
            f"The bridge of this project speaks version {str(hello['bridge'])[:20]}, this tool version {PROTOCOL}: "
            "start the tool by the project's own `billing` command."
        )
    return str(hello.get("runtime"))


def _is_good(operation: str, result: object) -> bool:
    """Whether a result has what this tool reads of it."""
    if operation == "sql":
        return isinstance(result, list) and all(isinstance(rows, list) for rows in result)
    if operation == "routes":
        return isinstance(result, list)
    return isinstance(result, dict) and RESULTS.get(operation, set()) <= result.keys()


def _problem(operation: str, error: object) -> Exception:
    found = error if isinstance(error, dict) else {}
    kind, message = str(found.get("kind")), str(found.get("message") or "unknown")
    simple: dict[str, type[Exception]] = {
        "settings": SettingsProblem,
        "store": StoreProblem,
        "unreadable": UnreadableProblem,
        "demo": DemoProblem,
    }
    if kind in simple:
        return simple[kind](message)
    if kind in ("polar", "gone"):
        problem = PolarGoneProblem if kind == "gone" else PolarProblem
        status, wait = (_number(found.get(name)) for name in ("status", "retry_after"))
        return problem(message, int(status or 0), str(found.get("error") or ""), wait, found.get("detail"))
    return BridgeBroken(f"The bridge could not do `{operation}`: {message}")


def _number(value: object) -> float | int | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    return value if is_number else None  # type: ignore[return-value]
