/** The tests of core/reassembly.test.ts with directors that work in two worker threads. */
process.env.LAB_THREADS = '2';
await import('../core/reassembly.test.ts');
