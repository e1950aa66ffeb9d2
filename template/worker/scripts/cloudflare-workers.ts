/** Stands in for `cloudflare:workers` where Node loads `src`: the bindings, and the classes to extend. */
import type { Bindings } from "../src/settings.ts";

/** Filled when a command opens the project. */
export const env: Partial<Bindings> = {};

export function waitUntil(work: Promise<unknown>): void {
  void work;
}

export class WorkerEntrypoint {}
export class DurableObject {}
export class WorkflowEntrypoint {}
export class RpcTarget {}
