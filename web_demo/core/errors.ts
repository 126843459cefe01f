/** Errors that a user can correct; any other error is a bug. The message says what was given, expected, and to do. */

/** A model file is empty or damaged, has no spec, or does not match it. */
export class ModelFileError extends Error {}

/** A template is invalid, or the model cannot find it. */
export class TemplateError extends Error {}

/** Throw a RangeError with this message unless the condition holds. */
export function ensure(condition: boolean, message: string): asserts condition {
  if (!condition) throw new RangeError(message);
}
