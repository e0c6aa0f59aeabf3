/** The tests of core/ipv6.test.ts with directors that work in two worker threads. */
process.env.LAB_THREADS = '2';
await import('../core/ipv6.test.ts');
