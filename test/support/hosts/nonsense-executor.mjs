// An executor process that speaks another protocol on its pipe.
import { writeSync } from 'node:fs';

process.on('disconnect', () => process.exit());
writeSync(3, Buffer.alloc(100, 255));
