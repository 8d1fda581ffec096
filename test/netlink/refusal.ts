/** How the fake kernel refuses a request: an errno, and its words if it has any. */
export class Refusal extends Error {
  readonly errno: number;
  readonly says: string | undefined;

  constructor(errno: number, says?: string) {
    super(`errno ${errno}: ${says}`);
    this.errno = errno;
    this.says = says;
  }
}
