/** The Backend object of net-conf.json cannot be used here; the message says which key, why, and what would do. */
export class BackendError extends Error {
  override readonly name = 'BackendError';
}
