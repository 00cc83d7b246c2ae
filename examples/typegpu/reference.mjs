// The same simulation in plain JavaScript, in double precision. Vectors are arrays of three numbers.
import { randomNumbers } from '../support/random.mjs';

/** Bodies in a cube, the same at each call. */
export function createBodies(count) {
  const random = randomNumbers(1);
  const vector = (scale) => [random() * scale, random() * scale, random() * scale];
  return Array.from({ length: count }, () => ({
    position: vector(2),
    mass: Math.fround((random() + 1.5) / count),
    velocity: vector(1),
  }));
}

export function simulate(bodies, steps, { step, softening }) {
  let state = bodies;
  for (let count = 0; count < steps; count++) {
    state = state.map(({ position, mass, velocity }) => {
      const force = [0, 0, 0];
      for (const other of state) {
        const towards = plus(other.position, position, -1);
        const square = towards.reduce((sum, value) => sum + value * value, softening);
        for (let axis = 0; axis < 3; axis++) force[axis] += towards[axis] * other.mass * square ** -1.5;
      }
      const faster = plus(velocity, force, step);
      return { position: plus(position, faster, step), mass, velocity: faster };
    });
  }
  return state;
}

function plus(a, b, scale) {
  return a.map((value, axis) => value + b[axis] * scale);
}
