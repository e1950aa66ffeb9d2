"""The commands of `uv run billing`, one module each: `HELP`, `arguments(parser)`, `run(options)`."""
