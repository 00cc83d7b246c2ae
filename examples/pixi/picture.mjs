// Shapes, masked sprites of a texture, colors that are added, a blurred disc, and a disc with inverted
// colors.
import {
  BlurFilter,
  BufferImageSource,
  ColorMatrixFilter,
  Container,
  Graphics,
  Sprite,
  Texture,
} from 'pixi.js';

export function drawPicture(stage) {
  stage.addChild(createShapes(), createMasked(), createLights(), ...createFiltered());
}

function createShapes() {
  return new Graphics()
    .roundRect(40, 40, 160, 110, 20)
    .fill(0xe0a020)
    .star(310, 95, 5, 70, 30)
    .fill(0xd03020)
    .stroke({ width: 6, color: 0xffffff })
    .moveTo(420, 140)
    .bezierCurveTo(470, 0, 530, 190, 600, 50)
    .stroke({ width: 10, color: 0x60e0d0, cap: 'round' });
}

/** Turned and scaled sprites of one texture, cut to a circle by a mask. */
function createMasked() {
  const texture = createCheckers(32, 4, [40, 160, 70], [240, 240, 120]);
  const sprites = new Container();
  for (let at = 0; at < 9; at++) {
    const sprite = new Sprite(texture);
    sprite.anchor.set(0.5);
    sprite.position.set(60 + 60 * (at % 3), 230 + 60 * Math.floor(at / 3));
    sprite.rotation = at * 0.2;
    sprite.scale.set(1.5);
    sprites.addChild(sprite);
  }
  const mask = new Graphics().circle(120, 290, 90).fill(0xffffff);
  sprites.addChild(mask);
  sprites.mask = mask;
  return sprites;
}

/** Red, green and blue, white where they meet. */
function createLights() {
  const lights = new Container();
  for (const [at, color] of [0xff0000, 0x00ff00, 0x0000ff].entries()) {
    const angle = (at * 2 * Math.PI) / 3;
    const light = new Graphics()
      .circle(320 + 35 * Math.sin(angle), 300 - 35 * Math.cos(angle), 55)
      .fill(color);
    light.blendMode = 'add';
    lights.addChild(light);
  }
  return lights;
}

function createFiltered() {
  const blurred = new Graphics().circle(530, 250, 45).fill(0xffffff);
  blurred.filters = [new BlurFilter({ strength: 8, quality: 4 })];
  const negative = new ColorMatrixFilter();
  negative.negative(false);
  const turned = new Graphics().circle(530, 390, 45).fill(0xd03020);
  turned.filters = [negative];
  return [blurred, turned];
}

/** Made of pixels, since PixiJS's image loaders need a page. */
function createCheckers(size, fields, light, dark) {
  const data = new Uint8Array(size * size * 4);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const even = (Math.floor((x * fields) / size) + Math.floor((y * fields) / size)) % 2 === 0;
      data.set([...(even ? light : dark), 255], (y * size + x) * 4);
    }
  }
  return new Texture({
    source: new BufferImageSource({ resource: data, width: size, height: size, format: 'rgba8unorm' }),
  });
}
