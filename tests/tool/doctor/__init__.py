"""The doctor: every check has a project in which it fires, and the healthy one has no finding."""
