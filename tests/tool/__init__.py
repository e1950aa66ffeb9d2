"""The operator's tool: in process, against a fake bridge."""
