// Asks Polar 170 times through the Worker's client for commands, by a made-up clock: when each call was made, as JSON.
// Run in its project.
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { mock } from "node:test";
import { setImmediate } from "node:timers/promises";
import { pathToFileURL } from "node:url";

mock.timers.enable({ apis: ["setTimeout", "Date"], now: 0 });
syncBuiltinESMExports();
const made = [];
globalThis.fetch = async () => {
  made.push(Date.now() / 1000);
  return Response.json({});
};
const { OperatorPolar } = await import(pathToFileURL(join(process.cwd(), "scripts/polar.ts")).href);
const polar = new OperatorPolar({ accessToken: "polar_oat_x", environment: "sandbox" });
for (let call = 0; call < 170; call++) {
  let done = false;
  polar.customer("c").finally(() => {
    done = true;
  });
  await setImmediate();
  for (; !done; await setImmediate()) mock.timers.tick(1000);
}
console.log(JSON.stringify(made));
