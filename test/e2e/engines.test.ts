import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestHost, testHost } from '#farlight/testing/index.js';
import { recipeCommand } from '../support/newcomer/recipes.js';
import { contrast, Picture } from '../support/pages/pictures.js';
import { nodeLocally, nodeThroughFarlight } from '../support/programs/program.js';

const folder = mkdtempSync(join(tmpdir(), 'farlight-engines-'));
const MINUTES = 3 * 60_000;
let host: TestHost;

beforeAll(async () => {
  host = await testHost({ adapter: 'software' });
});

afterAll(async () => {
  await host.close();
  rmSync(folder, { recursive: true });
});

/**
 * The picture of an engine on a canvas, drawn through Farlight. Its tests first compare it with local Dawn's.
 */
function drawnBy(engine: string): { readonly picture: Picture } {
  const drawn = { picture: undefined as unknown as Picture };
  const draw = async (name: string, run: (args: string[]) => Promise<string>) => {
    const file = join(folder, `${engine}-${name}.png`);
    // The later of two flags counts.
    await run([...recipeCommand(engine), '--out', file]);
    return new Picture(readFileSync(file));
  };
  beforeAll(async () => {
    const opened = host.counters.sessionsOpened;
    drawn.picture = await draw('farlight', (args) => nodeThroughFarlight(host.url, args));
    expect(host.counters.sessionsOpened).toBe(opened + 1);
  }, MINUTES);
  it(
    `${engine} renders the picture of local Dawn, pixel for pixel`,
    async () => {
      expect(drawn.picture.size).toEqual([640, 480]);
      expect(drawn.picture.differences(await draw('local', nodeLocally))).toBe(0);
    },
    MINUTES,
  );
  return drawn;
}

describe('three.js', () => {
  const drawn = drawnBy('three.js');

  it('three.js shows the sky, and a ball lit from one side, with a highlight', () => {
    const { picture } = drawn;
    for (const [x, y] of [
      [10, 10],
      [630, 10],
      [320, 60],
    ] as const) {
      expect(picture.at(x, y)).toEqual([0, 43, 86, 255]);
    }
    const [lit] = picture.at(200, 180);
    const [unlit] = picture.at(100, 285);
    expect(lit).toBeGreaterThan(4 * unlit);
    expect(Math.min(...picture.at(172, 205))).toBeGreaterThan(170);
  });

  it('three.js draws the near texture sharp, and the far one blurred by its mipmaps', () => {
    const near = drawn.picture.reds({ y: 460, from: 230, to: 410 });
    const far = drawn.picture.reds({ y: 116, from: 230, to: 410 });
    expect(contrast(near)).toBeGreaterThan(150);
    expect(contrast(far)).toBeLessThan(contrast(near) / 2);
  });

  it('three.js draws the shadow of the ball on one side of it, and sunlight elsewhere', () => {
    const shadow = drawn.picture.reds({ y: 300, from: 60, to: 108 });
    const sun = drawn.picture.reds({ y: 300, from: 580, to: 640 });
    expect(Math.max(...sun)).toBeGreaterThan(2 * Math.max(...shadow));
    expect(Math.min(...sun)).toBeGreaterThan(2 * Math.min(...shadow));
  });

  it('three.js draws the lamp before the knot, and the floor through green glass', () => {
    const { picture } = drawn;
    const [red, green, blue] = picture.at(287, 244);
    expect(blue).toBeGreaterThan(green);
    expect(green).toBeGreaterThan(red);

    const glass = { y: 300, from: 330, to: 380 };
    expect(contrast(picture.reds(glass))).toBeGreaterThan(60);
    for (let x = glass.from; x < glass.to; x++) {
      const [red, green] = picture.at(x, glass.y);
      expect(green).toBeGreaterThan(red);
    }
  });
});

describe('Babylon.js', () => {
  const drawn = drawnBy('Babylon.js');

  it('Babylon.js shows the sky, a red ball with a highlight and a dark side, and a ring', () => {
    const { picture } = drawn;
    expect(picture.at(10, 10)).toEqual([26, 59, 92, 255]);
    expect(Math.min(...picture.at(195, 205))).toBeGreaterThan(200);
    const [red, green, blue] = picture.at(160, 190);
    expect(red).toBeGreaterThan(4 * Math.max(green, blue));
    expect(red).toBeGreaterThan(4 * picture.at(215, 280)[0]);
    const [ring, , least] = picture.at(285, 200);
    expect(ring).toBeGreaterThan(2 * least);
  });

  it('Babylon.js draws the near floor sharp, and the far floor in fog', () => {
    const near = drawn.picture.reds({ y: 440, from: 10, to: 630 });
    const far = drawn.picture.reds({ y: 110, from: 240, to: 420 });
    expect(contrast(near)).toBeGreaterThan(150);
    expect(contrast(far)).toBeLessThan(contrast(near) / 4);
  });

  it('Babylon.js draws the floor darker in the shadow of the ball', () => {
    const shadow = drawn.picture.reds({ y: 285, from: 100, to: 125 });
    const sun = drawn.picture.reds({ y: 285, from: 560, to: 620 });
    expect(Math.min(...sun)).toBeGreaterThan(2 * Math.min(...shadow));
  });
});

describe('PlayCanvas', () => {
  const drawn = drawnBy('PlayCanvas');

  it('PlayCanvas shows the sky, a red ball with a dark side, and a golden capsule', () => {
    const { picture } = drawn;
    expect(picture.at(10, 10)).toEqual([26, 59, 92, 255]);
    const [red, green, blue] = picture.at(150, 200);
    expect(red).toBeGreaterThan(4 * Math.max(green, blue));
    expect(red).toBeGreaterThan(2 * picture.at(200, 285)[0]);
    const [gold, , least] = picture.at(345, 130);
    expect(gold).toBeGreaterThan(2 * least);
  });

  it('PlayCanvas draws the checkers of its textures on the floor and on a box', () => {
    expect(contrast(drawn.picture.reds({ y: 450, from: 10, to: 630 }))).toBeGreaterThan(150);
    expect(contrast(drawn.picture.reds({ y: 250, from: 500, to: 560 }))).toBeGreaterThan(100);
  });

  it('PlayCanvas draws the floor darker in the shadow of the ball, and green through glass', () => {
    const { picture } = drawn;
    const shadow = picture.reds({ y: 285, from: 65, to: 85 });
    const sun = picture.reds({ y: 285, from: 590, to: 630 });
    expect(Math.min(...sun)).toBeGreaterThan(2 * Math.min(...shadow));
    const [red, green] = picture.at(350, 300);
    expect(green).toBeGreaterThan(red);
  });
});

describe('PixiJS', () => {
  const drawn = drawnBy('PixiJS');
  const background = [0x1b, 0x3a, 0x5c, 255];

  it('PixiJS fills shapes with their colors, rounds corners, and strokes lines and curves', () => {
    const { picture } = drawn;
    expect(picture.at(10, 10)).toEqual(background);
    expect(picture.at(120, 95)).toEqual([0xe0, 0xa0, 0x20, 255]);
    expect(picture.at(41, 41)).toEqual(background);
    expect(picture.at(310, 95)).toEqual([0xd0, 0x30, 0x20, 255]);
    expect(picture.at(310, 24)).toEqual([255, 255, 255, 255]);
    expect(picture.at(421, 139)).toEqual([0x60, 0xe0, 0xd0, 255]);
  });

  it('PixiJS cuts sprites by their mask', () => {
    expect(drawn.picture.at(33, 205)).toEqual(background);
    const [red, green, blue] = drawn.picture.at(120, 290);
    expect(green).toBeGreaterThan(Math.max(red, blue));
  });

  it('PixiJS adds colors to those behind them', () => {
    const { picture } = drawn;
    expect(picture.at(320, 230)).toEqual([255, 0x3a, 0x5c, 255]);
    expect(picture.at(380, 330)).toEqual([0x1b, 255, 0x5c, 255]);
    expect(picture.at(260, 330)).toEqual([0x1b, 0x3a, 255, 255]);
    expect(picture.at(349, 275)).toEqual([255, 255, 0x5c, 255]);
    expect(picture.at(320, 298)).toEqual([255, 255, 255, 255]);
  });

  it('PixiJS blurs and inverts with filters', () => {
    const { picture } = drawn;
    expect(picture.at(530, 250)).toEqual([255, 255, 255, 255]);
    const [edge] = picture.at(530, 206);
    expect(edge).toBeGreaterThan(100);
    expect(edge).toBeLessThan(200);
    expect(picture.at(530, 390)).toEqual([0x2f, 0xcf, 0xdf, 255]);
  });
});

describe('a canvas', () => {
  it(
    'a canvas gives all frames of an animation, and their files equal those of local Dawn',
    async () => {
      const [far, near] = [join(folder, 'far'), join(folder, 'near')];
      await nodeThroughFarlight(host.url, [...recipeCommand('A canvas'), '--out', far]);
      await nodeLocally([...recipeCommand('A canvas'), '--out', near]);
      const files = Array.from({ length: 12 }, (_, at) => `${String(at + 1).padStart(3, '0')}.png`);
      expect(readdirSync(far)).toEqual(files);
      const bytes = files.map((file) => readFileSync(join(far, file)));
      expect(
        bytes.map((each, at) => each.equals(readFileSync(join(near, files[at] as string)))),
      ).not.toContain(false);
      // At first the red corner points up.
      const [red, green, blue] = new Picture(bytes[0] as Buffer).at(160, 40);
      expect(red).toBeGreaterThan(5 * Math.max(green, blue));
      expect(new Picture(bytes[6] as Buffer).at(160, 40)).toEqual([26, 26, 26, 255]);
    },
    MINUTES,
  );
});
