import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { REPOSITORY } from '../support/repository.js';

const read = (file: string) => readFileSync(join(REPOSITORY, file), 'utf8');
const rooms: string[] = JSON.parse(read('tsconfig.json')).include;

describe.each(rooms)('the room %s', (room) => {
  it(`${room}/ has a README, and a row in docs/architecture.md`, () => {
    expect(existsSync(join(REPOSITORY, room, 'README.md'))).toBe(true);
    expect(read('docs/architecture.md')).toMatch(new RegExp(`^\\| \`${room}/\` `, 'm'));
  });

  it(`${room}/ is checked for circles, strangers and words`, () => {
    const [, checked = ''] = /^const ROOMS = \[([\s\S]+?)\];$/m.exec(read('scripts/check-house.mjs')) ?? [];
    expect(checked).toContain(`'${room}'`);
  });

  it(`${room}/ is copied into the container that builds the package`, () => {
    expect(read('deploy/Containerfile')).toContain(`\nCOPY ${room} ${room}\n`);
  });
});
