// Joins the pages' modules into few files and makes them small: `node pages.mjs INTO ENTRY...`, ENTRY as a path in static/.
//
// What livetask-log.js needs to show a log is one file, the core. Each other entry, and each part that the core imports
// when it is first wanted (`import('./...')`), is one file too. A module is never in two files, so it exists once: what the
// core has is taken from the core, and what two others need from SECOND, the part that comes right behind it. gzip makes a
// few large files much smaller than many small ones. These two hand out what others need under names of a letter or two, by
// which it is called in every file; their own public names stay. PAGES holds what stands behind each page: in its file that is a function for each page, since
// modules of which each may run or not, and in any order, cannot be joined into one scope.

import { build } from 'esbuild';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, posix, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const STATIC = join(dirname(fileURLToPath(import.meta.url)), 'static');
const CORE = 'livetask-log.js';
const PLAIN = 'theme.js';
const SECOND = 'log/extras.js';
const PAGES = 'dash/pages.js';
const IMPORTS = /^import\s*\{([^}]*)\}\s*from\s*'(\.[^']+)'/gm;

// it makes them smaller by another 3 %, where it is there: it comes with the development set, and so with what makes the wheel
const terser = await import('terser').catch(() => null);

const [into, ...entries] = process.argv.slice(2);
const options = /** @type {const} */ ({
  absWorkingDir: STATIC, outbase: STATIC, outdir: resolve(into), bundle: true, minifySyntax: true, minifyWhitespace: true, minifyIdentifiers: !terser, format: 'esm', target: 'es2022', logLevel: 'error', metafile: true,
});

/** The modules of STATIC that a build joined. @param {import('esbuild').BuildResult<{ metafile: true }>} built */
const modulesOf = ({ metafile }) => Object.keys(metafile.inputs).map((name) => name.replace(/^page:/, '')).filter((name) => !name.includes(':'));

/** Of PAGES' modules, what stands below their imports becomes a function, which is called in place of importing the module. */
const asFunctions = {
  name: 'as-functions',
  setup(/** @type {import('esbuild').PluginBuild} */ build) {
    build.onLoad({ filter: new RegExp(`/${PAGES}$`) }, ({ path }) => {
      /** @type {string[]} */
      const names = [];
      const text = readFileSync(path, 'utf8').replace(/\(\) => import\('\.\/([^']+)'\),$/gm, (_, name) => `page${names.push(name) - 1},`);
      return { contents: names.map((name, index) => `import page${index} from 'page:${name}';`).join('') + text, resolveDir: dirname(path) };
    });
    build.onResolve({ filter: /^page:/ }, ({ path, resolveDir }) => ({ path: relative(STATIC, join(resolveDir, path.slice('page:'.length))), namespace: 'page' }));
    build.onLoad({ filter: /./, namespace: 'page' }, ({ path }) => {
      const file = join(STATIC, path);
      const text = readFileSync(file, 'utf8');
      const last = [...text.matchAll(/^import .*$/gm)].at(-1);
      const below = last ? last.index + last[0].length : 0;
      return { contents: `${text.slice(0, below)}export default async () => {${text.slice(below)}};`, resolveDir: dirname(file) };
    });
  },
};

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
 * What another file has is taken from that.
 * @param {string} entry
 * @param {Map<string, string>} homes the file that has a module
 * @param {Map<string, string> | null} short names; null: they are not known yet
 */
const takeFromOthers = (entry, homes, short) => ({
  name: 'take-from-others',
  setup(/** @type {import('esbuild').PluginBuild} */ build) {
    const outside = (/** @type {string} */ name) => ({ path: posix.relative(posix.dirname(`/${entry}`), `/${name}`).replace(/^(?!\.)/, './'), external: true });
    build.onResolve({ filter: /^(\.|file:)/ }, ({ kind, path, resolveDir, namespace }) => {
      if (namespace === 'taken') return outside(path.slice('file:'.length));
      const name = relative(STATIC, join(resolveDir, path));
      const home = homes.get(name);
      if (kind === 'dynamic-import') return late.has(name) || home ? outside(late.has(name) ? name : home) : null;
      if (home === undefined || home === entry) return null;
      return short === null ? outside(home) : { path: name, namespace: 'taken' };
    });
    build.onLoad({ filter: /./, namespace: 'taken' }, ({ path }) => {
      const taken = [...short ?? []].filter(([key]) => key.startsWith(`${path} `)).map(([key, name]) => `${name} as ${key.split(' ')[1]}`);
      return { contents: `export { ${taken.join(', ')} } from 'file:${homes.get(path)}';` };
    });
  },
});

/** @type {Set<string>} */
const late = new Set();
/** @type {Map<string, string>} by module, the file that has it */
const homes = new Map();
for (const module of modulesOf(await build({ ...options, entryPoints: [CORE], write: false, plugins: [leaveOut(late)] }))) homes.set(module, CORE);
const others = [...new Set([...entries, ...late])].filter((name) => name !== CORE);

/** The modules of an entry that are in no other file. @param {string} entry */
const ownOf = async (entry) => modulesOf(await build({ ...options, entryPoints: [entry], write: false, plugins: [asFunctions, takeFromOthers(entry, homes, null)] }));
for (const module of await ownOf(SECOND)) homes.set(module, SECOND);
const own = [...homes.keys()];
for (const entry of others) if (entry !== SECOND) own.push(...await ownOf(entry));
for (const module of own) if (!homes.has(module) && own.indexOf(module) !== own.lastIndexOf(module)) homes.set(module, SECOND);

/** @type {Map<string, string>} what files need of others, as 'module name', and what it is called between them */
const needed = new Map();
/** @type {Map<string, number>} how many modules take each */
const uses = new Map();
for (const module of new Set(own)) {
  for (const [, names = '', path = ''] of readFileSync(join(STATIC, module), 'utf8').matchAll(IMPORTS)) {
    const from = relative(STATIC, join(STATIC, dirname(module), path));
    const home = homes.get(from);
    if (!home || home === homes.get(module)) continue;
    for (const name of names.split(',')) {
      const key = `${from} ${name.trim().split(' ')[0]}`;
      if (name.trim()) uses.set(key, (uses.get(key) ?? 0) + 1);
    }
  }
}
/** Letters that terser gives to nothing else before it has used up the small ones. */
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
[...uses.keys()].sort((a, b) => (uses.get(b) ?? 0) - (uses.get(a) ?? 0)).forEach((key, index) => needed.set(key, `${'$'.repeat(index / LETTERS.length)}${LETTERS[index % LETTERS.length]}`));

for (const entry of [CORE, ...others]) {
  const handed = [...needed].map(([key, name]) => [...key.split(' '), name]).filter(([module]) => homes.get(module) === entry && (entry === CORE || entry === SECOND));
  const contents = [`export * from './${entry}';`, ...handed.map(([module, key, name]) => `export { ${key} as ${name} } from './${module}';`)].join('');
  const plugins = entry === CORE ? [leaveOut(late)] : [asFunctions, takeFromOthers(entry, homes, needed)];
  await build({ ...options, outdir: undefined, outfile: join(resolve(into), entry), stdin: { contents, resolveDir: STATIC, sourcefile: 'entry.js' }, plugins });
}
// a classic script, by itself
await build({ ...options, bundle: false, format: undefined, entryPoints: [PLAIN] });

/** One import of each file in place of several. @param {string} code */
const merged = (code) => {
  /** @type {Map<string, string[]>} */
  const taken = new Map();
  const rest = code.replace(/import\{([^}]*)\}from("[^"]*");/g, (_, names, from) => {
    if (names) taken.set(from, [...taken.get(from) ?? [], names]);
    return '';
  });
  return [...taken].map(([from, names]) => `import{${names}}from${from};`).join('') + rest;
};

// reading a property does nothing else here, what `new` is called with is a class, and String, Array and the like are the
// browser's own; no number is a BigInt; gzip likes calls and properties better than what is put in their place
const compress = { passes: 3, pure_getters: true, unsafe_arrows: true, unsafe: true, inline: 1, lhs_constants: false, unsafe_math: true, hoist_props: false };
for (const name of terser ? [CORE, ...others, PLAIN] : []) {
  const file = join(resolve(into), name);
  const text = readFileSync(file, 'utf8');
  // what a file hands out has that name within it too
  const props = Object.fromEntries([...text.slice(text.lastIndexOf('export')).matchAll(/([\w$]+) as ([\w$]+)/g)].map(([, own, short]) => [`$${own}`, short]));
  const mangle = { reserved: [...needed.values()] };
  const { code } = await terser.minify(text, { module: name !== PLAIN, ecma: 2022, compress, mangle, nameCache: { vars: { props } } });
  writeFileSync(file, merged(code));
}
