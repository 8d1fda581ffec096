import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** All files below the folders whose names end in `ending`, sorted. */
export function filesBelow(folders, ending) {
  const files = folders.flatMap((folder) => {
    return readdirSync(folder, { recursive: true }).map((name) => path.join(folder, name));
  });
  // oxlint-disable-next-line unicorn/no-array-sort -- Node 18 has no toSorted
  return files.filter((name) => name.endsWith(ending)).sort((a, b) => (a < b ? -1 : 1));
}

/** What a step's outcome depends on: the content of its input files and the text of its recipe. */
function fingerprint(inputs, recipe) {
  const hash = createHash('sha256').update(recipe);
  for (const input of inputs) hash.update(`\0${input}\0`).update(readFileSync(input));
  return hash.digest('hex');
}

/**
 * Runs one step of the build unless its outputs are there and were made from the very same inputs. Prints
 * a line with its time either way. `recipe` is any text that must lead to a new run when it changes.
 */
export async function step({ title, inputs, recipe, outputs, make }) {
  const begin = performance.now();
  const stamp = path.join('build/.stamps', title.replaceAll(/[^a-z0-9]+/gi, '-'));
  const wanted = fingerprint(inputs, recipe);
  const fresh = outputs.every((output) => existsSync(output)) && existsSync(stamp);
  const unchanged = fresh && readFileSync(stamp, 'utf8') === wanted;
  if (!unchanged) {
    for (const output of outputs) mkdirSync(path.dirname(output), { recursive: true });
    await make();
    mkdirSync(path.dirname(stamp), { recursive: true });
    writeFileSync(stamp, wanted);
  }
  const took = `${(performance.now() - begin).toFixed(0)} ms`;
  console.log(`  ${took.padStart(8)}  ${title}${unchanged ? ' (unchanged)' : ''}`);
}
