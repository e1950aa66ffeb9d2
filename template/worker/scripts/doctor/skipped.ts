/** A check that could not be made. */

/** The check cannot be made; the message says why. */
export class Skipped extends Error {}
