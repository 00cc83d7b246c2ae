// Says whether this browser has WebGPU of its own, and hands the host's address on to the examples.
const status = document.querySelector('#status');
const adapter = await navigator.gpu?.requestAdapter();
status.textContent = adapter
  ? 'This browser has WebGPU of its own; the examples use the host all the same.'
  : 'This browser has no WebGPU of its own.';
for (const link of document.querySelectorAll('a')) link.search = location.search;
