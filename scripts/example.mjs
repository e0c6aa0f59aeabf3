/** `npm run example -- NAME`: runs a compiled example. Without a name it says which there are. */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const names = readdirSync(join(root, 'examples'))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -'.ts'.length));

const [, , name] = process.argv;
if (names.includes(name)) {
  await import(pathToFileURL(join(root, 'build', 'examples', `${name}.js`)));
} else {
  if (name !== undefined) console.error(`There is no example '${name}'.`);
  console.error(`npm run example -- NAME, where NAME is one of: ${names.join(', ')}`);
  process.exitCode = 2;
}
