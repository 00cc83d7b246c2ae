import { Command } from 'commander';
import { loadReader } from '../../link/files/load-reader.js';
import { harmlessJson } from '../../proto/harmless.js';
import { styleOf, table } from '../style.js';

export function imageCommand(): Command {
  const command = new Command('image').description(
    'The base images in which jobs run, each pinned by its digest.',
  );
  command
    .command('ls')
    .description('List the images, with what each is for.')
    .option('--json', 'print them as JSON')
    .allowExcessArguments(false)
    .action(list);
  command
    .command('add <file>')
    .description('Add the image of a YAML file to yours.')
    .allowExcessArguments(false)
    .action(add);
  return command;
}

async function list({ json }: { json?: boolean }): Promise<void> {
  const { storedImages, scopeText } = await loadImages();
  const images = storedImages();
  if (json) {
    const files = images.map(({ file }) => file);
    process.stdout.write(`${harmlessJson(JSON.stringify(files, null, 2))}\n`);
    return;
  }
  if (images.length === 0) {
    process.stdout.write('no images; farlight image add FILE adds one\n');
    return;
  }
  const rows = images.map(({ name, scope, file }) => [
    name,
    scopeText(scope),
    file.image,
    file.bundle ?? '-',
    file.deprecated === undefined ? (file.about ?? '') : `deprecated: ${file.deprecated}`,
  ]);
  const heads = ['image', 'for', 'reference', 'bundle', 'about'];
  process.stdout.write(`${table(heads, rows, styleOf(process.stdout)).join('\n')}\n`);
}

async function add(file: string): Promise<void> {
  const { addImage } = await loadImages();
  const { name, isNew } = addImage(file);
  process.stdout.write(isNew ? `added ${name}\n` : `${name} is there already\n`);
}

function loadImages() {
  return loadReader(async () => {
    const [images, scope] = await Promise.all([
      import('../../jobs/images/images.js'),
      import('../../jobs/select/scope.js'),
    ]);
    return { ...images, ...scope };
  }, 'images of jobs');
}
