// What node runs: the program beside this file, with the code that was made of it before. To compile it took some milliseconds each
// time, a function when it was first called. V8 refuses what another version of it made.
'use strict';
const { readFileSync } = require('node:fs');
const { Script } = require('node:vm');

const program = __filename.replace(/\.cjs$/, '.js');
const source = readFileSync(program);

/** Behind a copy of what it was made of. Undefined when that is another program, or there is nothing. */
function keptCode() {
  try {
    const kept = readFileSync(`${program}.code`);
    return source.equals(kept.subarray(0, source.length)) ? kept.subarray(source.length) : undefined;
  } catch {
    return undefined;
  }
}

// A bundle is ASCII.
const text = `(function (exports, require, module, __filename, __dirname) {${source.latin1Slice()}\n})`;
const run = new Script(text, { filename: program, cachedData: keptCode() }).runInThisContext();
run(exports, require, module, program, __dirname);
