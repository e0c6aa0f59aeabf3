{
  "targets": [
    {
      "target_name": "tapvs",
      "variables": { "werror%": "false" },
      "conditions": [
        ["OS=='linux'", {
          "sources": [
            "src/native/addon.c",
            "src/native/arguments.c",
            "src/native/attachment.c",
            "src/native/burst.c",
            "src/native/device.c",
            "src/native/frames.c",
            "src/native/handover.c",
            "src/native/memory.c",
            "src/native/notify.c",
            "src/native/packet.c",
            "src/native/packet-addon.c",
            "src/native/system.c",
            "src/native/tap.c",
            "src/native/uring.c",
            "src/native/vnet.c",
            "src/native/xdp.c",
            "src/native/xdp-program.c"
          ],
          "defines": ["NAPI_VERSION=8", "_GNU_SOURCE"],
          "cflags": ["-std=gnu11", "-Wall", "-Wextra", "-fvisibility=hidden"],
          "ldflags": ["-Wl,-z,nodelete"],
          "conditions": [["werror=='true'", { "cflags": ["-Werror"] }]]
        }, {
          "type": "none"
        }]
      ]
    }
  ]
}
