#include "xdp-program.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bpf(enum bpf_cmd command, union bpf_attr *attributes) {
  return (int)syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

/*
 * All of the union, which the kernel wants to be 0 where it is not used: what an initializer leaves behind the member that it
 * names is the compiler's business (GCC 15 leaves what was there).
 */
static void clear(union bpf_attr *attributes) {
  memset(attributes, 0, sizeof *attributes);
}

static bool make_map(struct xdp_program *program, int queue, int socket, struct system_error *error) {
  union bpf_attr attributes;
  clear(&attributes);
  attributes.map_type = BPF_MAP_TYPE_XSKMAP;
  attributes.key_size = sizeof queue;
  attributes.value_size = sizeof socket;
  attributes.max_entries = (uint32_t)queue + 1;
  program->map = bpf(BPF_MAP_CREATE, &attributes);
  if (program->map < 0) return failed(error, "bpf BPF_MAP_CREATE", errno);
  clear(&attributes);
  attributes.map_fd = (uint32_t)program->map;
  attributes.key = (uintptr_t)&queue;
  attributes.value = (uintptr_t)&socket;
  if (bpf(BPF_MAP_UPDATE_ELEM, &attributes) < 0) return failed(error, "bpf BPF_MAP_UPDATE_ELEM", errno);
  return true;
}

/*
 * return bpf_redirect_map(map, context->rx_queue_index, XDP_PASS): what it does with a queue that the map has no socket
 * for is its third argument. Written as instructions: five of them are no reason to ask for a compiler.
 */
static int load_program(int map) {
  const struct bpf_insn instructions[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_W,
       .dst_reg = BPF_REG_2,
       .src_reg = BPF_REG_1,
       .off = offsetof(struct xdp_md, rx_queue_index)},
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map},
      {0}, /* the upper half of the 64-bit constant */
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = XDP_PASS},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr attributes;
  clear(&attributes);
  attributes.prog_type = BPF_PROG_TYPE_XDP;
  attributes.insn_cnt = sizeof instructions / sizeof *instructions;
  attributes.insns = (uintptr_t)instructions;
  attributes.license = (uintptr_t) "MIT";
  strcpy(attributes.prog_name, "tapvs");
  return bpf(BPF_PROG_LOAD, &attributes);
}

static int link_program(int program, int interface, uint32_t flags) {
  union bpf_attr attributes;
  clear(&attributes);
  attributes.link_create.prog_fd = (uint32_t)program;
  attributes.link_create.target_ifindex = (uint32_t)interface;
  attributes.link_create.attach_type = BPF_XDP;
  attributes.link_create.flags = flags;
  return bpf(BPF_LINK_CREATE, &attributes);
}

/* A driver that cannot run programs, or not on this interface as it is, says so in one of many ways. */
static bool place_program(struct xdp_program *program, int code, int interface, enum xdp_mode mode,
                          struct system_error *error) {
  program->mode = XDP_NATIVE;
  program->link = mode == XDP_GENERIC ? -1 : link_program(code, interface, XDP_FLAGS_DRV_MODE);
  bool occupied = errno == EBUSY || errno == EEXIST || errno == EPERM;
  if (mode == XDP_GENERIC || (program->link < 0 && mode == XDP_ANY && !occupied)) {
    program->mode = XDP_GENERIC;
    program->link = link_program(code, interface, XDP_FLAGS_SKB_MODE);
  }
  return program->link >= 0 || failed(error, "bpf BPF_LINK_CREATE", errno);
}

bool attach_program(struct xdp_program *program, int interface, int queue, int socket, enum xdp_mode mode,
                    struct system_error *error) {
  *program = (struct xdp_program){.map = -1, .link = -1};
  if (make_map(program, queue, socket, error)) {
    int code = load_program(program->map);
    if (code < 0) {
      failed(error, "bpf BPF_PROG_LOAD", errno);
    } else {
      bool ok = place_program(program, code, interface, mode, error);
      close_quietly(code); /* the link holds it */
      if (ok) return true;
    }
  }
  detach_program(program);
  return false;
}

void detach_program(struct xdp_program *program) {
  if (program->link >= 0) close_quietly(program->link);
  if (program->map >= 0) close_quietly(program->map);
  program->link = program->map = -1;
}
