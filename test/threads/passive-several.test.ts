/** The tests of health/passive.test.ts with directors that work in two worker threads. */
process.env.LAB_THREADS = '2';
await import('../health/passive.test.ts');
