/** subscription.*: a plan that renews. */
import { appUserId, flag, instant, integer, optionalObject, requiredId, requiredText, text } from "../read";
import { customerOf, modifiedUs, type Projection } from "./projection";

/** A row of `billing_subscriptions`, without what tells its version. */
export type SubscriptionRow = {
  readonly id: string;
  readonly customer_id: string;
  readonly product_id: string | null;
  readonly app_user_id: string | null;
  readonly status: string;
  readonly amount: number | null;
  readonly currency: string | null;
  readonly recurring_interval: string | null;
  readonly recurring_interval_count: number | null;
  readonly current_period_start_us: number | null;
  readonly current_period_end_us: number | null;
  readonly trial_end_us: number | null;
  readonly cancel_at_period_end: number;
  readonly canceled_us: number | null;
  readonly started_us: number | null;
  readonly ends_us: number | null;
  readonly ended_us: number | null;
  readonly past_due_us: number | null;
  readonly pause_at_period_end: number;
  readonly resumes_us: number | null;
  readonly seats: number | null;
  readonly pending_product_id: string | null;
  readonly checkout_id: string | null;
  /** Of a discount in percent; 10000 is all of the price. */
  readonly discount_basis_points: number | null;
  readonly created_us: number;
};

export const subscription = {
  table: "billing_subscriptions",
  key: "id",
  writtenOnce: null,
  read(data) {
    const row: SubscriptionRow = {
      id: requiredId(data, "id"),
      customer_id: requiredId(data, "customer_id"),
      product_id: text(data, "product_id"),
      app_user_id: appUserId(data),
      status: requiredText(data, "status"),
      amount: integer(data, "amount"),
      currency: text(data, "currency"),
      recurring_interval: text(data, "recurring_interval"),
      recurring_interval_count: integer(data, "recurring_interval_count"),
      current_period_start_us: instant(data, "current_period_start"),
      current_period_end_us: instant(data, "current_period_end"),
      trial_end_us: instant(data, "trial_end"),
      cancel_at_period_end: flag(data, "cancel_at_period_end"),
      canceled_us: instant(data, "canceled_at"),
      started_us: instant(data, "started_at"),
      ends_us: instant(data, "ends_at"),
      ended_us: instant(data, "ended_at"),
      past_due_us: instant(data, "past_due_at"),
      pause_at_period_end: flag(data, "pause_at_period_end"),
      resumes_us: instant(data, "resumes_at"),
      seats: integer(data, "seats"),
      pending_product_id: text(optionalObject(data, "pending_update") ?? {}, "product_id"),
      checkout_id: text(data, "checkout_id"),
      discount_basis_points: integer(optionalObject(data, "discount") ?? {}, "basis_points"),
      created_us: instant(data, "created_at") ?? 0,
    };
    const customer = customerOf(data, optionalObject(data, "customer"));
    return { row, modifiedUs: modifiedUs(data), customer, member: null };
  },
} satisfies Projection;
