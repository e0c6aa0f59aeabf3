/** The tests of core/tcp-states.test.ts with directors that work in two worker threads. */
process.env.LAB_THREADS = '2';
await import('../core/tcp-states.test.ts');
