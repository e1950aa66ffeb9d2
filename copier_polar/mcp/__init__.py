"""The MCP server for coding agents: what it answers, and what it leaves out."""
