// Runs another program in a worker of the page.
export default function main(program, ...args) {
  const code = `
    import run from '${location.origin}/programs/${program}.mjs';
    run(...${JSON.stringify(args)}).then(
      (value) => postMessage({ value }),
      (error) => postMessage({ error: String(error.stack ?? error) }),
    );
  `;
  const url = URL.createObjectURL(new Blob([code], { type: 'text/javascript' }));
  const worker = new Worker(url, { type: 'module' });
  return new Promise((resolve, reject) => {
    worker.onerror = (event) => reject(new Error(event.message));
    worker.onmessage = ({ data }) => {
      worker.terminate();
      if (data.error) reject(new Error(data.error));
      else resolve(data.value);
    };
  });
}
