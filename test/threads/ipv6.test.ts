/** The tests of core/ipv6.test.ts with directors that work in a worker thread. */
process.env.LAB_THREADS = '1';
await import('../core/ipv6.test.ts');
