/** The tests of core/transparent.test.ts with directors that work in a worker thread. */
process.env.LAB_THREADS = '1';
await import('../core/transparent.test.ts');
