/** `npm run dev`: says so where Node is too old to read TypeScript, and starts the development server. */
import "./node-version.mjs";

await import("./dev.ts");
