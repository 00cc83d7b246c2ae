// Many sessions at once, each as fast as it can: does each get its share?
import { startHost, startProgram } from '../processes.mjs';

const PROCESSES = 10;
const SESSIONS_EACH = 5;
const SECONDS = 20;

export async function measureFairness() {
  const host = await startHost('null');
  const clients = [];
  try {
    // One after the other, since the cost of starting is another question.
    for (let process = 0; process < PROCESSES; process += 1) {
      const client = startProgram('kernel-sessions', [host.url, SESSIONS_EACH, SECONDS]);
      clients.push(client);
      await client.next();
    }
    for (const client of clients) client.tell('go');
    const steps = [];
    for (const client of clients) steps.push(...(await client.next()).steps);
    const mean = steps.reduce((sum, each) => sum + each) / steps.length;
    const [slowest, fastest] = [Math.min(...steps), Math.max(...steps)];
    console.log(
      `\n${steps.length} sessions of ${PROCESSES} processes, a small kernel over and over for ${SECONDS} s: ` +
        `${mean.toFixed(0)} steps in the mean, the slowest session ${(slowest / mean).toFixed(2)} of that, ` +
        `the fastest ${(fastest / mean).toFixed(2)}`,
    );
    return { steps, mean, slowestShare: slowest / mean, fastestShare: fastest / mean };
  } finally {
    await Promise.all(clients.map((client) => client.stop()));
    await host.stop();
  }
}
