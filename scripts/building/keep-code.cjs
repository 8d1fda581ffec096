// Preloaded when a program of ours is tried: keeps the code that V8 has made of it until it ends, for start.cjs.
'use strict';
const { readFileSync, writeFileSync } = require('node:fs');
const vm = require('node:vm');

vm.Script = class extends vm.Script {
  constructor(text, options) {
    super(text, options);
    const { filename } = options;
    process.on('exit', () =>
      writeFileSync(`${filename}.code`, Buffer.concat([readFileSync(filename), this.createCachedData()])),
    );
  }
};
