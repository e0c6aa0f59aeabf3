/*
 * The frame path's work in C, for comparison: what pipeline.ts does to a burst of established connections, step by step
 * and in the same order, on the same memory layout: rows of 16 words found through a chained hash, own addresses in a
 * small open-addressed map, counters in doubles, an expiry written with each packet. Arguments, input and output as in
 * bench/burst.ts.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* ---- Traffic: see traffic.ts ---------------------------------------------------------------------------------- */

enum {
	BURST = 64,
	QUEUE = 2 * BURST,
	POLL = 512,
	DIGESTED = 1024,
	FRAME_LENGTH = 60,
	LEAD = 2,
	RECORD = 64,
	HEADROOM = 66,
	SLOT = 1600 + 64,
	ETHERNET = 14,
	SERVERS = 4,
	VIRTUAL_PORT = 80,
	SERVER_PORT = 8080,
	TH_FIN = 1, TH_SYN = 2, TH_RST = 4, TH_ACK = 16,
};

#define VIP 0x0a000064u
#define OWN 0x0a000001u
#define GATEWAY 0x0a0000feu
#define FIRST_SERVER 0x0a00000bu
#define FIRST_CLIENT 0x10000000u

static uint16_t get16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return ntohs(v); }
static uint32_t get32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return ntohl(v); }
static void put16(uint8_t *p, uint16_t v) { v = htons(v); memcpy(p, &v, 2); }
static void put32(uint8_t *p, uint32_t v) { v = htonl(v); memcpy(p, &v, 4); }

static uint32_t sum_bytes(const uint8_t *p, int length, uint32_t sum)
{
	for (int i = 0; i + 2 <= length; i += 2)
		sum += get16(p + i);
	return sum;
}

static uint16_t finish(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static uint16_t client_port(uint32_t flow) { return 1024 + flow % 50000; }

static void make_frame(uint8_t *frame, uint32_t flow, bool reply, uint32_t server)
{
	static const uint8_t header[ETHERNET] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0xfe, 0xfe, 8, 0 };
	uint8_t *ip = frame + ETHERNET, *tcp = ip + 20;

	memcpy(frame, header, ETHERNET);
	memset(ip, 0, FRAME_LENGTH - ETHERNET);
	ip[0] = 0x45;
	put16(ip + 2, FRAME_LENGTH - ETHERNET);
	put16(ip + 4, 1);
	put16(ip + 6, 0x4000);
	ip[8] = 64;
	ip[9] = 6;
	put32(ip + 12, reply ? server : FIRST_CLIENT + flow);
	put32(ip + 16, reply ? FIRST_CLIENT + flow : VIP);
	put16(ip + 10, finish(sum_bytes(ip, 20, 0)));
	put16(tcp, reply ? SERVER_PORT : client_port(flow));
	put16(tcp + 2, reply ? client_port(flow) : VIRTUAL_PORT);
	put32(tcp + 4, 1000);
	tcp[12] = 0x50;
	tcp[13] = TH_ACK;
	put16(tcp + 14, 64240);
	memset(tcp + 20, 'x', 6);
	put16(tcp + 16, finish(sum_bytes(tcp, 26, sum_bytes(ip + 12, 8, 6 + 26))));
}

/* ---- Tables ---------------------------------------------------------------------------------------------------- */

enum { PORTS, META, FLAGS, DEST, CONTROL, EXPIRES, TIMEOUT, IN_PKTS, NEXT, TIMER_NEXT, TIMER_PREV, N_CONTROL, MARK, CADDR, VADDR, DADDR, STRIDE };
enum { MASQ = 0, TUNNEL = 2, ROUTE = 3, FWD_MASK = 7, HASHED = 0x40, NOOUTPUT = 0x80, INACTIVE = 0x100, NO_CPORT = 0x800, TEMPLATE = 0x1000, ONE_PACKET = 0x2000, HELPED = 0x1000000, ELSEWHERE = 0x4000000 };
enum { NONE, ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT, TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, LISTEN, SYNACK };
enum { INPUT, OUTPUT, INPUT_ONLY };
enum { V_MASQ, V_TUNNEL, V_ROUTE, V_REPLY, V_FORWARDED, V_LOCAL, V_DROPPED, V_COUNT };
enum { PASS = -1 };

struct stats { double counts[5]; };
enum { CONNS, IN_PACKETS, OUT_PACKETS, IN_BYTES, OUT_BYTES };

struct interface { int index, vlan, header, mtu; uint32_t mac_low; uint16_t mac_high; };
struct neighbour { struct interface *interface; uint32_t address, mac_low; uint16_t mac_high; int state; };
enum { INCOMPLETE, REACHABLE, STALE, DELAY, PROBE, PERMANENT };
struct hop { struct neighbour *neighbour; uint32_t source; int mtu; };
struct service { struct stats stats; };
struct destination { uint32_t address; int method, tunnel_type; bool available; int active, inactive; struct service *service; struct stats stats; };
struct route { uint32_t address, mask; struct interface *interface; uint32_t gateway; struct neighbour *neighbour; };

/* Open addressing, as address-map.ts. */
struct map { uint32_t keys[16]; void *values[16]; };

static int home(uint32_t address) { return (address * 0x9e3779b1u) >> 16 & 15; }

static void *map_get(const struct map *map, uint32_t address)
{
	for (int i = home(address);; i = (i + 1) & 15)
		if (!map->values[i] || map->keys[i] == address)
			return map->values[i];
}

static void map_set(struct map *map, uint32_t address, void *value)
{
	int i = home(address);

	while (map->values[i])
		i = (i + 1) & 15;
	map->keys[i] = address;
	map->values[i] = value;
}

static int32_t *rows;
static int32_t *heads;
static uint32_t bucket_mask;
static const uint32_t seed = 0x1234567;
static int without_client_port;

static struct interface interface = { 0, 0, ETHERNET, 1500, 0x00000001, 0x0200 };
static struct neighbour neighbours[SERVERS + 1];
static struct destination destinations[SERVERS];
static struct hop hops[SERVERS];
static struct service service;
static struct stats total;
static struct map own, broadcasts;
static struct route routes[2];
static double verdicts[V_COUNT];
static uint8_t tcp_table[3 * 4 * 16];
static int32_t tcp_timeouts[11];
static int tick;
/* Tunables and what there is: never the same at compile time. */
static volatile struct { int forwarding, services4, nat_icmp_send, backup_only, expire_nodest_conn, rules; } options = { 1, 1, 0, 0, 0, 0 };

static uint32_t bucket(int protocol, uint32_t client, int port)
{
	uint32_t h = seed;

	h = (h ^ client) * 0x9e3779b1u;
	h ^= h >> 15;
	h = (h ^ (uint32_t)(protocol << 16 | port)) * 0x85ebca6bu;
	h ^= h >> 13;
	h *= 0xc2b2ae35u;
	return (h ^ h >> 16) & bucket_mask;
}

/* ---- The packet at hand ---------------------------------------------------------------------------------------- */

static struct packet {
	uint8_t *ip;
	int interface, length, header_length, protocol, fragment, source_port, destination_port, tcp_flags, largest_fragment;
	uint32_t source, destination;
	bool to_host, has_ports, has_transport;
} packet;

static bool has_port_numbers(int protocol) { return protocol == 6 || protocol == 17 || protocol == 132; }
static int transport_header(int protocol) { return protocol == 6 ? 20 : protocol == 17 ? 8 : 12; }

static bool dissect(uint8_t *ip, int available)
{
	struct packet *p = &packet;

	if (available < 20 || ip[0] >> 4 != 4)
		return false;
	int header_length = (ip[0] & 15) << 2, length = get16(ip + 2);
	if (header_length < 20 || length < header_length || length > available)
		return false;
	if (finish(sum_bytes(ip, header_length, 0)) != 0)
		return false;
	p->ip = ip;
	p->length = length;
	p->header_length = header_length;
	p->protocol = ip[9];
	p->fragment = get16(ip + 6) & 0x3fff;
	p->largest_fragment = 0;
	p->source = get32(ip + 12);
	p->destination = get32(ip + 16);
	p->source_port = p->destination_port = p->tcp_flags = 0;
	p->has_ports = p->has_transport = false;
	int rest = length - header_length;
	uint8_t *transport = ip + header_length;
	if (!has_port_numbers(p->protocol) || (p->fragment & 0x1fff) || rest < 4)
		return true;
	p->has_ports = true;
	p->source_port = get16(transport);
	p->destination_port = get16(transport + 2);
	if (rest < transport_header(p->protocol))
		return true;
	p->has_transport = true;
	if (p->protocol == 6)
		p->tcp_flags = transport[13];
	return true;
}

static bool is_host_address(uint32_t address)
{
	uint32_t first = address >> 24;

	return first != 0 && first != 127 && first < 224;
}

/* ---- Sending --------------------------------------------------------------------------------------------------- */

static uint8_t *memory;
static int offsets[BURST], lengths[BURST];
static struct { int offsets[QUEUE], lengths[QUEUE], partial[QUEUE], count; } outgoing;

static void flush(void);

static void send_ip(uint8_t *ip, int length, struct neighbour *neighbour)
{
	struct interface *on = neighbour->interface;
	uint8_t *frame = ip - on->header;

	if (neighbour->state == INCOMPLETE || length > on->mtu)
		abort();
	if (neighbour->state == STALE)
		neighbour->state = DELAY;
	put16(frame, neighbour->mac_high);
	put32(frame + 2, neighbour->mac_low);
	put16(frame + 6, on->mac_high);
	put32(frame + 8, on->mac_low);
	put16(ip - 2, 0x0800);
	outgoing.partial[outgoing.count] = 0;
	outgoing.offsets[outgoing.count] = frame - memory;
	outgoing.lengths[outgoing.count] = length + on->header;
	if (++outgoing.count == QUEUE)
		flush();
}

static uint16_t update16(uint16_t check, uint16_t from, uint16_t to)
{
	return finish((uint16_t)~check + (uint16_t)~from + to);
}

static void decrement_ttl(uint8_t *ip)
{
	uint16_t word = get16(ip + 8);

	ip[8] = (word >> 8) - 1;
	put16(ip + 10, update16(get16(ip + 10), word, word - 0x100));
}

static int passes(int mtu, bool may_fragment)
{
	if (packet.ip[8] <= 1)
		return V_DROPPED;
	decrement_ttl(packet.ip);
	if (!may_fragment && packet.length > mtu && (get16(packet.ip + 6) & 0x4000))
		return V_DROPPED;
	return PASS;
}

/* ---- Connections ----------------------------------------------------------------------------------------------- */

static struct destination *destination_of(const int32_t *row) { return row[DEST] < 0 ? NULL : &destinations[row[DEST]]; }

/* Whether the first rows are read for a burst at once, and what was read; the frame at hand. */
static bool reads_ahead;
static int32_t firsts[BURST];
static int at_hand;

static int32_t first_row(uint32_t client, int port)
{
	return reads_ahead ? firsts[at_hand] : heads[bucket(packet.protocol, client, port)];
}

static int32_t *lookup_in(void)
{
	int32_t ports = (int32_t)((uint32_t)packet.source_port << 16 | packet.destination_port);
	int32_t at = first_row(packet.source, packet.source_port);

	while (at) {
		int32_t *row = rows + at;
		if (row[PORTS] == ports && (row[META] >> 16 & 0xff) == packet.protocol && (uint32_t)row[CADDR] == packet.source &&
		    (uint32_t)row[VADDR] == packet.destination && (packet.source_port == 0) == ((row[FLAGS] & NO_CPORT) != 0))
			return row;
		at = row[NEXT];
	}
	if (without_client_port)
		abort();
	return NULL;
}

/* Whether a packet to the director may be for a client: remembered as in shortcut.ts, for the table stays as it is. */
static bool may_be_reply(void)
{
	static uint32_t no_client;
	static int no_client_port = -1;
	int key = packet.protocol << 16 | packet.destination_port;

	if (reads_ahead && no_client == packet.destination && no_client_port == key)
		return false;
	for (int32_t at = heads[bucket(packet.protocol, packet.destination, packet.destination_port)]; at; at = rows[at + NEXT])
		if ((uint32_t)rows[at + CADDR] == packet.destination &&
		    (uint32_t)rows[at + PORTS] >> 16 == (uint32_t)packet.destination_port)
			return true;
	no_client = packet.destination;
	no_client_port = key;
	return false;
}

static int32_t *lookup_out(void)
{
	int32_t at = first_row(packet.destination, packet.destination_port);

	while (at) {
		int32_t *row = rows + at;
		if ((uint32_t)row[PORTS] >> 16 == (uint32_t)packet.destination_port && (row[META] >> 16 & 0xff) == packet.protocol) {
			bool masq = (row[FLAGS] & FWD_MASK) == MASQ;
			if (((masq ? row[META] : row[PORTS]) & 0xffff) == packet.source_port && !(row[FLAGS] & TEMPLATE) &&
			    (uint32_t)row[CADDR] == packet.destination && (uint32_t)row[masq ? DADDR : VADDR] == packet.source)
				return row;
		}
		at = row[NEXT];
	}
	return NULL;
}

static void count(struct destination *d, int packets, int bytes)
{
	if (!d || !d->available)
		return;
	d->stats.counts[packets]++;
	d->stats.counts[bytes] += packet.length;
	d->service->stats.counts[packets]++;
	d->service->stats.counts[bytes] += packet.length;
	total.counts[packets]++;
	total.counts[bytes] += packet.length;
}

static int next_state(int direction, int state, int flags)
{
	int line;

	if (flags & TH_RST)
		line = 3;
	else if (flags & TH_SYN)
		line = 0;
	else if (flags & TH_FIN)
		line = 1;
	else if (flags & TH_ACK)
		line = 2;
	else
		return CLOSE;
	return tcp_table[(direction * 4 + line) * 16 + state];
}

static void set_active(int32_t *row, bool active)
{
	if (!(row[FLAGS] & INACTIVE) == active)
		return;
	row[FLAGS] ^= INACTIVE;
	struct destination *d = destination_of(row);
	if (!d)
		return;
	d->active += active ? 1 : -1;
	d->inactive += active ? -1 : 1;
}

static void track(int32_t *row, int direction)
{
	if ((row[META] >> 16 & 0xff) != 6 || !packet.has_transport)
		return;
	if (row[FLAGS] & NOOUTPUT) {
		if (direction == INPUT)
			direction = INPUT_ONLY;
		else
			row[FLAGS] &= ~NOOUTPUT;
	}
	int state = (uint32_t)row[META] >> 24, next = next_state(direction, state, packet.tcp_flags);
	if (next != state) {
		row[META] = (int32_t)((uint32_t)next << 24 | ((uint32_t)row[META] & 0xffffff));
		set_active(row, next == ESTABLISHED || next == SYN_SENT || next == SYN_RECV || next == SYNACK);
	}
	row[TIMEOUT] = tcp_timeouts[next];
}

static void restart(int32_t *row)
{
	int32_t expires = tick + row[TIMEOUT];
	bool nearer = expires - row[EXPIRES] < 0;

	row[EXPIRES] = expires;
	if (nearer && !(row[FLAGS] & ONE_PACKET))
		abort(); /* it would be filed anew, which with a constant timeout never happens */
}

/* ---- Forward methods ------------------------------------------------------------------------------------------- */

static uint16_t mend(uint16_t check, uint32_t from, int from_port, uint32_t to, int to_port)
{
	uint32_t gone = ~from;

	return finish((uint16_t)~check + 0xffff + (uint16_t)~from_port + to_port + (gone >> 16) + (gone & 0xffff) + (to >> 16) + (to & 0xffff));
}

static bool rewrite_end(bool destination, uint32_t to, int to_port)
{
	uint8_t *ip = packet.ip, *transport = ip + packet.header_length;

	if (packet.has_ports && !packet.has_transport)
		return false;
	uint32_t from = destination ? packet.destination : packet.source;
	int from_port = destination ? packet.destination_port : packet.source_port;
	put32(ip + (destination ? 16 : 12), to);
	put16(ip + 10, 0);
	put16(ip + 10, finish(sum_bytes(ip, packet.header_length, 0)));
	if (!packet.has_ports)
		return true;
	put16(transport + (destination ? 2 : 0), to_port);
	switch (packet.protocol) {
	case 6:
		put16(transport + 16, mend(get16(transport + 16), from, from_port, to, to_port));
		break;
	case 17: {
		uint16_t check = get16(transport + 6);
		if (check) {
			check = mend(check, from, from_port, to, to_port);
			put16(transport + 6, check ? check : 0xffff);
		} else
			abort();
		break;
	}
	default:
		abort();
	}
	return true;
}

static int transmit_route(struct hop *hop)
{
	if (!hop->neighbour)
		return V_LOCAL;
	int verdict = passes(hop->mtu, false);
	if (verdict != PASS)
		return verdict;
	send_ip(packet.ip, packet.length, hop->neighbour);
	return V_ROUTE;
}

static int transmit_masq(int32_t *row, struct hop *hop)
{
	if (row[FLAGS] & (NO_CPORT | HELPED))
		abort();
	if (hop->neighbour) {
		int verdict = passes(hop->mtu, false);
		if (verdict != PASS)
			return verdict;
	}
	if (!rewrite_end(true, row[DADDR], row[META] & 0xffff))
		return V_DROPPED;
	if (!hop->neighbour)
		return V_LOCAL;
	send_ip(packet.ip, packet.length, hop->neighbour);
	return V_MASQ;
}

static uint16_t identification;

static int transmit_tunnel(struct destination *d, struct hop *hop)
{
	if (!hop->neighbour)
		return V_LOCAL;
	if (d->tunnel_type != 0)
		abort();
	int mtu = hop->mtu - 20;
	if (mtu < 68)
		return V_DROPPED;
	int verdict = passes(mtu, false);
	if (verdict != PASS)
		return verdict;
	uint8_t *inner = packet.ip, *outer = inner - 20;
	int length = packet.length + 20;
	if (length > 65535)
		return V_DROPPED;
	int tos = inner[1];
	if ((tos & 3) == 3)
		tos = (tos & ~3) | 2;
	int df = get16(inner + 6) & 0x4000;
	int id = df ? 0 : ++identification;
	put16(outer, 0x4500 | tos);
	put16(outer + 2, length);
	put16(outer + 4, id);
	put16(outer + 6, df);
	put16(outer + 8, inner[8] << 8 | 4);
	put16(outer + 10, 0);
	put32(outer + 12, hop->source);
	put32(outer + 16, d->address);
	put16(outer + 10, finish(sum_bytes(outer, 20, 0)));
	send_ip(outer, length, hop->neighbour);
	return V_TUNNEL;
}

static int transmit(int32_t *row)
{
	int method = row[FLAGS] & FWD_MASK;
	struct destination *d = destination_of(row);

	if (!d || (row[FLAGS] & ELSEWHERE))
		abort();
	struct hop *hop = &hops[row[DEST]];
	switch (method) {
	case ROUTE:
		return transmit_route(hop);
	case MASQ:
		return transmit_masq(row, hop);
	case TUNNEL:
		return transmit_tunnel(d, hop);
	default:
		abort();
	}
}

/* ---- The packet's way ------------------------------------------------------------------------------------------ */

static int reply(void)
{
	if (!packet.has_ports)
		return PASS;
	int32_t *row = lookup_out();
	if (!row)
		return PASS;
	if ((row[FLAGS] & FWD_MASK) == MASQ) {
		if (row[FLAGS] & HELPED)
			abort();
		if (!rewrite_end(false, row[VADDR], row[PORTS] & 0xffff))
			return V_DROPPED;
	}
	count(destination_of(row), OUT_PACKETS, OUT_BYTES);
	track(row, OUTPUT);
	restart(row);
	return V_REPLY;
}

static int request(void)
{
	int32_t *row = packet.has_ports ? lookup_in() : NULL;

	if (!row || (packet.protocol == 6 && (packet.tcp_flags & TH_SYN)))
		abort();
	struct destination *d = destination_of(row);
	if (d && !d->available)
		abort();
	count(d, IN_PACKETS, IN_BYTES);
	track(row, INPUT);
	int verdict = transmit(row);
	row[IN_PKTS]++;
	restart(row);
	return verdict;
}

static int local_in(void)
{
	if (packet.fragment)
		abort();
	if (!has_port_numbers(packet.protocol) || !options.services4)
		abort();
	if (may_be_reply())
		abort();
	if (options.nat_icmp_send || options.backup_only || !packet.to_host)
		abort();
	return request();
}

static struct route *route_to(uint32_t address)
{
	for (int i = 0; i < 2; i++)
		if ((address & routes[i].mask) == routes[i].address)
			return &routes[i];
	return NULL;
}

static int forward(void)
{
	struct route *route = route_to(packet.destination);
	if (!route)
		return V_DROPPED;
	if (!route->gateway)
		abort();
	struct neighbour *neighbour = route->neighbour;
	if (packet.ip[8] <= 1)
		return V_DROPPED;
	if (packet.length > neighbour->interface->mtu && (get16(packet.ip + 6) & 0x4000))
		return V_DROPPED;
	decrement_ttl(packet.ip);
	if (!has_port_numbers(packet.protocol) || !options.services4 || packet.fragment)
		abort();
	int verdict = reply();
	if (verdict != V_REPLY)
		abort();
	if (packet.length > neighbour->interface->mtu && packet.largest_fragment == 0)
		abort();
	send_ip(packet.ip, packet.length, neighbour);
	return V_REPLY;
}

static int ipv4(uint8_t *at, int available)
{
	if (!dissect(at, available))
		return V_DROPPED;
	if (map_get(&own, packet.destination)) {
		if (!is_host_address(packet.source) || map_get(&own, packet.source) || packet.header_length != 20)
			return V_DROPPED;
		return local_in();
	}
	uint32_t to = packet.destination;
	bool to_group = to >> 28 == 0xe, to_all = to == 0xffffffff || map_get(&broadcasts, to);
	if (!is_host_address(packet.source) && !(packet.source == 0 && to_all))
		return V_DROPPED;
	if (map_get(&own, packet.source) || to_group || to_all || !is_host_address(to) || !packet.to_host)
		return V_DROPPED;
	if (options.rules || !options.forwarding || packet.header_length != 20)
		return V_DROPPED;
	return forward();
}

static int ethernet(uint8_t *frame, int length)
{
	if (length < ETHERNET)
		return V_DROPPED;
	int type = get16(frame + 12), vlan = 0, header = ETHERNET;
	if (type == 0x8100)
		abort();
	struct interface *on = &interface;
	if (on->vlan != vlan)
		return V_DROPPED;
	int high = get16(frame);
	bool to_host = high == on->mac_high && get32(frame + 2) == on->mac_low;
	if (!to_host && !(high & 0x0100))
		return V_DROPPED;
	packet.interface = on->index;
	packet.to_host = to_host;
	switch (type) {
	case 0x0800:
		return ipv4(frame + header, length - header);
	default:
		return V_DROPPED;
	}
}

/* ---- The device ------------------------------------------------------------------------------------------------ */

static struct {
	uint8_t *frames;
	uint32_t flows, next;
	long waiting, sent;
	bool digesting;
	uint32_t digest;
} device;

static int receive(void)
{
	int n = device.waiting < BURST ? device.waiting : BURST;

	for (int i = 0; i < n; i++) {
		memcpy(memory + offsets[i] - LEAD, device.frames + (size_t)device.next * RECORD, RECORD);
		lengths[i] = FRAME_LENGTH;
		if (++device.next == device.flows)
			device.next = 0;
	}
	device.waiting -= n;
	return n;
}

static void flush(void)
{
	device.sent += outgoing.count;
	if (device.digesting)
		for (int i = 0; i < outgoing.count; i++)
			for (int k = 0; k < outgoing.lengths[i]; k++)
				device.digest = device.digest * 31 + memory[outgoing.offsets[i] + k];
	outgoing.count = 0;
}

static volatile int32_t was_read;

/* Reads the first rows of a burst, in three short loops, as shortcut.ts and table.ts do. */
static void read_a_burst_ahead(int n)
{
	int32_t sum = 0;

	for (int i = 0; i < n; i++) {
		firsts[i] = 0;
		uint8_t *ip = memory + offsets[i] + ETHERNET;
		if (lengths[i] < ETHERNET + 28 || get16(ip - 2) != 0x0800)
			continue;
		uint32_t destination = get32(ip + 16);
		firsts[i] = map_get(&own, destination) ? bucket(ip[9], get32(ip + 12), get16(ip + 20))
						       : bucket(ip[9], destination, get16(ip + 22));
	}
	for (int i = 0; i < n; i++)
		firsts[i] = heads[firsts[i]];
	for (int i = 0; i < n; i++)
		sum |= rows[firsts[i]];
	was_read = sum;
}

static void play(long packets)
{
	device.waiting = packets;
	while (device.waiting > 0) {
		int n = receive();
		if (reads_ahead)
			read_a_burst_ahead(n);
		for (at_hand = 0; at_hand < n; at_hand++)
			verdicts[ethernet(memory + offsets[at_hand], lengths[at_hand])]++;
		flush();
	}
}

/* ---- Setting up ------------------------------------------------------------------------------------------------ */

static void *zeroed(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	madvise(p, size, MADV_HUGEPAGE);
	return p;
}

static void set_up_host(int method)
{
	/* ACK's line: to ESTABLISHED, but that a client's ACK alone does not end SYN_SENT. */
	for (int direction = 0; direction < 3; direction++)
		memset(tcp_table + (direction * 4 + 2) * 16, ESTABLISHED, 16);
	for (int i = 0; i < 11; i++)
		tcp_timeouts[i] = 90000;
	map_set(&own, OWN, &interface);
	map_set(&own, VIP, &interface);
	map_set(&broadcasts, 0x0a0000ff, &interface);
	for (int i = 0; i < SERVERS; i++) {
		destinations[i] = (struct destination){ .address = FIRST_SERVER + i, .method = method, .available = true, .service = &service };
		neighbours[i] = (struct neighbour){ &interface, FIRST_SERVER + i, 0x00000101 + i, 0x0200, PERMANENT };
		hops[i] = (struct hop){ &neighbours[i], OWN, 1500 };
	}
	neighbours[SERVERS] = (struct neighbour){ &interface, GATEWAY, 0x0000fefe, 0x0200, PERMANENT };
	routes[0] = (struct route){ 0x0a000000, 0xffffff00, &interface, 0, NULL };
	routes[1] = (struct route){ 0, 0, &interface, GATEWAY, &neighbours[SERVERS] };
}

static uint32_t *shuffled(uint32_t flows)
{
	uint32_t *order = zeroed((size_t)flows * 4), random = 1;

	for (uint32_t i = 0; i < flows; i++)
		order[i] = i;
	for (uint32_t i = flows - 1; i > 0; i--) {
		random ^= random << 13;
		random ^= random >> 17;
		random ^= random << 5;
		uint32_t j = random % (i + 1), swap = order[i];
		order[i] = order[j];
		order[j] = swap;
	}
	return order;
}

static void set_up_connections(uint32_t flows, int method, bool replies)
{
	uint32_t *order = shuffled(flows), buckets = 1024;

	while (buckets < flows)
		buckets *= 2;
	bucket_mask = buckets - 1;
	heads = zeroed((size_t)buckets * 4);
	rows = zeroed(((size_t)flows + 1) * STRIDE * 4);
	device.frames = zeroed((size_t)flows * RECORD);
	device.flows = flows;
	for (uint32_t k = 0; k < flows; k++) {
		uint32_t flow = order[k], b = bucket(6, FIRST_CLIENT + flow, client_port(flow));
		int server = SERVERS - 1 - k % SERVERS;
		int32_t at = (int32_t)(k + 1) * STRIDE, *row = rows + at;
		row[PORTS] = (int32_t)((uint32_t)client_port(flow) << 16 | VIRTUAL_PORT);
		row[META] = ESTABLISHED << 24 | 6 << 16 | (method == MASQ ? SERVER_PORT : VIRTUAL_PORT);
		row[FLAGS] = HASHED | method | (method == MASQ ? 0 : NOOUTPUT);
		row[DEST] = server;
		row[EXPIRES] = row[TIMEOUT] = tcp_timeouts[ESTABLISHED];
		row[CADDR] = FIRST_CLIENT + flow;
		row[VADDR] = VIP;
		row[DADDR] = FIRST_SERVER + server;
		row[NEXT] = heads[b];
		heads[b] = at;
		make_frame(device.frames + (size_t)flow * RECORD + LEAD, flow, replies, FIRST_SERVER + server);
	}
	munmap(order, (size_t)flows * 4);
}

static double cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: %s dr|nat-request|nat-reply|tun FLOWS ahead|plain\n", argv[0]);
		return 2;
	}
	reads_ahead = !strcmp(argv[3], "ahead");
	int method = argv[1][0] == 'd' ? ROUTE : argv[1][0] == 't' ? TUNNEL : MASQ;
	uint32_t flows = atol(argv[2]);
	size_t pool = BURST * SLOT;
	memory = aligned_alloc(64, pool);
	memset(memory, 0, pool);
	for (int i = 0; i < BURST; i++)
		offsets[i] = i * SLOT + HEADROOM;
	set_up_host(method);
	set_up_connections(flows, method, !strcmp(argv[1], "nat-reply"));
	play(flows);

	device.next = 0;
	device.digesting = true;
	play(DIGESTED);
	device.digesting = false;
	play(1000000);
	printf("%u\n", device.digest);
	fflush(stdout);

	char line[32];
	while (fgets(line, sizeof line, stdin)) {
		long packets = atol(line);
		tick++;
		double start = cpu_ns();
		play(packets);
		printf("%f\n", (cpu_ns() - start) / packets);
		fflush(stdout);
	}
	return 0;
}
