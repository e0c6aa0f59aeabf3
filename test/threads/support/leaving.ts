/** A user's module that ends the thread that loads it. */
process.exit(3);

export const leaving = null;
