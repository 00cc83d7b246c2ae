// Draws the scan that the example measures, and says what is in it:
//
//   node draw-scan.mjs scan.nii
import { writeFileSync } from 'node:fs';
import { BALLS, ballVolume, bodyVolume, drawScan } from './scan.mjs';

const [file = 'scan.nii'] = process.argv.slice(2);
writeFileSync(file, drawScan());
console.log(`body ${bodyVolume().toFixed(2)} ml`);
for (const ball of BALLS) console.log(`ball ${ballVolume(ball).toFixed(2)} ml at ${ball.centre.join(' ')}`);
