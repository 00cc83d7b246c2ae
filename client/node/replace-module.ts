import Module from 'node:module';

type Load = (request: string, importer: { filename?: string } | undefined, isMain: boolean) => unknown;

/** What Node calls for every `require`, and Deno too. It is not documented; libraries that trace modules replace it. */
const loader = Module as unknown as { _load: Load; _cache: Record<string, { exports: unknown }> };

/**
 * Has a CommonJS module be something else, for `require` and for `import` of it: in this thread, and where it is loaded
 * from now on.
 *
 * @param request matches what is asked for: a package's name, or a path.
 * @param load makes what is given instead, for what is asked and the file that asks, if one does.
 */
export function replaceModule(
  request: RegExp,
  load: (asked: string, importer: string | undefined) => unknown,
): void {
  const { _load: next } = loader;
  loader._load = (asked, importer, isMain) => {
    if (!request.test(asked)) return next.call(Module, asked, importer, isMain);
    const exports = load(asked, importer?.filename);
    // `import` has made the module already, and before Node 24 looks there for what it exports.
    const imported = loader._cache[asked];
    if (imported) imported.exports = exports;
    return exports;
  };
}
