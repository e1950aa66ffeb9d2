/** Shapes of the catalogue: products, prices and benefits as Polar's API names them, in camelCase. */

/** One price of a product, in one currency. Amounts are minor units; `unitAmount` is a decimal string of minor units. */
export interface Price {
  readonly id: string;
  /** Polar's `amount_type`, verbatim: `fixed`, `custom`, `metered_unit`, … */
  readonly type: string;
  /** ISO 4217 code in lower case. */
  readonly currency: string;
  readonly amount: number | null;
  readonly minimum: number | null;
  readonly maximum: number | null;
  readonly preset: number | null;
  readonly unitAmount: string | null;
}

/** A product is one billing cycle: monthly and yearly are two products at Polar. */
export interface Product {
  readonly key: string;
  readonly id: string;
  readonly name: string;
  readonly description: string | null;
  readonly archived: boolean;
  readonly recurring: boolean;
  /** Unit of the billing period, verbatim (Polar's `recurring_interval`): `day`, `week`, `month`, `year`, … */
  readonly interval: string | null;
  readonly intervalCount: number | null;
  /** Unit of the trial period, verbatim (Polar's `trial_interval`). */
  readonly trialInterval: string | null;
  readonly trialIntervalCount: number | null;
  /** Holding it gives access to the premium routes. */
  readonly premium: boolean;
  /** Its only price is a fixed 0. */
  readonly free: boolean;
  readonly prices: readonly Price[];
  /** Keys of the benefits it grants. */
  readonly benefits: readonly string[];
}

export interface Benefit {
  readonly key: string;
  readonly id: string;
  readonly type: string;
  readonly description: string;
}

export interface Organization {
  readonly id: string;
  readonly name: string;
  readonly defaultCurrency: string;
  /** Whether one customer may hold several live subscriptions (a setting of the organization at Polar). */
  readonly allowMultipleSubscriptions: boolean;
}

export interface Catalog {
  readonly organization: Organization;
  readonly products: readonly Product[];
  readonly benefits: readonly Benefit[];
}

/** What a plan change does to the running period (Polar: `proration_behavior`). */
export type Proration = "invoice" | "prorate" | "next_period" | "reset";
