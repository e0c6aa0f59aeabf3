/** The tests of core/neighbours.test.ts with directors that work in a worker thread. */
process.env.LAB_THREADS = '1';
await import('../core/neighbours.test.ts');
