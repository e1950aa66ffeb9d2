"""`mcp`: serves coding agents."""

from __future__ import annotations

from importlib.util import find_spec

from copier_polar.console import BadCall

NOT_INSTALLED = (
    "`mcp` needs more than is installed here. A project starts it: `node scripts/billing.mjs mcp` or "
    "`uv run billing mcp`; elsewhere: `uvx --from 'copier-polar[mcp] @ git+URL' copier-polar mcp`."
)


def mcp() -> None:
    """Serve coding agents over MCP, on stdin and stdout.

    The project's `.mcp.json` starts it. It shows products, webhook events, a user's access and what the doctor finds,
    without secrets and personal data, and changes nothing; only `simulate` plays to an app on this machine.

    Example: uv run billing mcp
    """
    if find_spec("mcp") is None:
        raise BadCall(NOT_INSTALLED)
    from copier_polar.mcp.server import make_server

    make_server().run("stdio")
