import { fileURLToPath } from 'node:url';
import { packageFile } from '../../link/machine/package-files.js';
import { FarlightError } from '../../proto/errors.js';
import type { Candidate } from '../select/select.js';
import { addEntry, asError, catalogueEntries, catalogueFolders, readNamed } from '../store/catalogue.js';
import { parseTemplate, type Template } from './template-file.js';

/** A version of a template in the catalogue. */
export interface StoredTemplate extends Candidate {
  readonly template: Template;
  /** Why it is not to be used any more, by the word of its own or a later version. */
  readonly deprecated: string | undefined;
}

const CATALOGUE = 'templates';
const BUILT_IN = fileURLToPath(packageFile('jobs/templates/shipped'));
/** How many digits of its hash a template's file has in its name. */
const DIGITS = 16;

/**
 * Every version of every template, the newest of each name last.
 *
 * @throws FarlightError BAD_OPTION where one is broken or was changed, or where two have one name and version.
 */
export function storedTemplates(): StoredTemplate[] {
  const found = new Map<string, { template: Template; path: string; isBuiltIn: boolean }>();
  for (const { path, text, isBuiltIn } of catalogueEntries(catalogueFolders(CATALOGUE, BUILT_IN))) {
    const { template, problems } = parseTemplate(path, text);
    if (!template) throw asError(problems);
    const title = titleOf(template);
    if (!isBuiltIn && !path.endsWith(`/${fileNameOf(template)}`)) {
      const why = `${path} is not what was added as ${title}; a version never changes, so give the change a new version and add that`;
      throw new FarlightError('BAD_OPTION', why);
    }
    const other = found.get(title);
    if (other && other.template.sha256 !== template.sha256)
      throw new FarlightError('BAD_OPTION', `${title} is there twice: ${other.path} and ${path}; delete one`);
    found.set(title, { template, path, isBuiltIn });
  }
  const files = [...found.values()].map(({ template }) => template.file);
  return [...found]
    .map(([name, { template, isBuiltIn }]) => {
      const { file } = template;
      const later = files.filter((other) => other.name === file.name && other.version >= file.version);
      const deprecates = later.flatMap((other) => other.deprecates ?? []);
      const deprecated = deprecates.find(({ versions }) => versions.includes(file.version))?.why;
      return { name, scope: file.for ?? {}, template, isBuiltIn, deprecated };
    })
    .sort(
      (a, b) =>
        order(a.template.file.name, b.template.file.name) ||
        a.template.file.version - b.template.file.version,
    );
}

/** The newest version of each template, which stands for it where a request names none. */
export function newestTemplates(templates: readonly StoredTemplate[] = storedTemplates()): StoredTemplate[] {
  return templates.filter(
    ({ template: { file } }, at) => templates[at + 1]?.template.file.name !== file.name,
  );
}

/** Finds `NAME`, the newest, or `NAME@VERSION`. @throws FarlightError BAD_OPTION */
export function findTemplate(
  text: string,
  templates: readonly StoredTemplate[] = storedTemplates(),
): StoredTemplate {
  const found = text.includes('@')
    ? templates.find(({ name }) => name === text)
    : newestTemplates(templates).find(({ template }) => template.file.name === text);
  if (found) return found;
  const versions = templates.filter(({ template }) => template.file.name === text.split('@')[0]);
  const names = versions.length > 0 ? versions : newestTemplates(templates);
  const known = names.map(({ name }) => name).join(', ');
  throw new FarlightError('BAD_OPTION', `there is no template ${text}; name one of: ${known}`);
}

/** Reads a template that a person names by its file. @throws FarlightError BAD_OPTION, by line and column. */
export function readTemplate(path: string): Template {
  const { template, problems } = parseTemplate(path, readNamed(path));
  if (!template) throw asError(problems);
  return template;
}

/** Adds a template to this user's. @throws FarlightError BAD_OPTION where its version is there with another text. */
export function addTemplate(template: Template): { title: string; isNew: boolean } {
  const title = titleOf(template);
  const known = storedTemplates().filter((stored) => stored.template.file.name === template.file.name);
  if (known.some(({ isBuiltIn }) => isBuiltIn)) {
    const why = `${template.file.name} comes with Farlight; give your template another name`;
    throw new FarlightError('BAD_OPTION', why);
  }
  const same = known.find(({ name }) => name === title);
  if (same && same.template.sha256 !== template.sha256) {
    const next = Math.max(...known.map((stored) => stored.template.file.version)) + 1;
    const why = `${title} is there with another text, and a version never changes; give it version ${next}`;
    throw new FarlightError('BAD_OPTION', why);
  }
  return { title, isNew: !same && addEntry(CATALOGUE, fileNameOf(template), template.text) };
}

export function titleOf({ file }: Template): string {
  return `${file.name}@${file.version}`;
}

/** The name of its file has its hash, so that a change of the file is noticed. */
function fileNameOf(template: Template): string {
  return `${titleOf(template)}.${template.sha256.slice(0, DIGITS)}.yaml`;
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
