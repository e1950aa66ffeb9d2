"""What `doctor` looks at, one concern a module; `examine` has the table of all checks."""
