/** checkout.*: somebody is about to buy. The user is the one our server made it for. */
import { appUserId, instant, requiredId, requiredText, text } from "../read";
import { customerOf, modifiedUs, type Projection } from "./projection";

export const checkout: Projection = {
  table: "billing_checkouts",
  key: "id",
  writtenOnce: "user_id",
  read(data) {
    const customerId = text(data, "customer_id");
    return {
      row: {
        id: requiredId(data, "id"),
        user_id: appUserId(data),
        customer_id: customerId,
        product_id: text(data, "product_id"),
        subscription_id: text(data, "subscription_id"),
        status: requiredText(data, "status"),
        expires_us: instant(data, "expires_at"),
        created_us: instant(data, "created_at") ?? 0,
      },
      modifiedUs: modifiedUs(data),
      customer: customerId === null ? null : customerOf(data, null),
      member: null,
    };
  },
};
