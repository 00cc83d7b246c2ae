/**
 * Writes an image as planes of one color each, as PaddleOCR's models take it: blue, green, red, the order of OpenCV.
 *
 * @param width of a row in `data`.
 * @param scaled what a byte becomes.
 */
export function planes(image, data, width, scaled) {
  const size = data.length / 3;
  for (let channel = 0; channel < 3; channel++) {
    for (let y = 0; y < image.height; y++) {
      for (let x = 0; x < image.width; x++) {
        const value = image.data[(y * image.width + x) * 4 + 2 - channel];
        data[channel * size + y * width + x] = scaled(value, channel);
      }
    }
  }
}
