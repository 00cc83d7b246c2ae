// A ball, a box and a capsule on a checkered floor, in sunlight and the light of a blue lamp: a texture with
// mipmaps, shadows, and glass.
import * as pc from 'playcanvas';

export async function createApplication(canvas) {
  const options = new pc.AppOptions();
  options.graphicsDevice = await pc.createGraphicsDevice(canvas, {
    deviceTypes: [pc.DEVICETYPE_WEBGPU],
    antialias: true,
  });
  options.componentSystems = [pc.CameraComponentSystem, pc.LightComponentSystem, pc.RenderComponentSystem];
  const app = new pc.AppBase(canvas);
  app.init(options);
  return app;
}

export function createScene(app) {
  app.scene.ambientLight = new pc.Color(0.2, 0.22, 0.26);

  const camera = new pc.Entity('camera');
  camera.addComponent('camera', { clearColor: new pc.Color(0.1, 0.23, 0.36), fov: 40, farClip: 60 });
  camera.setPosition(0, 2.6, 7.5);
  camera.lookAt(0, 0.6, 0);

  const sun = new pc.Entity('sun');
  sun.addComponent('light', {
    type: 'directional',
    color: new pc.Color(1, 0.94, 0.85),
    intensity: 1.2,
    castShadows: true,
    shadowDistance: 25,
    shadowResolution: 512,
    shadowBias: 0.2,
    normalOffsetBias: 0.05,
  });
  sun.setEulerAngles(45, 40, 0);

  const lamp = new pc.Entity('lamp');
  lamp.addComponent('light', { type: 'omni', color: new pc.Color(0.4, 0.7, 1), intensity: 1.5, range: 4 });
  lamp.setPosition(-0.3, 0.9, 1.6);

  const { graphicsDevice: device } = app;
  const checkers = createCheckers(device, 64, 8, [235, 225, 200], [60, 90, 110]);
  const floor = createObject('plane', [0, 0, -8], createMaterial({ diffuseMap: checkers }));
  floor.setLocalScale(12, 1, 30);
  const { material } = floor.render;
  material.diffuseMapTiling.set(4, 10);
  material.update();

  const painted = createCheckers(device, 32, 4, [40, 160, 70], [240, 240, 120]);
  const box = createObject('box', [1.9, 0.65, 0.2], createMaterial({ diffuseMap: painted }));
  box.setLocalScale(1.3, 1.3, 1.3);
  box.setEulerAngles(0, 35, 0);
  const red = createMaterial({ diffuse: new pc.Color(0.8, 0.12, 0.08), gloss: 0.7 });
  const ball = createObject('sphere', [-1.8, 0.85, 0.2], red);
  ball.setLocalScale(1.7, 1.7, 1.7);
  const metal = createMaterial({
    diffuse: new pc.Color(0.85, 0.6, 0.15),
    useMetalness: true,
    metalness: 0.3,
  });
  const capsule = createObject('capsule', [0.1, 1, -1.2], metal);
  const glass = createMaterial({
    diffuse: new pc.Color(0.3, 0.9, 0.8),
    opacity: 0.45,
    blendType: pc.BLEND_NORMAL,
  });
  const cylinder = createObject('cylinder', [0.3, 0.5, 1.3], glass);
  cylinder.setLocalScale(0.7, 1, 0.7);
  cylinder.render.castShadows = false;

  for (const entity of [camera, sun, lamp, floor, box, ball, capsule, cylinder]) app.root.addChild(entity);
}

function createObject(type, [x, y, z], material) {
  const entity = new pc.Entity(type);
  entity.addComponent('render', { type, material });
  entity.setPosition(x, y, z);
  return entity;
}

function createMaterial(settings) {
  const material = Object.assign(new pc.StandardMaterial(), settings);
  material.update();
  return material;
}

/** Made of pixels, since PlayCanvas's image loaders need a page. */
function createCheckers(device, size, fields, light, dark) {
  const data = new Uint8Array(size * size * 4);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const even = (Math.floor((x * fields) / size) + Math.floor((y * fields) / size)) % 2 === 0;
      data.set([...(even ? light : dark), 255], (y * size + x) * 4);
    }
  }
  return new pc.Texture(device, {
    width: size,
    height: size,
    format: pc.PIXELFORMAT_SRGBA8,
    mipmaps: true,
    levels: [data],
  });
}
