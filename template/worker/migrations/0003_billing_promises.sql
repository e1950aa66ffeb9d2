-- What keeps billing's promises over time: blocked users, disputes, erased customers, and pauses after a failure.

-- Blocking is of a user, before and after any customer.
CREATE TABLE billing_blocked_users (
  user_id TEXT PRIMARY KEY,
  blocked_us INTEGER NOT NULL
);
INSERT INTO billing_blocked_users (user_id, blocked_us)
  SELECT external_id, MIN(blocked_us) FROM billing_customers
  WHERE blocked_us IS NOT NULL AND external_id IS NOT NULL GROUP BY external_id;

-- The status of the newest dispute at Polar; null while none is known. No event tells of it.
ALTER TABLE billing_orders ADD COLUMN dispute_status TEXT;
-- Personal data was erased here; it stays away until the customer is deleted at Polar.
ALTER TABLE billing_customers ADD COLUMN erased_us INTEGER;
-- Failures in a row: the next try waits longer after each.
ALTER TABLE billing_customers ADD COLUMN reconcile_failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE billing_access ADD COLUMN check_failures INTEGER NOT NULL DEFAULT 0;

-- When Polar's answer to a change was written; reconciliation runs its reactions, should its events be lost.
ALTER TABLE billing_subscriptions ADD COLUMN answered_us INTEGER;
-- A discount in percent, 10000 for all of it: then Polar may hold no card.
ALTER TABLE billing_subscriptions ADD COLUMN discount_basis_points INTEGER;

-- Checkouts that Polar is asked about.
CREATE INDEX billing_checkouts_open ON billing_checkouts (status, created_us);
