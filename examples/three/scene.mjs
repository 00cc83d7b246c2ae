// A ball, a box, a knot and a glass on a checkered floor, in sunlight and the light of a small blue lamp: one
// material of each kind, textures with mipmaps, shadows, and transparency.
import * as THREE from 'three/webgpu';

const LAMP_POSITION = new THREE.Vector3(-0.3, 0.9, 1.2);

export function createScene(aspect) {
  const scene = new THREE.Scene();
  scene.background = new THREE.Color(0x1b3a5c);
  scene.add(createFloor(), ...createObjects(), ...createLights());
  return { scene, camera: createCamera(aspect) };
}

function createCamera(aspect) {
  const camera = new THREE.PerspectiveCamera(40, aspect, 0.1, 60);
  camera.position.set(0, 2.6, 7);
  camera.lookAt(0, 0.6, 0);
  return camera;
}

/** Long enough that the far end is drawn from the smallest mipmaps. */
function createFloor() {
  const map = createCheckers(64, 8, [235, 225, 200], [60, 90, 110]);
  map.repeat.set(3, 9);
  const floor = new THREE.Mesh(
    new THREE.PlaneGeometry(9, 27),
    new THREE.MeshStandardMaterial({ map, roughness: 0.9 }),
  );
  floor.rotation.x = -Math.PI / 2;
  floor.position.z = -8;
  floor.receiveShadow = true;
  return floor;
}

function createObjects() {
  const ball = new THREE.Mesh(
    new THREE.SphereGeometry(0.8, 32, 24),
    new THREE.MeshStandardMaterial({ color: 0xd03020, roughness: 0.35, metalness: 0.1 }),
  );
  ball.position.set(-1.7, 0.8, 0.4);

  const box = new THREE.Mesh(
    new THREE.BoxGeometry(1.2, 1.2, 1.2),
    new THREE.MeshPhongMaterial({
      map: createCheckers(32, 4, [40, 160, 70], [240, 240, 120]),
      shininess: 60,
    }),
  );
  box.position.set(1.8, 0.6, 0.2);
  box.rotation.y = 0.6;

  const knot = new THREE.Mesh(
    new THREE.TorusKnotGeometry(0.55, 0.18, 80, 12),
    new THREE.MeshLambertMaterial({ color: 0xe0a020 }),
  );
  knot.position.set(0.1, 1, -1.4);

  const lamp = new THREE.Mesh(
    new THREE.SphereGeometry(0.12, 16, 12),
    new THREE.MeshBasicMaterial({ color: 0x80c0ff }),
  );
  lamp.position.copy(LAMP_POSITION);

  const glass = new THREE.Mesh(
    new THREE.CylinderGeometry(0.35, 0.35, 1, 24),
    new THREE.MeshStandardMaterial({ color: 0x60e0d0, transparent: true, opacity: 0.45, depthWrite: false }),
  );
  glass.position.set(0.3, 0.5, 1.3);

  for (const object of [ball, box, knot]) {
    object.castShadow = true;
    object.receiveShadow = true;
  }
  return [ball, box, knot, lamp, glass];
}

function createLights() {
  const sun = new THREE.DirectionalLight(0xfff0d8, 2.6);
  sun.position.set(4, 6, 3);
  sun.castShadow = true;
  sun.shadow.mapSize.set(256, 256);
  Object.assign(sun.shadow.camera, { left: -4, right: 4, top: 4, bottom: -4, near: 1, far: 16 });

  const lamp = new THREE.PointLight(0x80c0ff, 3, 6);
  lamp.position.copy(LAMP_POSITION);

  return [sun, lamp, new THREE.AmbientLight(0xffffff, 0.35)];
}

function createCheckers(size, fields, light, dark) {
  const data = new Uint8Array(size * size * 4);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const even = (Math.floor((x * fields) / size) + Math.floor((y * fields) / size)) % 2 === 0;
      data.set([...(even ? light : dark), 255], (y * size + x) * 4);
    }
  }
  const texture = new THREE.DataTexture(data, size, size);
  texture.colorSpace = THREE.SRGBColorSpace;
  texture.wrapS = THREE.RepeatWrapping;
  texture.wrapT = THREE.RepeatWrapping;
  texture.magFilter = THREE.LinearFilter;
  texture.minFilter = THREE.LinearMipmapLinearFilter;
  texture.generateMipmaps = true;
  texture.needsUpdate = true;
  return texture;
}
