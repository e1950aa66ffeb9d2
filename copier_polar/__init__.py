"""The operator's tool of projects that copier-polar generates: it creates, updates, checks and repairs them."""
