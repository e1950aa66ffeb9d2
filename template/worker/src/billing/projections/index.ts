/** All projections by name. Each keeps the newest snapshot of its object, whatever order events arrive in. */
import type { ProjectionName } from "../events";
import { benefitGrant } from "./benefit-grant";
import { checkout } from "./checkout";
import { customer } from "./customer";
import { customerState } from "./customer-state";
import { member } from "./member";
import { order } from "./order";
import type { Projection } from "./projection";
import { subscription } from "./subscription";

export const PROJECTIONS: Readonly<Record<ProjectionName, Projection>> = {
  benefit_grant: benefitGrant,
  checkout,
  customer,
  customer_state: customerState,
  member,
  order,
  subscription,
};
