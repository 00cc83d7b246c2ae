import Module from 'node:module';

type Load = (request: string, importer: { filename?: string } | undefined, isMain: boolean) => unknown;

/**
 * Node and Deno call this for every `require`. It is not documented, but libraries that trace modules replace
 * it, too.
 */
const loader = Module as unknown as { _load: Load; _cache: Record<string, { exports: unknown }> };

/**
 * Replaces a CommonJS module, for `require` and `import`, in this thread, wherever it is loaded from now on.
 *
 * @param request Matches the request: a package's name, or a path.
 * @param load Makes the replacement. It is given the request, and the file that asks, if there is one.
 */
export function replaceModule(
  request: RegExp,
  load: (asked: string, importer: string | undefined) => unknown,
): void {
  const { _load: next } = loader;
  loader._load = (asked, importer, isMain) => {
    if (!request.test(asked)) return next.call(Module, asked, importer, isMain);
    const exports = load(asked, importer?.filename);
    // `import` has already made the module. Node before 24 reads its exports there.
    const imported = loader._cache[asked];
    if (imported) imported.exports = exports;
    return exports;
  };
}
