// A ball, a box and a ring of metal on a checkered floor, in sunlight: textures with mipmaps, shadows, and a
// floor that disappears in fog.
import { ArcRotateCamera } from '@babylonjs/core/Cameras/arcRotateCamera.js';
import { WebGPUEngine } from '@babylonjs/core/Engines/webgpuEngine.js';
import { DirectionalLight } from '@babylonjs/core/Lights/directionalLight.js';
import { HemisphericLight } from '@babylonjs/core/Lights/hemisphericLight.js';
import { ShadowGenerator } from '@babylonjs/core/Lights/Shadows/shadowGenerator.js';
import '@babylonjs/core/Lights/Shadows/shadowGeneratorSceneComponent.js';
import { StandardMaterial } from '@babylonjs/core/Materials/standardMaterial.js';
import { RawTexture } from '@babylonjs/core/Materials/Textures/rawTexture.js';
import { Texture } from '@babylonjs/core/Materials/Textures/texture.js';
import { Color3, Color4 } from '@babylonjs/core/Maths/math.color.js';
import { Vector3 } from '@babylonjs/core/Maths/math.vector.js';
import { MeshBuilder } from '@babylonjs/core/Meshes/meshBuilder.js';
import { Scene } from '@babylonjs/core/scene.js';

const SKY = new Color3(0.1, 0.23, 0.36);

export async function createEngine(canvas) {
  const engine = new WebGPUEngine(canvas, { antialias: true });
  await engine.initAsync();
  return engine;
}

export function createScene(engine) {
  const scene = new Scene(engine);
  scene.clearColor = Color4.FromColor3(SKY);
  scene.fogMode = Scene.FOGMODE_LINEAR;
  scene.fogColor = SKY;
  scene.fogStart = 12;
  scene.fogEnd = 30;

  const camera = new ArcRotateCamera('camera', -Math.PI / 2, 1.2, 8, new Vector3(0, 0.7, 0), scene);
  camera.minZ = 0.1;
  new HemisphericLight('sky', new Vector3(0, 1, 0), scene).intensity = 0.35;
  const sun = new DirectionalLight('sun', new Vector3(-1, -1.6, 0.8), scene);
  sun.position = new Vector3(6, 10, -5);

  const shadows = new ShadowGenerator(512, sun);
  shadows.usePercentageCloserFiltering = true;
  for (const mesh of createObjects(scene)) shadows.addShadowCaster(mesh);
  createFloor(scene).receiveShadows = true;
  return scene;
}

function createObjects(scene) {
  const ball = MeshBuilder.CreateSphere('ball', { diameter: 1.7, segments: 32 }, scene);
  ball.position.set(-1.9, 0.85, 0);
  const red = new StandardMaterial('red', scene);
  red.diffuseColor = new Color3(0.8, 0.12, 0.08);
  red.specularPower = 60;
  ball.material = red;

  const box = MeshBuilder.CreateBox('box', { size: 1.3 }, scene);
  box.position.set(1.9, 0.65, -0.2);
  box.rotation.y = 0.6;
  const painted = new StandardMaterial('painted', scene);
  painted.diffuseTexture = createCheckers(scene, 32, 4, [40, 160, 70], [240, 240, 120]);
  box.material = painted;

  const ring = MeshBuilder.CreateTorus('ring', { diameter: 1.5, thickness: 0.4, tessellation: 48 }, scene);
  ring.position.set(0.1, 1, 0.9);
  ring.rotation.set(Math.PI / 2, 0.4, 0);
  const metal = new StandardMaterial('metal', scene);
  metal.diffuseColor = new Color3(0.8, 0.5, 0.1);
  metal.specularColor = new Color3(0.9, 0.75, 0.4);
  metal.specularPower = 20;
  ring.material = metal;
  return [ball, box, ring];
}

function createFloor(scene) {
  const floor = MeshBuilder.CreateGround('floor', { width: 12, height: 40 }, scene);
  floor.position.z = 12;
  const material = new StandardMaterial('checkers', scene);
  material.diffuseTexture = createCheckers(scene, 64, 8, [235, 225, 200], [60, 90, 110]);
  material.diffuseTexture.uScale = 3;
  material.diffuseTexture.vScale = 10;
  material.specularColor = Color3.Black();
  floor.material = material;
  return floor;
}

/** Made of pixels, since Babylon.js's image loaders need a page. */
function createCheckers(scene, size, fields, light, dark) {
  const data = new Uint8Array(size * size * 4);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const even = (Math.floor((x * fields) / size) + Math.floor((y * fields) / size)) % 2 === 0;
      data.set([...(even ? light : dark), 255], (y * size + x) * 4);
    }
  }
  const mode = Texture.TRILINEAR_SAMPLINGMODE;
  const texture = RawTexture.CreateRGBATexture(data, size, size, scene, true, false, mode);
  texture.wrapU = Texture.WRAP_ADDRESSMODE;
  texture.wrapV = Texture.WRAP_ADDRESSMODE;
  return texture;
}
