import test from 'ava';
import { FakeControl } from './fake-control.ts';
import { play, readRecordings } from './recordings.ts';

/** The one deliberate difference: `-p` without a value, 300 s as in the manual instead of the program's 360. */
function manualPersistence(out: string): string {
  return out.replace(/(-p|persistent) 360\b/g, '$1 300');
}

for (const recording of readRecordings('ipvsadm/corpus')) {
  test(`answers as ipvsadm 1.31 does: ${recording.about}`, (t) => {
    t.deepEqual(play(recording, new FakeControl(), manualPersistence), []);
  });
}
