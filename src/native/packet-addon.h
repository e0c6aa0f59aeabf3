/* Existing interfaces as devices of the addon. */
#ifndef TAPVS_PACKET_ADDON_H
#define TAPVS_PACKET_ADDON_H

#include <node_api.h>

/* openPacket, openXdp */
void define_packet_functions(napi_env env, napi_value exports);

#endif
