/** Numbers from -0.5 to 0.5, the same at each call with the same seed, in steps that single precision has too. */
export function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 12) / 2 ** 20 - 0.5;
  };
}

/** So many of them, in single precision. */
export function randomArray(length, seed, scale = 1) {
  const random = randomNumbers(seed);
  return Float32Array.from({ length }, () => random() * scale);
}
