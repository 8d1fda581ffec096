import { HttpError } from '../../http/error.ts';

/**
 * The lines of a text that comes in pieces, without empty ones. Throws an {@link HttpError} for one that is longer than `longest`
 * bytes.
 */
export async function* lines(
  chunks: AsyncIterable<Buffer>,
  longest: number,
): AsyncGenerator<string, void, undefined> {
  let parts: Buffer[] = [];
  let length = 0;
  const take = (): string => {
    const line = Buffer.concat(parts).toString('utf8').trim();
    parts = [];
    length = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, from)) {
      parts.push(chunk.subarray(from, end));
      const line = take();
      if (line !== '') yield line;
      from = end + 1;
    }
    parts.push(chunk.subarray(from));
    length += chunk.length - from;
    if (length > longest)
      throw new HttpError(
        `a line of the answer is longer than ${longest} bytes`,
        'EMSGSIZE',
        undefined,
        true,
      );
  }
  const last = take();
  if (last !== '') yield last;
}
