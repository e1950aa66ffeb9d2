/** Ends the process where Node is too old to read TypeScript. Plain JavaScript, since such a Node reads nothing else. */
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(`This project needs Node 22.18 or newer; this is Node ${process.versions.node}.`);
  process.exit(2);
}
