/** The tests of core/tcp-states.test.ts with directors that work in a worker thread. */
process.env.LAB_THREADS = '1';
await import('../core/tcp-states.test.ts');
