// Tells whether this browser has its own WebGPU, and passes the host's address on to the examples.
const status = document.querySelector('#status');
const adapter = await navigator.gpu?.requestAdapter();
status.textContent = adapter
  ? 'This browser has its own WebGPU; the examples use the host all the same.'
  : 'This browser has no WebGPU.';
for (const link of document.querySelectorAll('a')) link.search = location.search;
