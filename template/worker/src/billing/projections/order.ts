/** order.*: a purchase or a charge. Amounts may be negative (credit) or 0 (trials, free products, full discounts). */
import { appUserId, instant, integer, optionalObject, requiredId, requiredText, text } from "../read";
import { customerOf, modifiedUs, type Projection } from "./projection";

/** A row of `billing_orders`, without what tells its version. */
export type OrderRow = {
  readonly id: string;
  readonly customer_id: string;
  readonly product_id: string | null;
  readonly subscription_id: string | null;
  readonly checkout_id: string | null;
  readonly app_user_id: string | null;
  readonly status: string;
  readonly billing_reason: string | null;
  readonly amount: number | null;
  readonly refunded_amount: number;
  readonly currency: string | null;
  readonly created_us: number;
};

export const order = {
  table: "billing_orders",
  key: "id",
  writtenOnce: null,
  read(data) {
    const row: OrderRow = {
      id: requiredId(data, "id"),
      customer_id: requiredId(data, "customer_id"),
      product_id: text(data, "product_id"),
      subscription_id: text(data, "subscription_id"),
      checkout_id: text(data, "checkout_id"),
      app_user_id: appUserId(data),
      status: requiredText(data, "status"),
      billing_reason: text(data, "billing_reason"),
      amount: integer(data, "total_amount"),
      refunded_amount: integer(data, "refunded_amount") ?? 0,
      currency: text(data, "currency"),
      created_us: instant(data, "created_at") ?? 0,
    };
    const customer = customerOf(data, optionalObject(data, "customer"));
    return { row, modifiedUs: modifiedUs(data), customer, member: null };
  },
} satisfies Projection;
