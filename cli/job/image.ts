import { Command } from 'commander';
import { harmlessJson } from '../../proto/harmless.js';
import { styleOf, table } from '../style.js';

export function imageCommand(): Command {
  const command = new Command('image').description(
    'The base images in which jobs run, each pinned by its digest.',
  );
  command
    .command('ls')
    .description('List the images, with the jobs that each is for.')
    .option('--json', 'print them as JSON')
    .allowExcessArguments(false)
    .action(list);
  command
    .command('add <file>')
    .description('Add the image of a YAML file to yours.')
    .allowExcessArguments(false)
    .action(add);
  command
    .command('build <recipe>')
    .description('Build an image on this machine from its recipe, and add it to yours by its digest.')
    .option('--builder <command>', 'the program that builds images: docker or podman', 'docker')
    .option('--name <name>', "the new image's name; the recipe's if left out")
    .allowExcessArguments(false)
    .action(build);
  return command;
}

async function list({ json }: { json?: boolean }): Promise<void> {
  const { storedImages, storedRecipes, scopeText } = await loadImages();
  const images = storedImages();
  if (json) {
    const files = images.map(({ file }) => file);
    process.stdout.write(`${harmlessJson(JSON.stringify(files, null, 2))}\n`);
    return;
  }
  const isBuilt = (recipe: string) => images.some(({ name }) => name === recipe);
  const recipes = storedRecipes().filter(({ name }) => !isBuilt(name));
  const rows = images.map(({ name, scope, file }) => [
    name,
    scopeText(scope),
    file.image,
    file.bundle ?? '-',
    file.deprecated === undefined ? (file.about ?? '') : `deprecated: ${file.deprecated}`,
  ]);
  for (const { name, for: scope = {}, about = '' } of recipes)
    rows.push([name, scopeText(scope), `not built yet: farlight image build ${name}`, '-', about]);
  const heads = ['image', 'for', 'reference', 'bundle', 'about'];
  process.stdout.write(`${table(heads, rows, styleOf(process.stdout)).join('\n')}\n`);
}

async function add(file: string): Promise<void> {
  const { addImage } = await loadImages();
  const { name, isNew } = addImage(file);
  process.stdout.write(isNew ? `added ${name}\n` : `${name} is there already\n`);
}

async function build(
  recipe: string,
  { builder, name: as }: { builder: string; name?: string },
): Promise<void> {
  const { buildImage } = await loadImages();
  const { name, image, isNew } = await buildImage(recipe, { builder, name: as });
  process.stdout.write(isNew ? `added ${name}: ${image}\n` : `${name} is there already: ${image}\n`);
}

async function loadImages() {
  const [images, build, scope] = await Promise.all([
    import('../../jobs/images/images.js'),
    import('../../jobs/images/build.js'),
    import('../../jobs/select/scope.js'),
  ]);
  return { ...images, ...build, ...scope };
}
