import { fileURLToPath } from 'node:url';
import { checkText, type Problem, schemaIn } from '../../link/files/checked-file.js';
import { FarlightError } from '../../proto/errors.js';
import type { Scope } from '../select/scope.js';
import type { Candidate } from '../select/select.js';
import { addEntry, asError, catalogueEntries, catalogueFolders, readNamed } from '../store/catalogue.js';

/** A base image, as it is written. */
export interface ImageFile {
  readonly name: string;
  readonly about?: string;
  readonly for?: Scope;
  readonly image: string;
  readonly bundle?: string;
  readonly command?: readonly string[];
  readonly deprecated?: string;
}

export interface StoredImage extends Candidate {
  readonly file: ImageFile;
}

const CATALOGUE = 'images';
const BUILT_IN = fileURLToPath(new URL('./shipped', import.meta.url));

const schema = schemaIn<ImageFile>(new URL('./image.schema.json', import.meta.url));

/** The catalogue of base images. @throws FarlightError BAD_OPTION where one is broken, or two have one name. */
export function storedImages(): StoredImage[] {
  const found = new Map<string, StoredImage>();
  for (const { path, text, isBuiltIn } of catalogueEntries(catalogueFolders(CATALOGUE, BUILT_IN))) {
    const { file, problems } = parseImage(path, text);
    if (!file) throw asError(problems);
    if (found.has(file.name))
      throw new FarlightError(
        'BAD_OPTION',
        `${path} has the name ${file.name}, which another image has; delete one`,
      );
    found.set(file.name, { name: file.name, scope: file.for ?? {}, isBuiltIn, file });
  }
  return [...found.values()];
}

/** Finds an image by its name. @throws FarlightError BAD_OPTION */
export function findImage(name: string, images: readonly StoredImage[] = storedImages()): StoredImage {
  const found = images.find((image) => image.name === name);
  if (found) return found;
  const known = images.map((image) => image.name).join(', ') || 'none yet (farlight image add FILE)';
  throw new FarlightError('BAD_OPTION', `there is no image ${name}; there are: ${known}`);
}

/** Adds the image of a file to this user's. @throws FarlightError BAD_OPTION, by line and column. */
export function addImage(path: string): { name: string; isNew: boolean } {
  const text = readNamed(path);
  const { file, problems } = parseImage(path, text);
  if (!file) throw asError(problems);
  const { name } = file;
  const other = storedImages().find((stored) => stored.name === name);
  const isSame = other && JSON.stringify(other.file) === JSON.stringify(file);
  if (other && !isSame)
    throw new FarlightError('BAD_OPTION', `there is another image ${name}; give this one another name`);
  return { name, isNew: !other && addEntry(CATALOGUE, `${name}.yaml`, text) };
}

/** Checks the text of an image's file, and reports every problem; `path` is what they call it. */
export function parseImage(path: string, text: string): { file?: ImageFile; problems: Problem[] } {
  const { checked, problems } = checkText(path, text, schema);
  if (!checked) return { problems };
  const { image, bundle } = checked.value;
  if (bundle !== undefined && !bundle.endsWith(image.slice(-64))) {
    const why = "The bundle's folder has another digest as its name than the image.";
    return { problems: [checked.problem(['bundle'], why)] };
  }
  return { file: checked.value, problems: [] };
}
