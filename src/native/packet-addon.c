#include "packet-addon.h"

#include <errno.h>
#include <stdlib.h>

#include "arguments.h"
#include "device.h"
#include "packet.h"
#include "xdp.h"

static int32_t receive_packets(struct device *device, const struct burst *burst, int32_t room, int *end) {
  return packet_receive(device->port, burst, room, device->drops, end);
}

static int32_t transmit_packets(struct device *device, const struct burst *burst, int *end) {
  return packet_transmit(device->port, burst, device->drops, end);
}

static void count_missed_packets(struct device *device) {
  packet_count_missed(device->port, device->drops);
}

static void release_packet(void *port, int fd) {
  (void)fd; /* the port's own */
  packet_close(port);
}

static const struct device_kind PACKET = {
    .receive = receive_packets,
    .transmit = transmit_packets,
    .count_missed = count_missed_packets,
    .release = release_packet,
};

static int32_t receive_xdp(struct device *device, const struct burst *burst, int32_t room, int *end) {
  return xdp_receive(device->port, burst, room, device->drops, end);
}

static int32_t transmit_xdp(struct device *device, const struct burst *burst, int *end) {
  return xdp_transmit(device->port, burst, device->drops, end);
}

static void count_missed_xdp(struct device *device) {
  xdp_count_missed(device->port, device->drops);
}

static void release_xdp(void *port, int fd) {
  (void)fd; /* the port's own */
  xdp_close(port);
}

static const struct device_kind XDP = {
    .receive = receive_xdp,
    .transmit = transmit_xdp,
    .count_missed = count_missed_xdp,
    .release = release_xdp,
};

/* interface, namespacePath, mac, promiscuous; the path goes into `path`, of PATH_SIZE bytes. */
#define PATH_SIZE 4096
static bool get_options(napi_env env, const napi_value *arguments, char *path, struct attachment_options *options) {
  if (!get_text(env, arguments[0], "interface", options->interface, sizeof options->interface) ||
      !get_text(env, arguments[1], "namespacePath", path, PATH_SIZE) ||
      !get_mac(env, arguments[2], "mac", options->mac, &options->has_mac) ||
      !get_boolean(env, arguments[3], "promiscuous", &options->promiscuous))
    return false;
  options->namespace_path = path;
  return true;
}

/* { handles, mac, mtu }; NULL with an exception pending. */
static napi_value describe(napi_env env, napi_value handles, const struct attachment *attachment) {
  napi_value result;
  bool ok = napi_create_object(env, &result) == napi_ok &&
            napi_set_named_property(env, result, "handles", handles) == napi_ok &&
            set_bytes(env, result, "mac", attachment->mac, MAC_LENGTH) &&
            set_number(env, result, "mtu", attachment->mtu);
  return ok ? result : NULL;
}

struct packet_opening {
  const struct attachment_options *options;
  struct packet_port *ports[PACKET_MOST_QUEUES];
  int count;
};

static bool open_packet_step(void *argument, struct system_error *error) {
  const struct packet_opening *opening = argument;
  return packet_open(opening->options, opening->ports, opening->count, error);
}

static bool make_ports(struct packet_opening *opening) {
  for (int i = 0; i < opening->count; i++) {
    opening->ports[i] = malloc(sizeof **opening->ports);
    if (opening->ports[i] == NULL) return false;
  }
  return true;
}

/* Handles of open ports, which are theirs from now on, also on failure: then NULL, an exception pending. */
static napi_value make_packet_devices(napi_env env, const struct packet_opening *opening) {
  napi_value handles;
  bool ok = napi_create_array(env, &handles) == napi_ok;
  for (int i = 0; i < opening->count; i++) {
    struct packet_port *port = opening->ports[i];
    napi_value handle = make_device(env, &PACKET, port, port->attachment.events, opening->options->interface, true);
    ok = ok && handle != NULL && napi_set_element(env, handles, (uint32_t)i, handle) == napi_ok;
  }
  return ok ? handles : NULL;
}

/* openPacket(interface, namespacePath, mac, promiscuous, queues) -> { handles, mac, mtu } */
static napi_value open_packet(napi_env env, napi_callback_info callback) {
  napi_value arguments[5];
  struct attachment_options options = {0};
  struct system_error error = {ENOMEM, "malloc"};
  char path[PATH_SIZE];
  int32_t queues;
  if (!get_arguments(env, callback, 5, arguments) || !get_options(env, arguments, path, &options) ||
      !get_integer(env, arguments[4], "queues", 1, PACKET_MOST_QUEUES, &queues))
    return NULL;
  struct packet_opening opening = {.options = &options, .count = queues};
  if (make_ports(&opening) && in_namespace(path, open_packet_step, &opening, &error)) {
    const struct attachment attachment = opening.ports[0]->attachment;
    napi_value handles = make_packet_devices(env, &opening);
    return handles != NULL ? describe(env, handles, &attachment) : NULL;
  }
  for (int i = 0; i < queues; i++) free(opening.ports[i]);
  throw_system_error(env, &error, options.interface);
  return NULL;
}

struct xdp_opening {
  const struct xdp_request *request;
  struct xdp_port *port;
};

static bool open_xdp_step(void *argument, struct system_error *error) {
  const struct xdp_opening *opening = argument;
  return xdp_open(opening->request, opening->port, error);
}

/* openXdp(interface, namespacePath, mac, promiscuous, queue, mode) -> { handles, mac, mtu, mode } */
static napi_value open_xdp(napi_env env, napi_callback_info callback) {
  napi_value arguments[6];
  struct xdp_request request = {0};
  struct system_error error = {ENOMEM, "malloc"};
  char path[PATH_SIZE];
  int32_t queue;
  int32_t mode;
  if (!get_arguments(env, callback, 6, arguments) || !get_options(env, arguments, path, &request.attachment) ||
      !get_integer(env, arguments[4], "queue", -1, INT16_MAX, &queue) ||
      !get_integer(env, arguments[5], "mode", XDP_ANY, XDP_GENERIC, &mode))
    return NULL;
  request.queue = queue;
  request.mode = (enum xdp_mode)mode;
  struct xdp_port *port = malloc(sizeof *port);
  struct xdp_opening opening = {&request, port};
  if (port != NULL && in_namespace(path, open_xdp_step, &opening, &error)) {
    const struct xdp_port opened = *port;
    napi_value handle = make_device(env, &XDP, port, opened.attachment.events, request.attachment.interface, false);
    napi_value handles;
    bool ok = handle != NULL && napi_create_array(env, &handles) == napi_ok &&
              napi_set_element(env, handles, 0, handle) == napi_ok;
    napi_value result = ok ? describe(env, handles, &opened.attachment) : NULL;
    ok = result != NULL && set_number(env, result, "mode", opened.program.mode);
    return ok ? result : NULL;
  }
  free(port);
  throw_system_error(env, &error, request.attachment.interface);
  return NULL;
}

void define_packet_functions(napi_env env, napi_value exports) {
  const napi_property_descriptor functions[] = {
      {.utf8name = "openPacket", .method = open_packet, .attributes = napi_enumerable},
      {.utf8name = "openXdp", .method = open_xdp, .attributes = napi_enumerable},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
}
