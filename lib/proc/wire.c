/* SPDX-License-Identifier: ISC */
#include "lib/proc/wire.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

enum kind { END, U8, U16, U32, U64, TEXT };

struct field {
	uint16_t at; /* offset in the struct */
	uint8_t  kind;
};

enum { FIELDS_MAX = 10 };

struct message {
	const char  *name;
	unsigned     from, to; /* bits of role ids */
	bool         fd;
	uint32_t     limit; /* of the payload */
	uint32_t     size;  /* of the struct */
	struct field fields[FIELDS_MAX];
};

#define BIT(role) (1u << ROLE_##role)
#define ANY_CHILD (BIT(SMTPD) | BIT(AUTH) | BIT(QUEUE) | BIT(DELIVERY) | BIT(KEYD) | BIT(DOCTOR))
#define SMALL     4096
#define MEDIUM    (64 * 1024)
#define HEADS     (1280 * 1024) /* the longest header that delivery signs, and room */
/* clang-format off */
#define KIND(lvalue) _Generic((lvalue),                                           \
	uint8_t: U8, uint16_t: U16, uint32_t: U32, uint64_t: U64, struct str: TEXT)
/* clang-format on */
#define F(type, member)                                                            \
	{                                                                          \
		offsetof(struct type, member), KIND(((struct type *)NULL)->member) \
	}
#define SIZE(type) sizeof(struct type)

/* clang-format off */
static const struct message messages[WIRE_COUNT] = {
	[WIRE_CONFIG] = {"config", BIT(SUPERVISOR), ANY_CHILD, false, WIRE_CONFIG_MAX, SIZE(wire_config),
		{F(wire_config, generation), F(wire_config, text)}},
	[WIRE_LISTENER] = {"listener", BIT(SUPERVISOR), BIT(SMTPD), true, SMALL, SIZE(wire_listener),
		{F(wire_listener, index)}},
	[WIRE_SPOOL] = {"spool", BIT(SUPERVISOR), BIT(QUEUE), true, SMALL, SIZE(wire_empty), {{0}}},
	[WIRE_SHARED] = {"shared", BIT(SUPERVISOR), BIT(SMTPD), true, SMALL, SIZE(wire_shared),
		{F(wire_shared, processes), F(wire_shared, secret)}},
	[WIRE_PEER] = {"peer", BIT(SUPERVISOR), ANY_CHILD, true, SMALL, SIZE(wire_peer),
		{F(wire_peer, who), F(wire_peer, index)}},
	[WIRE_GO] = {"go", BIT(SUPERVISOR), ANY_CHILD, false, SMALL, SIZE(wire_empty), {{0}}},
	[WIRE_DRAIN] = {"drain", BIT(SUPERVISOR), ANY_CHILD, false, SMALL, SIZE(wire_empty), {{0}}},
	[WIRE_CONTROL] = {"control", BIT(SUPERVISOR), BIT(QUEUE), true, 2 * MEDIUM, SIZE(wire_control),
		{F(wire_control, request)}},
	[WIRE_ASK_STATS] = {"ask-stats", BIT(SUPERVISOR), ANY_CHILD, false, SMALL, SIZE(wire_empty), {{0}}},

	[WIRE_READY] = {"ready", ANY_CHILD, BIT(SUPERVISOR), false, SMALL, SIZE(wire_ready),
		{F(wire_ready, generation)}},
	[WIRE_STATS] = {"stats", ANY_CHILD, BIT(SUPERVISOR), false, MEDIUM, SIZE(wire_stats),
		{F(wire_stats, rows)}},
	[WIRE_TROUBLE] = {"trouble", ANY_CHILD, BIT(SUPERVISOR), false, SMALL, SIZE(wire_trouble),
		{F(wire_trouble, what)}},
	[WIRE_LOST] = {"lost", ANY_CHILD, BIT(SUPERVISOR), false, SMALL, SIZE(wire_peer),
		{F(wire_peer, who), F(wire_peer, index)}},

	[WIRE_EXAMINE] = {"examine", BIT(SUPERVISOR), BIT(DOCTOR), false, SMALL, SIZE(wire_examine),
		{F(wire_examine, only), F(wire_examine, except)}},
	[WIRE_FINDINGS] = {"findings", BIT(DOCTOR), BIT(SUPERVISOR), false, WIRE_FRAME_MAX, SIZE(wire_findings),
		{F(wire_findings, rows), F(wire_findings, gates)}},
	[WIRE_GATES] = {"gates", BIT(SUPERVISOR), BIT(DELIVERY), false, WIRE_FRAME_MAX, SIZE(wire_gates),
		{F(wire_gates, rows)}},
	[WIRE_SUSPECT] = {"suspect", BIT(DELIVERY), BIT(SUPERVISOR), false, 2 * SMALL, SIZE(wire_suspect),
		{F(wire_suspect, only), F(wire_suspect, domain), F(wire_suspect, id), F(wire_suspect, mx),
		 F(wire_suspect, reply)}},
	[WIRE_KEY_STATE] = {"key-state", BIT(DELIVERY), BIT(SUPERVISOR), false, SMALL, SIZE(wire_key_state),
		{F(wire_key_state, name), F(wire_key_state, key), F(wire_key_state, why)}},

	[WIRE_MECHS] = {"mechs", BIT(AUTH), BIT(SMTPD), false, SMALL, SIZE(wire_mechs),
		{F(wire_mechs, plain), F(wire_mechs, tls)}},
	[WIRE_AUTH_START] = {"auth-start", BIT(SMTPD), BIT(AUTH), false, MEDIUM, SIZE(wire_auth_start),
		{F(wire_auth_start, id), F(wire_auth_start, mech), F(wire_auth_start, has_initial),
		 F(wire_auth_start, initial), F(wire_auth_start, tls_bits), F(wire_auth_start, binding),
		 F(wire_auth_start, client)}},
	[WIRE_AUTH_STEP] = {"auth-step", BIT(SMTPD), BIT(AUTH), false, MEDIUM, SIZE(wire_auth_step),
		{F(wire_auth_step, id), F(wire_auth_step, response)}},
	[WIRE_AUTH_CANCEL] = {"auth-cancel", BIT(SMTPD), BIT(AUTH), false, SMALL, SIZE(wire_auth_id),
		{F(wire_auth_id, id)}},
	[WIRE_AUTH_MORE] = {"auth-more", BIT(AUTH), BIT(SMTPD), false, MEDIUM, SIZE(wire_auth_more),
		{F(wire_auth_more, id), F(wire_auth_more, challenge)}},
	[WIRE_AUTH_DONE] = {"auth-done", BIT(AUTH), BIT(SMTPD), false, MEDIUM, SIZE(wire_auth_done),
		{F(wire_auth_done, id), F(wire_auth_done, code), F(wire_auth_done, login),
		 F(wire_auth_done, final), F(wire_auth_done, has_final)}},

	[WIRE_INTAKE] = {"intake", BIT(QUEUE), BIT(SMTPD), false, SMALL, SIZE(wire_intake),
		{F(wire_intake, state), F(wire_intake, why)}},
	[WIRE_SPILL] = {"spill", BIT(SMTPD), BIT(QUEUE), false, SMALL, SIZE(wire_spill),
		{F(wire_spill, id), F(wire_spill, hint_bytes)}},
	[WIRE_SPILLED] = {"spilled", BIT(QUEUE), BIT(SMTPD), true, SMALL, SIZE(wire_spilled),
		{F(wire_spilled, id), F(wire_spilled, ok)}},
	[WIRE_PUT] = {"put", BIT(SMTPD), BIT(QUEUE), false, WIRE_FRAME_MAX, SIZE(wire_put),
		{F(wire_put, id), F(wire_put, spilled), F(wire_put, size), F(wire_put, envelope),
		 F(wire_put, body)}},
	[WIRE_DROP] = {"drop", BIT(SMTPD), BIT(QUEUE), false, SMALL, SIZE(wire_drop), {F(wire_drop, id)}},
	[WIRE_STORED] = {"stored", BIT(QUEUE), BIT(SMTPD), false, SMALL, SIZE(wire_stored),
		{F(wire_stored, id), F(wire_stored, code), F(wire_stored, text)}},

	[WIRE_CAPACITY] = {"capacity", BIT(DELIVERY), BIT(QUEUE), false, SMALL, SIZE(wire_capacity),
		{F(wire_capacity, leases)}},
	[WIRE_LEASE] = {"lease", BIT(QUEUE), BIT(DELIVERY), true, WIRE_FRAME_MAX, SIZE(wire_lease),
		{F(wire_lease, id), F(wire_lease, part), F(wire_lease, token), F(wire_lease, attempt),
		 F(wire_lease, lane), F(wire_lease, rcpts), F(wire_lease, envelope), F(wire_lease, size),
		 F(wire_lease, body)}},
	[WIRE_OUTCOME] = {"outcome", BIT(DELIVERY), BIT(QUEUE), false, WIRE_FRAME_MAX, SIZE(wire_outcome),
		{F(wire_outcome, id), F(wire_outcome, part), F(wire_outcome, token), F(wire_outcome, scope),
		 F(wire_outcome, relayed_dsn), F(wire_outcome, replies), F(wire_outcome, mta),
		 F(wire_outcome, facts), F(wire_outcome, dkim)}},

	[WIRE_RETRY] = {"retry", BIT(DELIVERY), BIT(QUEUE), false, SMALL, SIZE(wire_empty), {{0}}},

	[WIRE_SIGN] = {"sign", BIT(DELIVERY), BIT(KEYD), false, HEADS, SIZE(wire_sign),
		{F(wire_sign, id), F(wire_sign, domain), F(wire_sign, selector), F(wire_sign, fields),
		 F(wire_sign, last)}},
	[WIRE_SIGNED] = {"signed", BIT(KEYD), BIT(DELIVERY), false, SMALL, SIZE(wire_signed),
		{F(wire_signed, id), F(wire_signed, ok), F(wire_signed, signature), F(wire_signed, why)}},
	[WIRE_KEYS] = {"keys", BIT(KEYD), BIT(DELIVERY), false, SMALL, SIZE(wire_empty), {{0}}},
	[WIRE_TLS_SIGN] = {"tls-sign", BIT(SMTPD), BIT(KEYD), false, SMALL, SIZE(wire_tls_sign),
		{F(wire_tls_sign, key), F(wire_tls_sign, scheme), F(wire_tls_sign, content)}},
	[WIRE_TLS_SIGNED] = {"tls-signed", BIT(KEYD), BIT(SMTPD), false, SMALL, SIZE(wire_signed),
		{F(wire_signed, id), F(wire_signed, ok), F(wire_signed, signature), F(wire_signed, why)}},
};

static const char *const role_names[ROLE_COUNT] = {
	[ROLE_SUPERVISOR] = "supervisor", [ROLE_SMTPD] = "smtpd",       [ROLE_AUTH] = "auth",
	[ROLE_QUEUE] = "queue",           [ROLE_DELIVERY] = "delivery", [ROLE_KEYD] = "keyd",
	[ROLE_DOCTOR] = "doctor",
};

/* clang-format on */

/* Octets of a field on the wire; a text has its length in front. */
static const uint8_t widths[] = {[U8] = 1, [U16] = 2, [U32] = 4, [U64] = 8, [TEXT] = 4};

static const struct message *
find(enum wire_id id)
{
	assert(id > WIRE_NONE && id < WIRE_COUNT);
	return &messages[id];
}

static uint64_t
get_number(const void *msg, const struct field *f)
{
	const char *at = (const char *)msg + f->at;
	uint16_t    u16;
	uint32_t    u32;
	uint64_t    u64;

	switch (f->kind) {
	case U8:
		return (uint8_t)*at;
	case U16:
		memcpy(&u16, at, sizeof u16);
		return u16;
	case U32:
		memcpy(&u32, at, sizeof u32);
		return u32;
	default:
		memcpy(&u64, at, sizeof u64);
		return u64;
	}
}

static void
set_number(void *msg, const struct field *f, uint64_t value)
{
	char    *at = (char *)msg + f->at;
	uint8_t  u8 = (uint8_t)value;
	uint16_t u16 = (uint16_t)value;
	uint32_t u32 = (uint32_t)value;

	switch (f->kind) {
	case U8:
		memcpy(at, &u8, sizeof u8);
		break;
	case U16:
		memcpy(at, &u16, sizeof u16);
		break;
	case U32:
		memcpy(at, &u32, sizeof u32);
		break;
	default:
		memcpy(at, &value, sizeof value);
		break;
	}
}

static struct str
get_text(const void *msg, const struct field *f)
{
	struct str s;

	memcpy(&s, (const char *)msg + f->at, sizeof s);
	return s;
}

/* Numbers travel with the lowest octet first. */
static char *
put_octets(char *to, uint64_t value, unsigned width)
{
	for (unsigned i = 0; i < width; i++)
		to[i] = (char)(value >> 8 * i & 0xff);
	return to + width;
}

static uint64_t
take_octets(struct str *from, unsigned width)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < width; i++)
		value |= (uint64_t)(uint8_t)from->p[i] << 8 * i;
	*from = str_skip(*from, width);
	return value;
}

void
wire_head_add(struct buf *out, struct wire_head h)
{
	uint64_t word = (uint64_t)h.length | (uint64_t)h.id << 32 | (uint64_t)h.flags << 48;
	char    *to = buf_room(out, WIRE_HEADER);

	if (to == NULL)
		return;
	(void)put_octets(to, word, WIRE_HEADER);
	buf_commit(out, WIRE_HEADER);
}

struct wire_head
wire_head_parse(const char *p)
{
	struct str from = {p, WIRE_HEADER};
	uint64_t   word = take_octets(&from, WIRE_HEADER);

	return (struct wire_head){(size_t)(word & 0xffffffff), (unsigned)(word >> 32 & 0xffff),
	                          (unsigned)(word >> 48)};
}

size_t
wire_size(enum wire_id id, const void *msg)
{
	size_t n = 0;

	for (const struct field *f = find(id)->fields; f->kind != END; f++) {
		n += widths[f->kind];
		if (f->kind == TEXT)
			n += get_text(msg, f).n;
	}
	return n;
}

void
wire_encode(struct buf *out, enum wire_id id, const void *msg)
{
	size_t n = wire_size(id, msg);
	char  *to = n <= UINT32_MAX ? buf_room(out, n) : NULL;

	if (to == NULL) {
		out->over = true;
		return;
	}
	for (const struct field *f = find(id)->fields; f->kind != END; f++) {
		if (f->kind == TEXT) {
			struct str s = get_text(msg, f);

			to = put_octets(to, s.n, widths[TEXT]);
			if (s.n > 0)
				memcpy(to, s.p, s.n);
			to += s.n;
		} else {
			to = put_octets(to, get_number(msg, f), widths[f->kind]);
		}
	}
	buf_commit(out, n);
}

bool
wire_decode(enum wire_id id, struct str payload, void *msg)
{
	const struct message *m = find(id);

	memset(msg, 0, m->size);
	if (payload.n > m->limit)
		return false;
	for (const struct field *f = m->fields; f->kind != END; f++) {
		uint64_t number;

		if (payload.n < widths[f->kind])
			return false;
		number = take_octets(&payload, widths[f->kind]);
		if (f->kind == TEXT) {
			struct str s = {payload.p, (size_t)number};

			if (s.n > payload.n)
				return false;
			payload = str_skip(payload, s.n);
			memcpy((char *)msg + f->at, &s, sizeof s);
		} else {
			set_number(msg, f, number);
		}
	}
	return payload.n == 0;
}

bool
wire_is_known(unsigned id)
{
	return id > WIRE_NONE && id < WIRE_COUNT;
}

bool
wire_may_pass(enum wire_id id, enum role_id from, enum role_id to)
{
	const struct message *m = find(id);

	return (m->from >> from & 1) != 0 && (m->to >> to & 1) != 0;
}

bool
wire_has_fd(enum wire_id id)
{
	return find(id)->fd;
}

size_t
wire_limit(enum wire_id id)
{
	return find(id)->limit;
}

const char *
wire_name(enum wire_id id)
{
	return find(id)->name;
}

const char *
role_name(enum role_id id)
{
	assert(id < ROLE_COUNT);
	return role_names[id];
}

bool
role_find(struct str name, enum role_id *id)
{
	for (unsigned i = 0; i < ROLE_COUNT; i++) {
		if (str_eq(name, str_of(role_names[i]))) {
			*id = (enum role_id)i;
			return true;
		}
	}
	return false;
}
