import { copyFileSync, existsSync } from 'node:fs';
import { filesBelow, step } from './step.mjs';

/** The programs: each a single CommonJS file. A file that is missing here is an error, not an omission. */
const programs = [
  { entry: 'src/cni/main.ts', output: 'flannel.js' },
  { entry: 'src/daemon/main.ts', output: 'flanneld.js' },
  { entry: 'src/tool/main.ts', output: 'cni-tool.js' },
];

/** Beside each program: what starts it. */
const starter = 'scripts/building/start.cjs';

/** A bundle is CommonJS, where `import.meta` is empty: these stand in for it. */
const options = {
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node24',
  // Names stay, and lines stay short: node prints the line and the names of whatever goes wrong.
  minifySyntax: true,
  minifyWhitespace: true,
  lineLimit: 160,
  legalComments: 'none',
  define: {
    'import.meta.dirname': '__dirname',
    'import.meta.filename': '__filename',
    'import.meta.url': 'bundleUrl',
  },
  banner: { js: "const bundleUrl=require('node:url').pathToFileURL(__filename).href;" },
  logLevel: 'warning',
};

export const bundlesIn = (directory) => programs.map(({ output }) => `${directory}/${output}`);

const starterOf = (output) => output.replace(/\.js$/, '.cjs');

/** Bundles the programs into `directory`. Answers a sentence for each one whose source is missing. */
export async function bundleAll(directory) {
  const present = programs.filter(({ entry }) => existsSync(entry));
  await step({
    title: `bundles ${present.map(({ output }) => output).join(', ')} in ${directory}`,
    inputs: [...filesBelow(['src', 'native'], '.ts'), starter, 'package-lock.json', 'tsconfig.json'],
    recipe: JSON.stringify({ programs, options, directory }),
    outputs: present.flatMap(({ output }) =>
      [output, starterOf(output)].map((file) => `${directory}/${file}`),
    ),
    make: async () => {
      const { build } = await import('esbuild');
      const bundles = present.map(({ entry, output }) =>
        build({ ...options, entryPoints: [entry], outfile: `${directory}/${output}` }),
      );
      await Promise.all(bundles);
      for (const { output } of present) copyFileSync(starter, `${directory}/${starterOf(output)}`);
    },
  });
  return programs
    .filter((program) => !present.includes(program))
    .map(({ entry, output }) => `${directory}/${output}: its source ${entry} does not exist`);
}
