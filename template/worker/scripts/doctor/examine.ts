/** All checks, and what comes of them. */
import { CHECKS, type CheckId } from "./checks.ts";
import { secretCommitted } from "./committed.ts";
import * as endpoint from "./endpoint.ts";
import * as environment from "./environment.ts";
import type { Examination, Found } from "./examination.ts";
import * as probes from "./probes.ts";
import * as products from "./products.ts";
import * as records from "./records.ts";
import * as rules from "./rules.ts";
import { Skipped } from "./skipped.ts";
import * as store from "./store.ts";
import * as token from "./token.ts";

type Checker = (x: Examination) => Promise<Found[]>;

/** What came of one check: what it found, or why it was not made. */
export interface Result {
  readonly id: CheckId;
  readonly found: readonly Found[];
  readonly skipped: string | null;
}

const CHECKERS: Readonly<Record<CheckId, Checker>> = {
  settings_unfit: environment.settingsUnfit,
  demo_ids: environment.demoIds,
  server_mismatch: environment.serverMismatch,
  token_kind: environment.tokenKind,
  secret_legacy: environment.secretLegacy,
  secret_committed: secretCommitted,
  secret_readable: environment.secretReadable,
  app_url_insecure: environment.appUrlInsecure,
  store_unreachable: store.storeUnreachable,
  migrations_missing: store.migrationsMissing,
  schema_drift: store.schemaDrift,
  webhook_route: probes.webhookRoute,
  webhook_unsigned: probes.webhookUnsigned,
  webhook_wrong_signature: probes.webhookWrongSignature,
  webhook_stale: probes.webhookStale,
  webhook_replayed: probes.webhookReplayed,
  event_unhandled: rules.eventUnhandled,
  premium_unprotected: probes.premiumUnprotected,
  user_route_unprotected: probes.userRouteUnprotected,
  sign_in_forged: probes.signInForged,
  access_table: rules.accessTable,
  polar_time: token.polarTime,
  token_refused: token.tokenRefused,
  token_scope_missing: token.tokenScopeMissing,
  token_scope_extra: token.tokenScopeExtra,
  api_version_removed: token.apiVersionRemoved,
  api_version_ending: token.apiVersionEnding,
  organization_other: products.organizationOther,
  product_missing: products.productMissing,
  product_archived: products.productArchived,
  price_changed: products.priceChanged,
  endpoint_missing: endpoint.endpointMissing,
  endpoint_duplicate: endpoint.endpointDuplicate,
  endpoint_disabled: endpoint.endpointDisabled,
  endpoint_events: endpoint.endpointEvents,
  endpoint_format: endpoint.endpointFormat,
  endpoint_version: endpoint.endpointVersion,
  endpoint_secret: endpoint.endpointSecret,
  deliveries_failing: endpoint.deliveriesFailing,
  deployed_route: endpoint.deployedRoute,
  events_dead: records.look("events_dead"),
  events_failed: records.look("events_failed"),
  status_unknown: records.look("status_unknown"),
  background_idle: records.look("background_idle"),
  reactions_dead: records.look("reactions_dead"),
  owner_disputed: records.look("owner_disputed"),
  customers_unlinked: records.look("customers_unlinked"),
  customers_marked: records.look("customers_marked"),
  products_unknown: records.productsUnknown,
  projection_drift: records.projectionDrift,
};

export const CHECK_IDS = Object.keys(CHECKS) as CheckId[];

/** Makes one check. */
export async function examine(x: Examination, id: CheckId): Promise<Result> {
  try {
    return { id, found: await CHECKERS[id](x), skipped: null };
  } catch (error) {
    if (error instanceof Skipped) return { id, found: [], skipped: error.message };
    throw error;
  }
}
