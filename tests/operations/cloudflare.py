"""A stand-in for Cloudflare's API, as far as wrangler hands a secret to a Worker."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.support.loopback import LoopbackServer


class Cloudflare(LoopbackServer):
    """Keeps what it is told, and what the arguments of all processes were at that moment."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.puts: list[tuple[str, str]] = []  # path and body of every request that changes something
        self.arguments = ""

    @property
    def environment(self) -> dict[str, str]:
        """What makes wrangler ask here."""
        return {
            "CLOUDFLARE_API_BASE_URL": self.url,
            "CLOUDFLARE_API_TOKEN": "a-token-of-cloudflare",
            "CLOUDFLARE_ACCOUNT_ID": "account",
            "WRANGLER_SEND_METRICS": "false",
        }

    def handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
                server.puts.append((self.path, body))
                server.arguments += "\n".join(_arguments())
                good = server.status == 200
                errors = [] if good else [{"code": 10000, "message": "Authentication error"}]
                raw = json.dumps({"success": good, "errors": errors, "messages": [], "result": {}}).encode()
                self.send_response(server.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, format: str, *arguments: object) -> None:
                """Keep quiet: what was asked is in `puts`."""

        return Handler


def _arguments() -> list[str]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_text(errors="replace"))
        except OSError:
            continue  # the process is gone
    return found
