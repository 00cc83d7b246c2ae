/** Smaller segments are noise. In voxels. */
const LEAST = 20;

/**
 * Each connected segment that is not of class 0, by class and from large to small: its volume in millilitres, and its
 * centre in millimetres from the first voxel, as x, y, z.
 */
export function measure({ labels, spacing }) {
  const [z, y, x] = spacing.data;
  const found = [...segments(labels)]
    .filter(({ voxels }) => voxels >= LEAST)
    .sort((a, b) => a.class - b.class || b.voxels - a.voxels);
  const centres = found.flatMap(({ sum, voxels }) =>
    [x, y, z].map((each, axis) => (each * sum[axis]) / voxels),
  );
  return {
    class: { data: Int32Array.from(found, (segment) => segment.class) },
    ml: { data: Float32Array.from(found, ({ voxels }) => (voxels * x * y * z) / 1000) },
    centre: { shape: [found.length, 3], data: Float32Array.from(centres) },
  };
}

/** Voxels of one class that share faces. */
function* segments({ shape, data }) {
  const [depth, height, width] = shape;
  const seen = new Uint8Array(data.length);
  for (let start = 0; start < data.length; start++) {
    if (seen[start] || data[start] === 0) continue;
    const segment = { class: data[start], voxels: 0, sum: [0, 0, 0] };
    const open = [start];
    seen[start] = 1;
    const visit = (at) => {
      if (seen[at] || data[at] !== segment.class) return;
      seen[at] = 1;
      open.push(at);
    };
    while (open.length > 0) {
      const at = open.pop();
      const x = at % width;
      const y = Math.floor(at / width) % height;
      const z = Math.floor(at / (width * height));
      segment.voxels += 1;
      for (const [axis, place] of [x, y, z].entries()) segment.sum[axis] += place;
      if (x > 0) visit(at - 1);
      if (x < width - 1) visit(at + 1);
      if (y > 0) visit(at - width);
      if (y < height - 1) visit(at + width);
      if (z > 0) visit(at - width * height);
      if (z < depth - 1) visit(at + width * height);
    }
    yield segment;
  }
}
