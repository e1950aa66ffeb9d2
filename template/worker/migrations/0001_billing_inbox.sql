-- Billing: the inbox of webhook events, the projections made of them, and what follows from both.
-- Instants are integers in microseconds UTC (_us), booleans 0 or 1, money minor units. There are no foreign keys, since
-- events may arrive the other way round. version, modified_us and webhook_id tell which snapshot a row was written from.

CREATE TABLE billing_webhook_events (
  webhook_id TEXT PRIMARY KEY,
  type TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('processed', 'ignored', 'failed', 'dead')),
  version INTEGER NOT NULL DEFAULT 0,
  customer_id TEXT,
  body BLOB,
  error TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  next_attempt_us INTEGER,
  received_us INTEGER NOT NULL,
  processed_us INTEGER
);
CREATE INDEX billing_webhook_events_state ON billing_webhook_events (state, next_attempt_us);
CREATE INDEX billing_webhook_events_customer ON billing_webhook_events (customer_id);
CREATE INDEX billing_webhook_events_received ON billing_webhook_events (received_us);

-- external_id and deleted_us are written once: after a deletion Polar's payloads no longer name the user.
CREATE TABLE billing_customers (
  id TEXT PRIMARY KEY,
  external_id TEXT,
  email TEXT,
  name TEXT,
  type TEXT,
  created_us INTEGER NOT NULL DEFAULT 0,
  deleted_us INTEGER,
  blocked_us INTEGER,
  reconcile_us INTEGER,
  reconciled_us INTEGER NOT NULL DEFAULT 0,
  version INTEGER NOT NULL DEFAULT 0,
  modified_us INTEGER NOT NULL DEFAULT 0,
  webhook_id TEXT NOT NULL DEFAULT ''
);
CREATE INDEX billing_customers_external ON billing_customers (external_id, created_us);
CREATE INDEX billing_customers_reconcile ON billing_customers (reconcile_us);
CREATE INDEX billing_customers_reconciled ON billing_customers (reconciled_us);

-- What Polar itself counts as active and granted: only ever compared with the projections.
CREATE TABLE billing_customer_states (
  customer_id TEXT PRIMARY KEY,
  body TEXT NOT NULL,
  compared_version INTEGER NOT NULL DEFAULT 0,
  version INTEGER NOT NULL DEFAULT 0,
  modified_us INTEGER NOT NULL DEFAULT 0,
  webhook_id TEXT NOT NULL DEFAULT ''
);
CREATE INDEX billing_customer_states_uncompared ON billing_customer_states (version) WHERE version > compared_version;

CREATE TABLE billing_members (
  id TEXT PRIMARY KEY,
  customer_id TEXT,
  external_id TEXT,
  email TEXT,
  name TEXT,
  role TEXT,
  deleted_us INTEGER,
  version INTEGER NOT NULL DEFAULT 0,
  modified_us INTEGER NOT NULL DEFAULT 0,
  webhook_id TEXT NOT NULL DEFAULT ''
);
CREATE INDEX billing_members_external ON billing_members (external_id);
CREATE INDEX billing_members_customer ON billing_members (customer_id);

CREATE TABLE billing_subscriptions (
  id TEXT PRIMARY KEY,
  customer_id TEXT NOT NULL,
  product_id TEXT,
  app_user_id TEXT,
  status TEXT NOT NULL,
  amount INTEGER,
  currency TEXT,
  recurring_interval TEXT,
  recurring_interval_count INTEGER,
  current_period_start_us INTEGER,
  current_period_end_us INTEGER,
  trial_end_us INTEGER,
  cancel_at_period_end INTEGER NOT NULL DEFAULT 0,
  canceled_us INTEGER,
  started_us INTEGER,
  ends_us INTEGER,
  ended_us INTEGER,
  past_due_us INTEGER,
  pause_at_period_end INTEGER NOT NULL DEFAULT 0,
  resumes_us INTEGER,
  seats INTEGER,
  pending_product_id TEXT,
  checkout_id TEXT,
  created_us INTEGER NOT NULL DEFAULT 0,
  version INTEGER NOT NULL DEFAULT 0,
  modified_us INTEGER NOT NULL DEFAULT 0,
  webhook_id TEXT NOT NULL DEFAULT ''
);
CREATE INDEX billing_subscriptions_customer ON billing_subscriptions (customer_id);
CREATE INDEX billing_subscriptions_user ON billing_subscriptions (app_user_id);

CREATE TABLE billing_orders (
  id TEXT PRIMARY KEY,
  customer_id TEXT NOT NULL,
  product_id TEXT,
  subscription_id TEXT,
  checkout_id TEXT,
  app_user_id TEXT,
  status TEXT NOT NULL,
  billing_reason TEXT,
  amount INTEGER,
  refunded_amount INTEGER NOT NULL DEFAULT 0,
  currency TEXT,
  created_us INTEGER NOT NULL DEFAULT 0,
  version INTEGER NOT NULL DEFAULT 0,
  modified_us INTEGER NOT NULL DEFAULT 0,
  webhook_id TEXT NOT NULL DEFAULT ''
);
CREATE INDEX billing_orders_customer ON billing_orders (customer_id);
CREATE INDEX billing_orders_user ON billing_orders (app_user_id);

CREATE TABLE billing_benefit_grants (
  id TEXT PRIMARY KEY,
  customer_id TEXT NOT NULL,
  member_id TEXT,
  benefit_id TEXT NOT NULL,
  benefit_type TEXT,
  subscription_id TEXT,
  order_id TEXT,
  is_granted INTEGER NOT NULL DEFAULT 0,
  is_revoked INTEGER NOT NULL DEFAULT 0,
  granted_us INTEGER,
  revoked_us INTEGER,
  error TEXT,
  created_us INTEGER NOT NULL DEFAULT 0,
  version INTEGER NOT NULL DEFAULT 0,
  modified_us INTEGER NOT NULL DEFAULT 0,
  webhook_id TEXT NOT NULL DEFAULT ''
);
CREATE INDEX billing_benefit_grants_customer ON billing_benefit_grants (customer_id);
CREATE INDEX billing_benefit_grants_member ON billing_benefit_grants (member_id);

CREATE TABLE billing_checkouts (
  id TEXT PRIMARY KEY,
  user_id TEXT,
  customer_id TEXT,
  product_id TEXT,
  subscription_id TEXT,
  status TEXT NOT NULL,
  asked_us INTEGER NOT NULL DEFAULT 0,
  expires_us INTEGER,
  created_us INTEGER NOT NULL DEFAULT 0,
  version INTEGER NOT NULL DEFAULT 0,
  modified_us INTEGER NOT NULL DEFAULT 0,
  webhook_id TEXT NOT NULL DEFAULT ''
);
CREATE INDEX billing_checkouts_user ON billing_checkouts (user_id);

-- The access that a user was last known to have; changes counts the transitions, check_us is when to look again.
CREATE TABLE billing_access (
  user_id TEXT PRIMARY KEY,
  access INTEGER NOT NULL DEFAULT 0,
  changes INTEGER NOT NULL DEFAULT 0,
  check_us INTEGER
);
CREATE INDEX billing_access_check ON billing_access (check_us);

CREATE TABLE billing_reactions (
  key TEXT PRIMARY KEY,
  reaction TEXT NOT NULL,
  object_id TEXT NOT NULL,
  user_id TEXT,
  payload TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'dead')),
  attempts INTEGER NOT NULL DEFAULT 0,
  next_attempt_us INTEGER,
  lease_us INTEGER NOT NULL DEFAULT 0,
  error TEXT,
  created_us INTEGER NOT NULL,
  done_us INTEGER
);
CREATE INDEX billing_reactions_state ON billing_reactions (state, next_attempt_us);
