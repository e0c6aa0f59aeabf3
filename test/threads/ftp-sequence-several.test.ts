/** The tests of apps/sequence.test.ts, FTP behind NAT, with directors that work in two worker threads. */
process.env.LAB_THREADS = '2';
await import('../apps/sequence.test.ts');
