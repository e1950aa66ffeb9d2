"""The MCP server itself: its tools as agents see them, over stdio."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import Field

from copier_polar import project
from copier_polar.mcp import tools
from copier_polar.mcp.cleaned import NOTE, Cleaner, Json
from copier_polar.problems import EXPECTED, line_of

INSTRUCTIONS = f"""The billing of this project: what its code sells, its database, and how it is set up at Polar.
All tools read, except simulate, which plays to the app on this machine. No answer has secrets or personal data. {NOTE}
"""
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ASKS_POLAR = ToolAnnotations(read_only_hint=True, open_world_hint=True)
PLAYS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False)

_one_at_a_time = threading.Lock()  # tools run in threads, and a project has one database

User = Annotated[str, Field(description="The user's id.")]


def list_products() -> CallToolResult:
    """List the products that the code sells: keys, ids at Polar, prices in minor units, benefits, who gets access."""
    return _answer(tools.products)


def get_webhook_events(
    state: Annotated[tools.State | None, Field(description="Only events in this state.")] = None,
    type: Annotated[str | None, Field(description="Only events of this type, such as order.paid.")] = None,
    limit: Annotated[int, Field(ge=1, le=100, description="How many at most.")] = 20,
) -> CallToolResult:
    """Show the newest webhook events in the app's inbox, newest first: ids, types, states, errors and instants."""
    return _answer(lambda: tools.webhook_events(state, type, limit))


def verify_setup() -> CallToolResult:
    """Examine the whole integration, as `billing doctor` does: settings, app, database, Polar. Names what to do."""
    return _answer(tools.setup)


def verify_webhook() -> CallToolResult:
    """Examine the webhook endpoint at Polar, its newest deliveries and the address that it calls."""
    return _answer(tools.webhook)


def catalog_diff() -> CallToolResult:
    """Compare the products of the code with Polar's; names the command that brings Polar's into the code."""
    return _answer(tools.catalog_differences)


def access_of(
    user: User,
    at: Annotated[
        str | None, Field(description="When, such as 2026-11-01T12:00:00Z; now where it is left out.")
    ] = None,
) -> CallToolResult:
    """Tell whether a user has access, until when, and which rule of the policy decides it."""
    return _answer(lambda: tools.access(user, at))


def simulate(
    scenario: Annotated[str | None, Field(description="What to play; without it, the scenarios are listed.")] = None,
    user: Annotated[str | None, Field(description="The user's id; a new user where it is left out.")] = None,
    url: Annotated[str | None, Field(description="The running app on this machine: http://127.0.0.1:PORT.")] = None,
) -> CallToolResult:
    """Play one scenario of events to the running app on this machine; shows the access before and after each step.

    It writes to the app's database. Polar knows nothing of it.
    """
    return _answer(tools.scenarios if scenario is None else lambda: tools.simulated(scenario, user, url))


TOOLS: dict[Callable[..., CallToolResult], ToolAnnotations] = {
    list_products: READS,
    get_webhook_events: READS,
    verify_setup: ASKS_POLAR,
    verify_webhook: ASKS_POLAR,
    catalog_diff: ASKS_POLAR,
    access_of: READS,
    simulate: PLAYS,
}


def make_server() -> MCPServer:
    """Make the server. It logs to stderr, and only what goes wrong."""
    server: MCPServer = MCPServer(
        "copier-polar", instructions=INSTRUCTIONS, version=version("copier-polar"), log_level="WARNING"
    )
    for function, hints in TOOLS.items():
        server.add_tool(function, annotations=hints)
    return server


def _answer(work: Callable[[], Json]) -> CallToolResult:
    """Return what a tool answers, or the line that says why it does not."""
    cleaner = Cleaner()
    with _one_at_a_time:
        try:
            cleaner = Cleaner.of(project.chosen())
            answer = cleaner.clean(work())
        except EXPECTED as error:
            return _said(cleaner.text(line_of(error)), is_error=True)
    if "merchant_text" in (text := json.dumps(answer, ensure_ascii=False)):
        answer = {"about_merchant_text": NOTE, **answer}
        text = json.dumps(answer, ensure_ascii=False)
    return _said(text, answer)


def _said(text: str, answer: Json | None = None, *, is_error: bool = False) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=answer, is_error=is_error)
