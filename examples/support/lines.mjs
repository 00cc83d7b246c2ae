// Draws lines into an image of the examples, for Node and pages.

/** A line with round ends. The color of each pixel depends on its distance from the line, which smooths the edges. */
export function drawLine(image, from, to, radius, colour) {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const lengthSquared = dx * dx + dy * dy || 1;
  const reach = radius + 1;
  const left = Math.max(0, Math.floor(Math.min(from.x, to.x) - reach));
  const right = Math.min(image.width - 1, Math.ceil(Math.max(from.x, to.x) + reach));
  const top = Math.max(0, Math.floor(Math.min(from.y, to.y) - reach));
  const bottom = Math.min(image.height - 1, Math.ceil(Math.max(from.y, to.y) + reach));
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      const along = Math.min(1, Math.max(0, ((x - from.x) * dx + (y - from.y) * dy) / lengthSquared));
      const distance = Math.hypot(x - from.x - along * dx, y - from.y - along * dy);
      const cover = Math.min(1, Math.max(0, radius + 0.5 - distance));
      if (cover > 0) blend(image, x, y, colour, cover);
    }
  }
}

/** The outline of a box, `[left, top, right, bottom]`. */
export function drawBox(image, [left, top, right, bottom], colour = [220, 40, 40]) {
  const corners = [
    { x: left, y: top },
    { x: right, y: top },
    { x: right, y: bottom },
    { x: left, y: bottom },
  ];
  for (const [at, corner] of corners.entries()) drawLine(image, corner, corners[(at + 1) % 4], 1, colour);
}

function blend({ width, data }, x, y, colour, cover) {
  const at = (y * width + x) * 4;
  for (let channel = 0; channel < 3; channel++) {
    data[at + channel] = data[at + channel] * (1 - cover) + colour[channel] * cover;
  }
}
