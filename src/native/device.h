/*
 * An open device as JavaScript holds it: its life, from opening to the last callback of libuv, and its wake-ups. How frames
 * are moved is its kind's.
 */
#ifndef TAPVS_DEVICE_H
#define TAPVS_DEVICE_H

#include <net/if.h>
#include <node_api.h>
#include <stdbool.h>
#include <uv.h>

#include "burst.h"

struct device;

/* What kinds of devices do each in their own way. */
struct device_kind {
  /* Fills up to burst->count frames. Returns how many; *end says why it stopped. */
  int32_t (*receive)(struct device *device, const struct burst *burst, int32_t room, int *end);
  /* Sends burst->count frames. Returns how many the kernel took; *end says why it stopped. */
  int32_t (*transmit)(struct device *device, const struct burst *burst, int *end);
  /* Asks the kernel for drops->missed; NULL where it counts none. */
  void (*count_missed)(struct device *device);
  /* Gives up what cannot go to another thread, and becomes of a kind that has none; NULL where everything can. */
  void (*leave_behind)(struct device *device);
  /* Closes the descriptor and whatever else the kind has opened; called once. */
  void (*release)(void *port, int fd);
};

enum poll_state {
  NOT_STARTED, /* no wake-up asked for; libuv does not know the descriptor */
  POLLING,
  RESTING, /* woke JavaScript, which has not received since: no more calls until it does */
  CLOSING, /* libuv still holds the watcher, its last callback is to come */
  CLOSED,
};

/* One descriptor. Lives until both its JavaScript handle is gone and libuv has let go of the watcher. */
struct device {
  struct device *next; /* among those of the thread */
  const struct device_kind *kind;
  void *port; /* the kind's own, from malloc; freed with the device */
  napi_env env;
  int fd; /* what is polled; -1 once closed, or another's */
  char name[IFNAMSIZ];
  bool offload; /* frames have a virtio-net header */
  struct drops *drops;
  int failure; /* errno by which a read or write found the interface gone; the watcher reports it */
  enum poll_state state;
  bool received;  /* receive was called since JavaScript was woken */
  bool collected; /* the JavaScript handle is gone */
  uv_poll_t watcher;
  napi_ref wake;                          /* the function to call, while started */
  napi_async_cleanup_hook_handle cleanup; /* while libuv holds the watcher */
};

/*
 * A handle for a descriptor and what else its kind has opened, which is the handle's from now on, also on failure: then
 * NULL, an exception pending.
 */
napi_value make_device(napi_env env, const struct device_kind *kind, void *port, int fd, const char *name, bool offload);

/* The device of a handle; NULL with an exception pending when it is none. */
struct device *get_device(napi_env env, napi_value value);

/* The device of a call that needs it open; NULL with an exception pending. */
struct device *get_open_device(napi_env env, napi_value value);

/* From now on wake() is called when there is something to read. False with an exception pending. */
bool start_polling(struct device *device, napi_value wake);

/* JavaScript has received: it may be woken again. */
void received_from(struct device *device);

/* Closes the device in whatever state it is; again does nothing. */
void close_device(struct device *device);

/* As if it were closed, but its descriptor and port stay open, and are the caller's. */
void abandon_device(struct device *device);

#endif
