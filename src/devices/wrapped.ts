/** What wrappers of a device have in common: they are that device, but for what they do to its frames. */
import type { Device, FrameBatch } from './device.ts';
import { checkDevice } from './options.ts';

export abstract class WrappedDevice implements Device {
  /** The device within. */
  protected readonly device: Device;

  /** @throws DirectorError ERR_INVALID_OPTION */
  constructor(device: Device) {
    checkDevice(device);
    this.device = device;
  }

  get name(): string {
    return this.device.name;
  }

  get mac(): string {
    return this.device.mac;
  }

  get mtu(): number {
    return this.device.mtu;
  }

  get checksumOffload(): boolean {
    return this.device.checksumOffload === true;
  }

  get segmentation(): number {
    return this.device.segmentation ?? 0;
  }

  get largestFrame(): number {
    return this.device.largestFrame ?? 0;
  }

  open(wake: () => void, fail: (error: Error) => void): void {
    this.device.open(wake, fail);
  }

  abstract receive(batch: FrameBatch): number;

  abstract transmit(batch: FrameBatch): number;

  close(): void {
    this.device.close();
  }
}
