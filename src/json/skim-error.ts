/** The text is not JSON, or too much. */
export class SkimError extends Error {
  override readonly name = 'SkimError';
}
