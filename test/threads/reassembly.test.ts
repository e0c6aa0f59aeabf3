/** The tests of core/reassembly.test.ts with directors that work in a worker thread. */
process.env.LAB_THREADS = '1';
await import('../core/reassembly.test.ts');
