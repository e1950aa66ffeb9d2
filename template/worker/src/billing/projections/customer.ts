/** customer.*: whom Polar bills. The user is its `external_id`. */
import { type PolarObject, text } from "../read";
import { type Envelope, identityOf, modifiedUs, type Projection } from "./projection";

export const customer: Projection = {
  table: "billing_customers",
  key: "id",
  writtenOnce: null,
  read(data: PolarObject, envelope?: Envelope) {
    const identity = identityOf(data);
    const deletedUs = envelope?.type === "customer.deleted" ? envelope.version : null;
    return {
      row: {
        id: identity.id,
        email: text(data, "email"),
        name: text(data, "name"),
        type: text(data, "type"),
      },
      modifiedUs: modifiedUs(data),
      customer: { ...identity, deletedUs: identity.deletedUs ?? deletedUs },
      member: null,
    };
  },
};
