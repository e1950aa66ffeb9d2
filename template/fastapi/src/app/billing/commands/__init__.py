"""The commands of `uv run billing`, one module each, registered in `app.billing.cli`."""
