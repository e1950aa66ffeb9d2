/** `npm run billing -- COMMAND`. */
import "./node-version.mjs";
