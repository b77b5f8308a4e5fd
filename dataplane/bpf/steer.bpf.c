// SPDX-License-Identifier: Apache-2.0
//
// Which frames of a data port go to the worker (by the AF_XDP socket of the receive queue) and which to the kernel.
//
//   not IP, multicast, IPv6 neighbour discovery                                        kernel
//   to an own address:
//     IKE: UDP 500, and UDP encapsulation ports with the non-ESP marker (RFC 3948 2.2) kernel
//     ESP, ESP in UDP, NAT keepalives                                                  worker
//     ICMP "too big" about a packet of an SA                                           worker
//     fragments that may belong to ESP or to ESP in UDP                                worker
//     anything else from a protected prefix: it must not come in clear unjudged        worker
//     the rest: management, routing protocols, ping                                    kernel
//   everything else is forwarded traffic                                               worker
//
// "Worker" without a socket means dropped: when the process is gone nothing protected passes. An IP packet that cannot
// be understood goes to the worker too, which counts it; it never goes to the kernel unjudged.
//
// VLAN tags: up to two are skipped. A tag that the network card has already taken off and put beside the frame is
// invisible to XDP and lost on the ring, so the loader turns receive VLAN offload off; with veth the sending end must
// not offload either.
//
// Plain "xdp", not "xdp.frags": our rings carry one buffer per frame.

#include <linux/bpf.h>
#include <linux/types.h>

#define SEC(name) __attribute__((section(name), used))
#define inline static inline __attribute__((always_inline))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
// LIBBPF_PIN_BY_NAME: the loader finds the map again at the next start.
#define PIN_BY_NAME 1
#define ntohs(x) __builtin_bswap16(x)
#define htons(x) __builtin_bswap16(x)

static void *(*map_lookup)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*redirect_map)(void *map, __u64 key, __u64 flags) = (void *)BPF_FUNC_redirect_map;

// ---- What the dataplane tells us. port/xdp/steering.rs knows these names, keys and sizes.

struct prefix4 {
	__u32 length;
	__u8 address[4];
};

struct prefix6 {
	__u32 length;
	__u8 address[16];
};

struct address6 {
	__u8 octets[16];
};

// Receive queue -> socket.
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, PIN_BY_NAME);
} xsks SEC(".maps");

// Addresses of this host.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u8);
	__uint(pinning, PIN_BY_NAME);
} local4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct address6);
	__type(value, __u8);
	__uint(pinning, PIN_BY_NAME);
} local6 SEC(".maps");

// Sources whose packets to this host the policy must judge.
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix4);
	__type(value, __u8);
	__uint(pinning, PIN_BY_NAME);
} protected4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix6);
	__type(value, __u8);
	__uint(pinning, PIN_BY_NAME);
} protected6 SEC(".maps");

// UDP ports, in network order, on which ESP comes in UDP; 4500 needs no entry.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u16);
	__type(value, __u8);
	__uint(pinning, PIN_BY_NAME);
} natt_ports SEC(".maps");

// Outer addresses of the other ends of SAs.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1048576);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u8);
	__uint(pinning, PIN_BY_NAME);
} peers4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1048576);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address6);
	__type(value, __u8);
	__uint(pinning, PIN_BY_NAME);
} peers6 SEC(".maps");

// ---- What we tell the dataplane: frames per class, in the order of `Class` in port/xdp/steering.rs.

enum class {
	PASS_NOT_IP,
	PASS_MULTICAST,
	PASS_NEIGHBOUR,
	PASS_IKE,
	PASS_LOCAL,
	RING_ESP,
	RING_UDP_ESP,
	RING_TOO_BIG,
	RING_FRAGMENT,
	RING_PROTECTED,
	RING_FORWARD,
	RING_MALFORMED,
	DROP_NO_SOCKET,
	DROP_TAGS,
	DROP_LINK_MULTICAST,
	CLASSES,
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CLASSES);
	__type(key, __u32);
	__type(value, __u64);
	__uint(pinning, PIN_BY_NAME);
} decisions SEC(".maps");

// ---- Headers, only as far as they are read here. Packed: nothing promises alignment.

#define PACKED __attribute__((packed))

#define TYPE_IPV4 0x0800
#define TYPE_IPV6 0x86dd
#define TYPE_VLAN 0x8100
#define TYPE_QINQ 0x88a8
// QinQ before its standard, still in use.
#define TYPE_QINQ_OLD 0x9100

#define HOP_BY_HOP 0
#define ICMP 1
#define UDP 17
#define ROUTING 43
#define FRAGMENT 44
#define ESP 50
#define ICMP6 58
#define DESTINATION 60

#define PORT_IKE 500
#define PORT_NATT 4500

#define MOST_TAGS 2
#define MOST_EXTENSIONS 8

struct ethernet {
	__u8 destination[6];
	__u8 source[6];
	__u16 type;
} PACKED;

struct vlan {
	__u16 tag;
	__u16 type;
} PACKED;

struct ipv4 {
	__u8 version_length;
	__u8 tos;
	__u16 length;
	__u16 id;
	__u16 fragment;
	__u8 hops;
	__u8 protocol;
	__u16 checksum;
	__u32 source;
	__u32 destination;
} PACKED;

struct ipv6 {
	__u8 version;
	__u8 flow[3];
	__u16 length;
	__u8 next;
	__u8 hops;
	struct address6 source;
	struct address6 destination;
} PACKED;

struct extension {
	__u8 next;
	__u8 length;
	__u16 fragment;
	__u32 id;
} PACKED;

struct udp {
	__u16 source;
	__u16 destination;
	__u16 length;
	__u16 checksum;
} PACKED;

struct icmp {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__u32 rest;
} PACKED;

// What the decision needs of a packet, whichever its family.
struct packet {
	void *upper; // The upper-layer header, when there is one.
	void *end;
	__u8 protocol; // Upper-layer protocol.
	__u8 fragment; // 1: a fragment, first or later.
	__u8 later; // 1: a fragment without upper-layer header.
};

// ---- Verdicts

inline void count(enum class class)
{
	__u32 key = class;
	__u64 *counter = map_lookup(&decisions, &key);
	if (counter)
		*counter += 1;
}

inline int pass(enum class class)
{
	count(class);
	return XDP_PASS;
}

inline int drop(enum class class)
{
	count(class);
	return XDP_DROP;
}

inline int ring(struct xdp_md *ctx, enum class class)
{
	int action = redirect_map(&xsks, ctx->rx_queue_index, XDP_DROP);
	count(action == XDP_REDIRECT ? class : DROP_NO_SOCKET);
	return action;
}

// ---- Questions about the upper layer

inline int carries_esp(__u16 port)
{
	return port == htons(PORT_NATT) || map_lookup(&natt_ports, &port) != 0;
}

// What a whole UDP datagram to this host is: RING_UDP_ESP, PASS_IKE, RING_MALFORMED, or PASS_LOCAL for none of them.
inline enum class classify_udp(struct packet *packet)
{
	struct udp *udp = packet->upper;
	if ((void *)(udp + 1) > packet->end)
		return RING_MALFORMED;
	if (udp->destination == htons(PORT_IKE))
		return PASS_IKE;
	if (!carries_esp(udp->destination))
		return PASS_LOCAL;
	__u16 length = ntohs(udp->length);
	__u8 *keepalive = (void *)(udp + 1);
	if (length == sizeof(*udp) + 1 && (void *)(keepalive + 1) <= packet->end && *keepalive == 0xff)
		return RING_UDP_ESP;
	__u32 *marker = (void *)(udp + 1);
	if (length < sizeof(*udp) + 4 || (void *)(marker + 1) > packet->end)
		return RING_MALFORMED;
	return *marker ? RING_UDP_ESP : PASS_IKE;
}

// Whether an ICMP error quotes a packet that one of our SAs sent; `upper` is the quoted upper-layer header.
inline int quotes_sa(struct packet *packet, __u8 protocol, void *upper)
{
	struct udp *udp = upper;
	if (protocol == ESP)
		return 1;
	if (protocol != UDP || (void *)(udp + 1) > packet->end)
		return 0;
	return carries_esp(udp->source);
}

inline int too_big4(struct packet *packet)
{
	struct icmp *icmp = packet->upper;
	struct ipv4 *quoted = (void *)(icmp + 1);
	if ((void *)(quoted + 1) > packet->end || icmp->type != 3 || icmp->code != 4)
		return 0;
	__u32 length = (quoted->version_length & 15) * 4;
	return quotes_sa(packet, quoted->protocol, (void *)quoted + length);
}

// Of the extension headers, what we send under an SA has at most a fragment header.
inline int too_big6(struct packet *packet)
{
	struct icmp *icmp = packet->upper;
	struct ipv6 *quoted = (void *)(icmp + 1);
	if ((void *)(quoted + 1) > packet->end || icmp->type != 2)
		return 0;
	struct extension *fragment = (void *)(quoted + 1);
	if (quoted->next != FRAGMENT)
		return quotes_sa(packet, quoted->next, fragment);
	if ((void *)(fragment + 1) > packet->end)
		return 0;
	return quotes_sa(packet, fragment->next, fragment + 1);
}

// ---- IPv4

inline int from_protected4(__u32 source)
{
	struct prefix4 key = {.length = 32};
	__builtin_memcpy(key.address, &source, 4);
	return map_lookup(&protected4, &key) != 0;
}

inline enum class classify_local4(struct packet *packet, __u32 source)
{
	if (packet->protocol == ESP)
		return packet->fragment ? RING_FRAGMENT : RING_ESP;
	if (packet->protocol == UDP && packet->fragment && map_lookup(&peers4, &source))
		return RING_FRAGMENT;
	if (packet->protocol == UDP && !packet->fragment) {
		enum class class = classify_udp(packet);
		if (class != PASS_LOCAL)
			return class;
	}
	if (packet->protocol == ICMP && !packet->later && too_big4(packet))
		return RING_TOO_BIG;
	return from_protected4(source) ? RING_PROTECTED : PASS_LOCAL;
}

inline enum class classify4(struct ipv4 *ip, void *end)
{
	if ((void *)(ip + 1) > end)
		return RING_MALFORMED;
	__u32 length = (ip->version_length & 15) * 4;
	if (ip->version_length >> 4 != 4 || length < sizeof(*ip))
		return RING_MALFORMED;
	__u32 destination = ip->destination;
	if ((destination & 0xf0) == 0xe0 || destination == 0xffffffff)
		return PASS_MULTICAST;
	if (!map_lookup(&local4, &destination))
		return RING_FORWARD;
	__u16 fragment = ntohs(ip->fragment);
	struct packet packet = {
		.upper = (void *)ip + length,
		.end = end,
		.protocol = ip->protocol,
		.fragment = (fragment & 0x3fff) != 0,
		.later = (fragment & 0x1fff) != 0,
	};
	return classify_local4(&packet, ip->source);
}

// ---- IPv6

inline int from_protected6(struct ipv6 *ip)
{
	struct prefix6 key = {.length = 128};
	__builtin_memcpy(key.address, &ip->source, 16);
	return map_lookup(&protected6, &key) != 0;
}

inline int from_peer6(struct ipv6 *ip)
{
	struct address6 source = ip->source;
	return map_lookup(&peers6, &source) != 0;
}

// Link-local destinations count as ours: they are never forwarded (RFC 4291 2.5.6).
inline int is_local6(struct ipv6 *ip)
{
	struct address6 destination = ip->destination;
	if (destination.octets[0] == 0xfe && (destination.octets[1] & 0xc0) == 0x80)
		return 1;
	return map_lookup(&local6, &destination) != 0;
}

inline int is_extension(__u8 protocol)
{
	return protocol == HOP_BY_HOP || protocol == ROUTING || protocol == DESTINATION || protocol == FRAGMENT;
}

// Walks the extension headers of the IPv6 packet that begins at octet `start` of the frame. Gives the offset of the
// upper-layer header in the upper half, its protocol in the low octet, and between them UPPER_FRAGMENT and UPPER_LATER;
// or NO_UPPER when the packet ends within the headers.
//
// A function of its own with numbers for arguments: the verifier then looks at the loop once instead of once for each
// way that leads here, and the bounded offset lets it see that one turn of the loop is like the next.
#define UPPER_FRAGMENT 0x100
#define UPPER_LATER 0x200
#define NO_UPPER 0xffffffff
#define FARTHEST 0x3fff

__attribute__((noinline)) __u32 find_upper6(struct xdp_md *ctx, __u32 start)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u32 flags = 0;
	if (start > FARTHEST)
		return NO_UPPER;
	struct ipv6 *ip = data + start;
	if ((void *)(ip + 1) > end)
		return NO_UPPER;
	__u32 protocol = ip->next;
	__u32 at = start + sizeof(*ip);
	for (int i = 0; i < MOST_EXTENSIONS; i++) {
		if (!is_extension(protocol) || flags & UPPER_LATER)
			break;
		if (at > FARTHEST)
			return NO_UPPER;
		struct extension *header = data + at;
		if ((void *)(header + 1) > end)
			return NO_UPPER;
		if (protocol == FRAGMENT) {
			__u16 fragment = ntohs(header->fragment);
			if (fragment & 0xfff9)
				flags |= UPPER_FRAGMENT;
			if (fragment & 0xfff8)
				flags |= UPPER_LATER;
			at += 8;
		} else {
			at += (header->length + 1) * 8;
		}
		protocol = header->next;
	}
	return at > FARTHEST ? NO_UPPER : at << 16 | flags | protocol;
}

inline int is_neighbour_discovery(struct packet *packet)
{
	struct icmp *icmp = packet->upper;
	if (packet->protocol != ICMP6 || packet->later || (void *)(icmp + 1) > packet->end)
		return 0;
	return icmp->type >= 133 && icmp->type <= 137;
}

inline enum class classify_local6(struct packet *packet, struct ipv6 *ip)
{
	if (packet->protocol == ESP)
		return packet->fragment ? RING_FRAGMENT : RING_ESP;
	if (packet->protocol == UDP && packet->fragment && from_peer6(ip))
		return RING_FRAGMENT;
	if (packet->protocol == UDP && !packet->fragment) {
		enum class class = classify_udp(packet);
		if (class != PASS_LOCAL)
			return class;
	}
	if (packet->protocol == ICMP6 && !packet->later && too_big6(packet))
		return RING_TOO_BIG;
	return from_protected6(ip) ? RING_PROTECTED : PASS_LOCAL;
}

inline enum class classify6(struct xdp_md *ctx, struct ipv6 *ip, void *end)
{
	if ((void *)(ip + 1) > end || ip->version >> 4 != 6)
		return RING_MALFORMED;
	if (ip->destination.octets[0] == 0xff)
		return PASS_MULTICAST;
	void *data = (void *)(long)ctx->data;
	__u32 upper = find_upper6(ctx, (void *)ip - data);
	if (upper == NO_UPPER)
		return RING_MALFORMED;
	struct packet packet = {
		.upper = data + (upper >> 16 & FARTHEST),
		.end = end,
		.protocol = upper,
		.fragment = (upper & UPPER_FRAGMENT) != 0,
		.later = (upper & UPPER_LATER) != 0,
	};
	if (is_neighbour_discovery(&packet))
		return PASS_NEIGHBOUR;
	if (!is_local6(ip))
		return RING_FORWARD;
	// More extension headers than we walk. (In a later fragment the payload may rightly begin with one.)
	if (!packet.later && is_extension(packet.protocol))
		return RING_MALFORMED;
	return classify_local6(&packet, ip);
}

// ---- The frame

inline int act(struct xdp_md *ctx, enum class class, int link_multicast)
{
	if (class < RING_ESP)
		return pass(class);
	// A frame to everybody on the link must not be forwarded (RFC 1812 5.3.4).
	if (class == RING_FORWARD && link_multicast)
		return drop(DROP_LINK_MULTICAST);
	return ring(ctx, class);
}

SEC("xdp") int steer(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethernet *ethernet = (void *)(long)ctx->data;
	if ((void *)(ethernet + 1) > end)
		return pass(PASS_NOT_IP);
	int link_multicast = ethernet->destination[0] & 1;
	__u16 type = ethernet->type;
	void *payload = ethernet + 1;
	for (int tags = 0; type == htons(TYPE_VLAN) || type == htons(TYPE_QINQ) || type == htons(TYPE_QINQ_OLD); tags++) {
		struct vlan *vlan = payload;
		if (tags == MOST_TAGS || (void *)(vlan + 1) > end)
			return drop(DROP_TAGS);
		type = vlan->type;
		payload = vlan + 1;
	}
	if (type == htons(TYPE_IPV4))
		return act(ctx, classify4(payload, end), link_multicast);
	if (type == htons(TYPE_IPV6))
		return act(ctx, classify6(ctx, payload, end), link_multicast);
	return pass(PASS_NOT_IP);
}

SEC("license") char _license[] = "Apache-2.0";
