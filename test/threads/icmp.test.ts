/** The tests of core/icmp.test.ts with directors that work in a worker thread. */
process.env.LAB_THREADS = '1';
await import('../core/icmp.test.ts');
