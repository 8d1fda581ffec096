import * as v from 'valibot';
import { BackendError } from './error.ts';

/** `Backend.<key>`, a whole number in that range or one for which `isMore` holds; `hint` says which those are. */
export function integer(
  key: string,
  min: number,
  max: number,
  hint = '',
  isMore: (value: number) => boolean = () => false,
) {
  const must = `Backend.${key} must be a whole number from ${min} to ${max}${hint}, and is `;
  return v.pipe(
    v.number(({ received }) => `${must}${received}`),
    v.check(
      (value) => (Number.isInteger(value) && value >= min && value <= max) || isMore(value),
      ({ input }) => `${must}${input}`,
    ),
  );
}

export const flag = (key: string) =>
  v.boolean(({ received }) => `Backend.${key} must be true or false, and is ${received}`);

export const text = (key: string) =>
  v.string(({ received }) => `Backend.${key} must be a string, and is ${received}`);

/** Keys that `schema` does not name are passed over, as Go does. Throws a {@link BackendError} with every finding. */
export function readOptions<const Schema extends v.GenericSchema>(
  schema: Schema,
  raw: Readonly<Record<string, unknown>>,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, raw);
  if (result.success) return result.output;
  throw new BackendError(`net-conf.json: ${result.issues.map(({ message }) => message).join('; ')}`);
}
