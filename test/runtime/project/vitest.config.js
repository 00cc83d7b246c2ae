export default { test: { include: ['*.test.js'], globals: true, pool: 'vmThreads', maxWorkers: 1 } };
