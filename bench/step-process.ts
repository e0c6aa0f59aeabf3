/** One process for one step, so that no other has shaped the machine code: name and seconds in, samples as JSON out. */
import { steps } from './steps.ts';
import { measure } from './suite.ts';

const [, , name = '', seconds = '1'] = process.argv;
console.log(JSON.stringify(measure(steps(false).get(name)!(), Number(seconds))));
