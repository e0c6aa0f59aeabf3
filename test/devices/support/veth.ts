import type { ExecutionContext } from 'ava';
import { PacketDevice, type PacketOptions } from '../../../src/devices/packet.ts';
import { Namespace } from './namespace.ts';

/** Two namespaces connected by a veth: `wire0` in the first, `wire1` in the second. */
export function connect(t: ExecutionContext): [near: Namespace, far: Namespace] {
  const near = new Namespace(t);
  const far = new Namespace(t);
  near.ip('link', 'add', 'wire0', 'type', 'veth', 'peer', 'name', 'wire1', 'netns', far.name);
  near.ip('link', 'set', 'wire0', 'up');
  far.ip('link', 'set', 'wire1', 'up');
  return [near, far];
}

/** A PacketDevice on `wire0`, or elsewhere, until the test is over. */
export function open(t: ExecutionContext, namespace: Namespace, options: Partial<PacketOptions> = {}): PacketDevice {
  const device = PacketDevice.open({ interface: 'wire0', namespace: namespace.name, ...options });
  t.teardown(() => device.close());
  return device;
}
