/** The tests of core/drain.test.ts with directors that work in two worker threads. */
process.env.LAB_THREADS = '2';
await import('../core/drain.test.ts');
