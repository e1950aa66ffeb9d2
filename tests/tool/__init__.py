"""The operator's tool, and the bridges of generated projects that it works through."""
