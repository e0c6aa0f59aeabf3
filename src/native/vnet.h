/*
 * The virtio-net header in front of a frame (virtio 1.2, 5.1.6; 10 bytes, little endian), there and back between it and
 * the two words that JavaScript has of a frame (`partial`, `segments` of src/devices/device.ts).
 */
#ifndef TAPVS_VNET_H
#define TAPVS_VNET_H

#include <stdbool.h>
#include <stdint.h>

/* What the header of a received frame says. False when no frame of this length can have such a header. */
bool vnet_read(const uint8_t *header, int32_t length, int32_t *partial, int32_t *segments);

/* Writes the header of a frame that is to be sent. False when the words do not fit the frame. */
bool vnet_write(uint8_t *header, const uint8_t *frame, int32_t length, int32_t partial, int32_t segments);

#endif
