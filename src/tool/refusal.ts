/** What a person asked for can't be done. Printed as it is, without a stack; exit status 2. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}
