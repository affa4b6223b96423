/* SPDX-License-Identifier: ISC */
#include "tests/fake/fields.h"

#include <string.h>

enum { FIELDS_MAX = 10 };

/* clang-format off */
#define KIND(lvalue) _Generic((lvalue), uint8_t: FIELD_U8, uint16_t: FIELD_U16, \
	uint32_t: FIELD_U32, uint64_t: FIELD_U64, struct str: FIELD_TEXT)
#define F(type, member) \
	{#member, offsetof(struct type, member), KIND(((struct type *)NULL)->member)}

static const struct field fields[WIRE_COUNT][FIELDS_MAX + 1] = {
	[WIRE_CONFIG] = {F(wire_config, generation), F(wire_config, text)},
	[WIRE_LISTENER] = {F(wire_listener, index)},
	[WIRE_SHARED] = {F(wire_shared, processes), F(wire_shared, secret)},
	[WIRE_PEER] = {F(wire_peer, who), F(wire_peer, index)},
	[WIRE_CONTROL] = {F(wire_control, request)},
	[WIRE_READY] = {F(wire_ready, generation)},
	[WIRE_STATS] = {F(wire_stats, rows)},
	[WIRE_TROUBLE] = {F(wire_trouble, what)},
	[WIRE_EXAMINE] = {F(wire_examine, only), F(wire_examine, except)},
	[WIRE_FINDINGS] = {F(wire_findings, rows), F(wire_findings, gates)},
	[WIRE_GATES] = {F(wire_gates, rows)},
	[WIRE_SUSPECT] = {F(wire_suspect, only), F(wire_suspect, domain), F(wire_suspect, id),
		F(wire_suspect, mx), F(wire_suspect, reply)},
	[WIRE_KEY_STATE] = {F(wire_key_state, name), F(wire_key_state, key), F(wire_key_state, why)},
	[WIRE_LOST] = {F(wire_peer, who), F(wire_peer, index)},
	[WIRE_MECHS] = {F(wire_mechs, plain), F(wire_mechs, tls)},
	[WIRE_AUTH_START] = {F(wire_auth_start, id), F(wire_auth_start, mech),
		F(wire_auth_start, has_initial), F(wire_auth_start, initial),
		F(wire_auth_start, tls_bits), F(wire_auth_start, binding), F(wire_auth_start, client)},
	[WIRE_AUTH_STEP] = {F(wire_auth_step, id), F(wire_auth_step, response)},
	[WIRE_AUTH_CANCEL] = {F(wire_auth_id, id)},
	[WIRE_AUTH_MORE] = {F(wire_auth_more, id), F(wire_auth_more, challenge)},
	[WIRE_AUTH_DONE] = {F(wire_auth_done, id), F(wire_auth_done, code), F(wire_auth_done, login),
		F(wire_auth_done, final), F(wire_auth_done, has_final)},
	[WIRE_INTAKE] = {F(wire_intake, state), F(wire_intake, why)},
	[WIRE_SPILL] = {F(wire_spill, id), F(wire_spill, hint_bytes)},
	[WIRE_SPILLED] = {F(wire_spilled, id), F(wire_spilled, ok)},
	[WIRE_PUT] = {F(wire_put, id), F(wire_put, spilled), F(wire_put, size),
		F(wire_put, envelope), F(wire_put, body)},
	[WIRE_DROP] = {F(wire_drop, id)},
	[WIRE_STORED] = {F(wire_stored, id), F(wire_stored, code), F(wire_stored, text)},
	[WIRE_CAPACITY] = {F(wire_capacity, leases)},
	[WIRE_LEASE] = {F(wire_lease, id), F(wire_lease, part), F(wire_lease, token),
		F(wire_lease, attempt), F(wire_lease, lane), F(wire_lease, rcpts),
		F(wire_lease, envelope), F(wire_lease, size), F(wire_lease, body)},
	[WIRE_OUTCOME] = {F(wire_outcome, id), F(wire_outcome, part), F(wire_outcome, token),
		F(wire_outcome, scope), F(wire_outcome, relayed_dsn), F(wire_outcome, replies),
		F(wire_outcome, mta), F(wire_outcome, facts), F(wire_outcome, dkim)},
	[WIRE_SIGN] = {F(wire_sign, id), F(wire_sign, domain), F(wire_sign, selector),
		F(wire_sign, fields), F(wire_sign, last)},
	[WIRE_SIGNED] = {F(wire_signed, id), F(wire_signed, ok), F(wire_signed, signature),
		F(wire_signed, why)},
	[WIRE_TLS_SIGN] = {F(wire_tls_sign, key), F(wire_tls_sign, scheme), F(wire_tls_sign, content)},
	[WIRE_TLS_SIGNED] = {F(wire_signed, id), F(wire_signed, ok), F(wire_signed, signature),
		F(wire_signed, why)},
};
/* clang-format on */

static char
fold(char c)
{
	if (c == '_')
		return '-';
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool
same_name(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (fold(a.p[i]) != fold(b.p[i]))
			return false;
	return true;
}

bool
fields_find_message(struct str name, enum wire_id *id)
{
	for (enum wire_id i = WIRE_NONE + 1; i < WIRE_COUNT; i++) {
		if (!same_name(str_of(wire_name(i)), name))
			continue;
		*id = i;
		return true;
	}
	return false;
}

const struct field *
fields_of(enum wire_id id)
{
	return fields[id];
}

const struct field *
fields_find(enum wire_id id, struct str name)
{
	for (const struct field *f = fields[id]; f->kind != FIELD_NONE; f++)
		if (same_name(str_of(f->name), name))
			return f;
	return NULL;
}

static size_t
width(const struct field *f)
{
	static const size_t widths[] = {
		[FIELD_U8] = 1, [FIELD_U16] = 2, [FIELD_U32] = 4, [FIELD_U64] = 8};

	return widths[f->kind];
}

void
field_get(const struct field *f, const void *msg, struct buf *out)
{
	const char *at = (const char *)msg + f->at;
	uint8_t     u8;
	uint16_t    u16;
	uint32_t    u32;
	uint64_t    u64;
	struct str  text;

	switch (f->kind) {
	case FIELD_U8:
		memcpy(&u8, at, sizeof u8);
		buf_addn(out, u8);
		break;
	case FIELD_U16:
		memcpy(&u16, at, sizeof u16);
		buf_addn(out, u16);
		break;
	case FIELD_U32:
		memcpy(&u32, at, sizeof u32);
		buf_addn(out, u32);
		break;
	case FIELD_U64:
		memcpy(&u64, at, sizeof u64);
		buf_addn(out, u64);
		break;
	case FIELD_TEXT:
		memcpy(&text, at, sizeof text);
		buf_add(out, text);
		break;
	case FIELD_NONE:
		break;
	}
}

bool
field_set(const struct field *f, void *msg, struct str value)
{
	char    *at = (char *)msg + f->at;
	uint64_t number = 0;
	uint8_t  u8;
	uint16_t u16;
	uint32_t u32;

	if (f->kind != FIELD_TEXT && !str_number(value, UINT64_MAX >> (64 - 8 * width(f)), &number))
		return false;
	switch (f->kind) {
	case FIELD_U8:
		u8 = (uint8_t)number;
		memcpy(at, &u8, sizeof u8);
		break;
	case FIELD_U16:
		u16 = (uint16_t)number;
		memcpy(at, &u16, sizeof u16);
		break;
	case FIELD_U32:
		u32 = (uint32_t)number;
		memcpy(at, &u32, sizeof u32);
		break;
	case FIELD_U64:
		memcpy(at, &number, sizeof number);
		break;
	case FIELD_TEXT:
		memcpy(at, &value, sizeof value);
		break;
	case FIELD_NONE:
		break;
	}
	return true;
}
