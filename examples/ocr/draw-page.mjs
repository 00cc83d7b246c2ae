// Draws the page that the example reads:
//
//   node draw-page.mjs page.png
import { writePng } from '../support/image.mjs';
import { drawPage } from './page.mjs';

const [file = 'page.png'] = process.argv.slice(2);
writePng(file, drawPage());
