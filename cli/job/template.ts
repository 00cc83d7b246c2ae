import { Command } from 'commander';
import { counted } from '../../page/site/format.js';
import { FarlightError } from '../../proto/errors.js';
import { harmless, harmlessJson, harmlessLines } from '../../proto/harmless.js';
import { printProblems } from '../infer/check.js';
import { styleOf, table } from '../style.js';

export function templateCommand(): Command {
  const command = new Command('template').description('The stored templates that jobs are made from.');
  command
    .command('ls')
    .description('List the templates, with the jobs that each is for.')
    .option('--all', 'also versions that are not the newest')
    .option('--json', 'print them as JSON')
    .allowExcessArguments(false)
    .action(list);
  command
    .command('show <name>')
    .description('Print a template: NAME, the newest version, or NAME@VERSION.')
    .option('--schema', 'print the JSON schema of its parameters')
    .allowExcessArguments(false)
    .action(show);
  command
    .command('check <file>')
    .description('List the problems of a template, by file, line and column.')
    .option('--json', 'print the findings as JSON')
    .allowExcessArguments(false)
    .action(check);
  command
    .command('add <file>')
    .description('Add a template, or a new version of one, to yours. A version never changes.')
    .allowExcessArguments(false)
    .action(add);
  return command;
}

async function list({ all, json }: { all?: boolean; json?: boolean }): Promise<void> {
  const { storedTemplates, newestTemplates, scopeText } = await loadTemplates();
  const stored = storedTemplates();
  const shown = all ? stored : newestTemplates(stored);
  if (json) {
    const rows = shown.map(({ name, scope, isBuiltIn, deprecated, template }) => {
      return { name, for: scope, isBuiltIn, deprecated, sha256: template.sha256, about: template.file.about };
    });
    process.stdout.write(`${harmlessJson(JSON.stringify(rows, null, 2))}\n`);
    return;
  }
  const rows = shown.map(({ name, scope, isBuiltIn, deprecated, template }) => [
    name,
    scopeText(scope),
    isBuiltIn ? 'farlight' : 'yours',
    deprecated === undefined ? template.file.about : `deprecated: ${deprecated}`,
  ]);
  const heads = ['template', 'for', 'from', 'about'];
  process.stdout.write(`${table(heads, rows, styleOf(process.stdout)).join('\n')}\n`);
}

async function show(name: string, { schema }: { schema?: boolean }): Promise<void> {
  const { findTemplate, jsonSchemaOf } = await loadTemplates();
  const { template, deprecated } = findTemplate(name);
  if (deprecated !== undefined)
    process.stderr.write(`farlight: ${name} is deprecated: ${harmless(deprecated)}\n`);
  const text = schema ? `${JSON.stringify(jsonSchemaOf(template.file), null, 2)}\n` : template.text;
  process.stdout.write(harmlessLines(text));
}

async function check(file: string, { json }: { json?: boolean }): Promise<void> {
  const { parseTemplate, readNamed, titleOf } = await loadTemplates();
  const { template, problems } = parseTemplate(file, readNamed(file));
  if (json) {
    const report = {
      ...(template && { name: template.file.name, version: template.file.version }),
      problems,
    };
    process.stdout.write(`${harmlessJson(JSON.stringify(report, null, 2))}\n`);
  } else printProblems(problems);
  if (!template || problems.length > 0)
    throw new FarlightError('BAD_OPTION', `${file} has ${counted(problems.length, 'problem')}`);
  if (!json) process.stdout.write(`${titleOf(template)}: nothing is wrong\n`);
}

async function add(file: string): Promise<void> {
  const { readTemplate, addTemplate } = await loadTemplates();
  const { title, isNew } = addTemplate(readTemplate(file));
  process.stdout.write(isNew ? `added ${title}\n` : `${title} is there already\n`);
}

async function loadTemplates() {
  const [store, file, scope, catalogue] = await Promise.all([
    import('../../jobs/templates/template-store.js'),
    import('../../jobs/templates/template-file.js'),
    import('../../jobs/select/scope.js'),
    import('../../jobs/store/catalogue.js'),
  ]);
  return { ...store, ...file, ...scope, ...catalogue };
}
