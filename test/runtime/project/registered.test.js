import { compute } from './compute.js';

test('the GPU of navigator computes', async () => {
  expect(await compute(navigator.gpu)).toMatchObject({ sum: 42, refused: 'AbortError' });
});
