#include "vnet.h"

#include <string.h>

#include "tap.h"

/* Where the fields are, and what they hold. */
#define FLAGS 0
#define GSO_TYPE 1
#define HDR_LEN 2
#define GSO_SIZE 4
#define CSUM_START 6
#define CSUM_OFFSET 8
#define NEEDS_CSUM 1

#define GSO_NONE 0
#define GSO_TCPV4 1
#define GSO_TCPV6 4
#define GSO_UDP_L4 5
#define GSO_ECN 0x80

#define ETHERNET_HEADER 14
#define TCP_HEADER 20
#define TCP_DATA_OFFSET 12
#define UDP_HEADER 8

static uint32_t get16(const uint8_t *at) {
  return (uint32_t)(at[0] | at[1] << 8);
}

static void put16(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)value;
  at[1] = (uint8_t)(value >> 8);
}

static bool is_tcp(uint32_t kind) {
  return (kind & ~GSO_ECN) == GSO_TCPV4 || (kind & ~GSO_ECN) == GSO_TCPV6;
}

static bool fits(uint32_t start, uint32_t field, int32_t length) {
  return start >= ETHERNET_HEADER && field >= start && field + 2 <= (uint32_t)length && field <= 0xffff;
}

bool vnet_read(const uint8_t *header, int32_t length, int32_t *partial, int32_t *segments) {
  *partial = 0;
  *segments = 0;
  if (header[FLAGS] & NEEDS_CSUM) {
    uint32_t start = get16(header + CSUM_START);
    uint32_t field = start + get16(header + CSUM_OFFSET);
    if (!fits(start, field, length)) return false;
    *partial = (int32_t)(start << 16 | field);
  }
  uint32_t kind = header[GSO_TYPE];
  if (kind == GSO_NONE) return true;
  uint32_t size = get16(header + GSO_SIZE);
  /* The kernel marks the checksum of each frame that is to be cut as incomplete, since each segment gets its own. */
  if ((!is_tcp(kind) && kind != GSO_UDP_L4) || size == 0 || *partial == 0) return false;
  *segments = (int32_t)(kind << 16 | size);
  return true;
}

/* Bytes up to the payload, which the kernel wants in one piece and copies in front of each segment; 0 when there are not. */
static uint32_t headers_length(const uint8_t *frame, uint32_t length, uint32_t kind, uint32_t start) {
  uint32_t transport = is_tcp(kind) ? TCP_HEADER : UDP_HEADER;
  if (start + transport > length) return 0;
  if (is_tcp(kind)) transport = (uint32_t)(frame[start + TCP_DATA_OFFSET] >> 4) * 4;
  if (is_tcp(kind) && transport < TCP_HEADER) return 0;
  uint32_t total = start + transport;
  return total <= length && total <= 0xffff ? total : 0;
}

bool vnet_write(uint8_t *header, const uint8_t *frame, int32_t length, int32_t partial, int32_t segments) {
  memset(header, 0, VNET_HEADER);
  if (partial != 0) {
    uint32_t start = (uint32_t)partial >> 16;
    uint32_t field = (uint32_t)partial & 0xffff;
    if (!fits(start, field, length)) return false;
    header[FLAGS] = NEEDS_CSUM;
    put16(header + CSUM_START, start);
    put16(header + CSUM_OFFSET, field - start);
  }
  if (segments == 0) return true;
  uint32_t kind = (uint32_t)segments >> 16;
  uint32_t size = (uint32_t)segments & 0xffff;
  if ((!is_tcp(kind) && kind != GSO_UDP_L4) || size == 0 || partial == 0) return false;
  uint32_t headers = headers_length(frame, (uint32_t)length, kind, (uint32_t)partial >> 16);
  if (headers == 0) return false;
  header[GSO_TYPE] = (uint8_t)kind;
  put16(header + HDR_LEN, headers);
  put16(header + GSO_SIZE, size);
  return true;
}
