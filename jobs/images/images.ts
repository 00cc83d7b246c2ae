import { fileURLToPath } from 'node:url';
import { checkText, type Problem } from '../../link/files/checked-file.js';
import { packageFile, packageSchema } from '../../link/machine/package-files.js';
import { FarlightError } from '../../proto/errors.js';
import type { Scope } from '../select/scope.js';
import type { Candidate } from '../select/select.js';
import { addEntry, asError, catalogueEntries, catalogueFolders, readNamed } from '../store/catalogue.js';

interface About {
  readonly name: string;
  readonly about?: string;
  readonly for?: Scope;
  readonly command?: readonly string[];
  readonly deprecated?: string;
}

/** A base image, as it is written. */
export interface ImageFile extends About {
  readonly image: string;
  readonly bundle?: string;
}

/** How a base image is built that no registry has: the text of its Containerfile. */
export interface ImageRecipe extends About {
  readonly recipe: string;
}

export interface StoredImage extends Candidate {
  readonly file: ImageFile;
}

const CATALOGUE = 'images';
const BUILT_IN = fileURLToPath(packageFile('jobs/images/shipped'));

const schema = packageSchema<About & Partial<ImageFile & ImageRecipe>>('jobs/images/image');

/** The catalogue of base images. @throws FarlightError BAD_OPTION where one is broken, or two have one name. */
export function storedImages(): StoredImage[] {
  const found = new Map<string, StoredImage>();
  for (const { path, isBuiltIn, file } of parsedEntries()) {
    if (!file) continue;
    if (found.has(file.name))
      throw new FarlightError(
        'BAD_OPTION',
        `${path} has the name ${file.name}, which another image has; delete one`,
      );
    found.set(file.name, { name: file.name, scope: file.for ?? {}, isBuiltIn, file });
  }
  return [...found.values()];
}

/** The recipes of images that come with Farlight, or are the site's. @throws FarlightError BAD_OPTION where one is broken. */
export function storedRecipes(): ImageRecipe[] {
  return parsedEntries().flatMap(({ recipe }) => recipe ?? []);
}

function parsedEntries() {
  return catalogueEntries(catalogueFolders(CATALOGUE, BUILT_IN)).map(({ path, text, isBuiltIn }) => {
    const { problems, ...parsed } = parseImage(path, text);
    if (problems.length > 0) throw asError(problems);
    return { path, isBuiltIn, ...parsed };
  });
}

/** Finds an image by its name. @throws FarlightError BAD_OPTION */
export function findImage(name: string, images: readonly StoredImage[] = storedImages()): StoredImage {
  const found = images.find((image) => image.name === name);
  if (found) return found;
  const known = images.map((image) => image.name).join(', ') || 'none yet (farlight image build node)';
  throw new FarlightError('BAD_OPTION', `there is no image ${name}; there are: ${known}`);
}

/** Adds the image of a file to this user's. @throws FarlightError BAD_OPTION, by line and column. */
export function addImage(path: string): { name: string; isNew: boolean } {
  return addImageText(path, readNamed(path));
}

/** The same, of a text; `path` is what errors call it. */
export function addImageText(path: string, text: string): { name: string; isNew: boolean } {
  const { file, recipe, problems } = parseImage(path, text);
  if (recipe) {
    const why = `${path} has a recipe, and no image yet; build it: farlight image build ${path}`;
    throw new FarlightError('BAD_OPTION', why);
  }
  if (!file) throw asError(problems);
  const { name } = file;
  const other = storedImages().find((stored) => stored.name === name);
  const isSame = other && JSON.stringify(other.file) === JSON.stringify(file);
  if (other && !isSame)
    throw new FarlightError('BAD_OPTION', `there is another image ${name}; give this one another name`);
  return { name, isNew: !other && addEntry(CATALOGUE, `${name}.yaml`, text) };
}

/** Checks the text of an image's file, or of a recipe's, and reports every problem; `path` is what they call it. */
export function parseImage(
  path: string,
  text: string,
): { file?: ImageFile; recipe?: ImageRecipe; problems: Problem[] } {
  const { checked, problems } = checkText(path, text, schema);
  if (!checked) return { problems };
  const { image, recipe, bundle, ...about } = checked.value;
  const wrong = (why: string, at: string[] = []) => ({ problems: [checked.problem(at, why)] });
  if (recipe !== undefined) {
    if (image !== undefined || bundle !== undefined)
      return wrong('A recipe has no "image" and no "bundle": it is built first.', ['recipe']);
    return { recipe: { ...about, recipe }, problems: [] };
  }
  if (image === undefined) return wrong('There must be an "image", or the "recipe" of one.');
  if (bundle !== undefined && !bundle.endsWith(image.slice(-64)))
    return wrong("The bundle's folder has another digest as its name than the image.", ['bundle']);
  return { file: { ...about, image, ...(bundle !== undefined && { bundle }) }, problems: [] };
}
