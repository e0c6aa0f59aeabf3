/** Writes `config.schema.json` and CONFIGURATION.md from the schemas in `src/daemon/sections`: `npm run reference`. */
import { writeFileSync } from 'node:fs';
import { reference, SCHEMA } from '../build/src/daemon/reference.js';

writeFileSync(new URL('../config.schema.json', import.meta.url), `${JSON.stringify(SCHEMA, null, 2)}\n`);
writeFileSync(new URL('../CONFIGURATION.md', import.meta.url), reference());
