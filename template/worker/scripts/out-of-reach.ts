/** Processes that Ctrl-C does not reach: a terminal sends it to all of a group, and the store has to outlive us. */
import childProcess, { type SpawnOptions } from "node:child_process";

const { spawn } = childProcess;

/** Does some work; what it starts has a process group of its own. */
export async function outOfReach<Result>(work: () => Promise<Result>): Promise<Result> {
  const detached = (command: string, args: readonly string[], options: SpawnOptions) =>
    spawn(command, args, { ...options, detached: true });
  Object.assign(childProcess, { spawn: detached });
  try {
    return await work();
  } finally {
    Object.assign(childProcess, { spawn });
  }
}
