/** benefit_grant.*: a benefit given to a customer or to one of its members. The same grant may be given again. */
import { flag, instant, isObject, optionalObject, type PolarObject, requiredId, text } from "../read";
import { memberIdentityOf } from "./member";
import { customerOf, modifiedUs, type Projection } from "./projection";

export const benefitGrant: Projection = {
  table: "billing_benefit_grants",
  key: "id",
  writtenOnce: null,
  read(data) {
    const member = optionalObject(data, "member");
    return {
      row: {
        id: requiredId(data, "id"),
        customer_id: requiredId(data, "customer_id"),
        member_id: text(data, "member_id"),
        benefit_id: requiredId(data, "benefit_id"),
        benefit_type: text(optionalObject(data, "benefit") ?? {}, "type"),
        subscription_id: text(data, "subscription_id"),
        order_id: text(data, "order_id"),
        is_granted: flag(data, "is_granted"),
        is_revoked: flag(data, "is_revoked"),
        granted_us: instant(data, "granted_at"),
        revoked_us: instant(data, "revoked_at"),
        error: errorOf(data),
        created_us: instant(data, "created_at") ?? 0,
      },
      modifiedUs: modifiedUs(data),
      customer: customerOf(data, optionalObject(data, "customer")),
      member: member === null ? null : memberIdentityOf(member),
    };
  },
};

/** Why granting failed, such as an account that is not connected (Polar: `BenefitGrantError`). */
function errorOf({ error }: PolarObject): string | null {
  return isObject(error) ? text(error, "type") : null;
}
