// Plays lines with the Worker's player: one JSON document on stdin, the events as JSON on stdout. Run in its project.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const { Lifecycle } = await import(pathToFileURL(join(process.cwd(), "scripts/simulation/lifecycle.ts")).href);
const { lives, ...beginning } = JSON.parse(readFileSync(0, "utf8"));
const told = lives.map((lines) => {
  let ids = 0;
  const life = new Lifecycle({ ...beginning, newId: () => `id-${++ids}` });
  return lines.flatMap((line) => [...life.play(line)]);
});
console.log(JSON.stringify(told));
