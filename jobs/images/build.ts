import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageVersion } from '../../link/machine/package-version.js';
import { codeOf, FarlightError, messageOf } from '../../proto/errors.js';
import { asError, readNamed } from '../store/catalogue.js';
import { addImageText, type ImageRecipe, parseImage, storedRecipes } from './images.js';

const ANY_IMAGE = `sha256:${'0'.repeat(64)}`;

export interface BuildOptions {
  /** The command that builds images, as `docker` and `podman` do. */
  readonly builder: string;
  /** The name of the new image; the recipe's if left out. */
  readonly name?: string | undefined;
}

/**
 * Builds an image from its recipe on this machine, and adds it to this user's by its digest.
 *
 * @param which a recipe's name, or its file.
 * @throws FarlightError BAD_OPTION where there is no such recipe, or it cannot be built (rejects).
 */
export async function buildImage(
  which: string,
  { builder, name }: BuildOptions,
): Promise<{ name: string; image: string; isNew: boolean }> {
  const { recipe, ...about } = /\.ya?ml$/.test(which) ? readRecipe(which) : findRecipe(which);
  const named = { ...about, ...(name !== undefined && { name }) };
  // A build takes minutes: a name that cannot be is told before.
  const { problems } = parseImage(`the image of ${which}`, JSON.stringify({ ...named, image: ANY_IMAGE }));
  if (problems.length > 0) throw asError(problems);
  const image = await built(builder, recipe);
  const file = { ...named, image };
  return { ...addImageText(`the image of ${which}`, `${JSON.stringify(file, null, 2)}\n`), image };
}

function readRecipe(path: string): ImageRecipe {
  const { recipe, file, problems } = parseImage(path, readNamed(path));
  if (recipe) return recipe;
  if (!file) throw asError(problems);
  throw new FarlightError(
    'BAD_OPTION',
    `${path} has an image and no recipe; add it: farlight image add ${path}`,
  );
}

function findRecipe(name: string): ImageRecipe {
  const recipes = storedRecipes();
  const found = recipes.find((recipe) => recipe.name === name);
  if (found) return found;
  const known = recipes.map((recipe) => recipe.name).join(', ');
  throw new FarlightError('BAD_OPTION', `there is no recipe ${name}; name a file, or one of: ${known}`);
}

/** Has the builder build an image, with its output on stderr. @returns the image's digest. */
async function built(builder: string, recipe: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'farlight-image-'));
  try {
    writeFileSync(join(folder, 'Containerfile'), recipe);
    const idFile = join(folder, 'id');
    const version = `FARLIGHT_VERSION=${packageVersion()}`;
    const options = ['--file', join(folder, 'Containerfile'), '--iidfile', idFile, '--build-arg', version];
    const code = await ran(builder, ['build', ...options, folder]);
    if (code === 0) return readFileSync(idFile, 'utf8').trim();
    throw new FarlightError(
      'BAD_OPTION',
      `${builder} did not build the image: it ended with exit code ${code}`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function ran(command: string, args: readonly string[]): Promise<number | null> {
  return new Promise((resolve, reject) => {
    // This command's own output is the name of the image.
    const child = spawn(command, args, { stdio: ['ignore', process.stderr, process.stderr] });
    child.once('error', (error) => {
      const why =
        codeOf(error) === 'ENOENT'
          ? `there is no command ${command}; install it, or name another one with --builder`
          : `${command} cannot be started: ${messageOf(error)}`;
      reject(new FarlightError('BAD_OPTION', why, { cause: error }));
    });
    child.once('close', resolve);
  });
}
