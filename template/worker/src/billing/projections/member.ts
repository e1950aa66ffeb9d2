/** member.*: a person of a customer, with a user id of their own. Grants with a `member_id` are theirs. */
import { type PolarObject, requiredId, text } from "../read";
import { customerOf, type Envelope, identityOf, type MemberIdentity, modifiedUs, type Projection } from "./projection";

export const member: Projection = {
  table: "billing_members",
  key: "id",
  writtenOnce: null,
  read(data: PolarObject, envelope?: Envelope) {
    const identity = memberIdentityOf(data);
    const deletedUs = envelope?.type === "member.deleted" ? envelope.version : null;
    return {
      row: {
        id: identity.id,
        customer_id: identity.customerId,
        email: text(data, "email"),
        name: text(data, "name"),
        role: text(data, "role"),
      },
      modifiedUs: modifiedUs(data),
      customer: customerOf(data, null),
      member: { ...identity, deletedUs: identity.deletedUs ?? deletedUs },
    };
  },
};

/** The member itself, wherever it is embedded. */
export function memberIdentityOf(data: PolarObject): MemberIdentity {
  return { ...identityOf(data), customerId: requiredId(data, "customer_id"), role: text(data, "role") };
}
