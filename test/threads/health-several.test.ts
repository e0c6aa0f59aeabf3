/** The tests of health/watch.test.ts with directors that work in two worker threads. */
process.env.LAB_THREADS = '2';
await import('../health/watch.test.ts');
