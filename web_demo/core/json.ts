/** Types of parsed JSON. */

/** Return whether a value is a JSON object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Return whether a value is a whole number. */
export function isWhole(value: unknown): value is number {
  return Number.isInteger(value);
}
