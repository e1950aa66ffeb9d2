-- Who changed what by command.
CREATE TABLE billing_audit (
  id INTEGER PRIMARY KEY,
  at_us INTEGER NOT NULL DEFAULT 0,
  command TEXT NOT NULL,
  subject TEXT NOT NULL,
  actor TEXT NOT NULL
);
