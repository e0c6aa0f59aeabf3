/** This machine or this user cannot run the lab. The message is one sentence that says what is missing. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';
}
