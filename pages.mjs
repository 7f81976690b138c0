// Joins the pages' modules into few files and makes them small: `node pages.mjs INTO ENTRY...`, ENTRY as a path in static/.
//
// What livetask-log.js needs to show a log is one file, the core. Each other entry, and each part that the core imports
// when it is first wanted (`import('./...')`), is one file too, that takes what the core has from the core: a module is
// never in two files, so it exists once. gzip makes a few large files much smaller than many small ones. The core hands
// out what the others need under names of a letter or two; its own public names stay.

import { build } from 'esbuild';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, posix, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const STATIC = join(dirname(fileURLToPath(import.meta.url)), 'static');
const CORE = 'livetask-log.js';
const IMPORTS = /^import\s*\{([^}]*)\}\s*from\s*'(\.[^']+)'/gm;

const [into, ...entries] = process.argv.slice(2);
const options = /** @type {const} */ ({
  absWorkingDir: STATIC, outbase: STATIC, outdir: resolve(into), bundle: true, minify: true, format: 'esm', target: 'es2022', logLevel: 'error', metafile: true,
});

/** The modules of STATIC that a build joined. @param {import('esbuild').BuildResult<{ metafile: true }>} built */
const modulesOf = ({ metafile }) => Object.keys(metafile.inputs).filter((name) => !name.includes(':'));

/** What is imported only when it is wanted is left out, and noted in `late`. @param {Set<string>} late */
const leaveOut = (late) => ({
  name: 'leave-out',
  setup(/** @type {import('esbuild').PluginBuild} */ build) {
    build.onResolve({ filter: /^\./ }, ({ kind, path, resolveDir }) => {
      if (kind !== 'dynamic-import') return null;
      const name = relative(STATIC, join(resolveDir, path));
      late.add(name);
      return { path: `./${name}`, external: true };
    });
  },
});

/**
 * What the core has is taken from it.
 * @param {string} entry @param {Map<string, string> | null} short names; null: they are not known yet
 */
const takeFromCore = (entry, short) => ({
  name: 'take-from-core',
  setup(/** @type {import('esbuild').PluginBuild} */ build) {
    const outside = { path: posix.relative(posix.dirname(`/${entry}`), `/${CORE}`), external: true };
    build.onResolve({ filter: /^(\.|core$)/ }, ({ kind, path, resolveDir, namespace }) => {
      if (namespace === 'core') return outside;
      const name = relative(STATIC, join(resolveDir, path));
      if (kind === 'dynamic-import' && late.has(name)) return { path: posix.relative(posix.dirname(`/${entry}`), `/${name}`), external: true };
      if (!core.has(name)) return null;
      return short === null || kind === 'dynamic-import' ? outside : { path: name, namespace: 'core' };
    });
    build.onLoad({ filter: /./, namespace: 'core' }, ({ path }) => {
      const taken = [...short ?? []].filter(([key]) => key.startsWith(`${path} `)).map(([key, name]) => `${name} as ${key.split(' ')[1]}`);
      return { contents: `export { ${taken.join(', ')} } from 'core';` };
    });
  },
});

const late = new Set();
const core = new Set(modulesOf(await build({ ...options, entryPoints: [CORE], write: false, plugins: [leaveOut(late)] })));
const others = [...new Set([...entries, ...late])].filter((name) => name !== CORE);

/** @type {Map<string, Set<string>>} the modules of each of the others that the core does not have */
const own = new Map();
for (const entry of others) own.set(entry, new Set(modulesOf(await build({ ...options, entryPoints: [entry], write: false, plugins: [takeFromCore(entry, null)] }))));
// what two of them need goes into the core as well
for (const entry of others) {
  for (const module of own.get(entry)) if (others.some((other) => other !== entry && own.get(other).has(module))) core.add(module);
}

/** @type {Map<string, string>} what the others need of the core, as 'module name', and what it is called between them */
const needed = new Map();
for (const module of new Set([...own.values()].flatMap((modules) => [...modules]))) {
  if (core.has(module)) continue;
  for (const [, names = '', path = ''] of readFileSync(join(STATIC, module), 'utf8').matchAll(IMPORTS)) {
    const from = relative(STATIC, join(STATIC, dirname(module), path));
    if (core.has(from)) for (const name of names.split(',')) if (name.trim()) needed.set(`${from} ${name.trim().split(' ')[0]}`, '');
  }
}
[...needed.keys()].sort().forEach((key, index) => needed.set(key, `$${index.toString(36)}`));

const handed = [...needed].map(([key, name]) => `export { ${key.split(' ')[1]} as ${name} } from './${key.split(' ')[0]}';`);
const contents = `export * from './${CORE}';${handed.join('')}`;
await build({ ...options, outdir: undefined, outfile: join(resolve(into), CORE), stdin: { contents, resolveDir: STATIC, sourcefile: 'core.js' }, plugins: [leaveOut(late)] });
for (const name of others) await build({ ...options, entryPoints: [name], plugins: [takeFromCore(name, needed)] });

// smaller by another 2 %, where it is there: it comes with the development set, and so with what makes the wheel
const terser = await import('terser').catch(() => null);
for (const name of terser ? [CORE, ...others] : []) {
  const file = join(resolve(into), name);
  const { code } = await terser.minify(readFileSync(file, 'utf8'), { module: true, ecma: 2022, compress: { passes: 2 } });
  writeFileSync(file, code);
}
