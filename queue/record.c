/* SPDX-License-Identifier: ISC */
#include "queue/record.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
	MAGIC = 0x31717370, /* "psq1" */
	AT_TYPE = 4,
	AT_FLAGS = 5,
	AT_SEQ = 8,
	AT_BATCH_OFF = 12,
	AT_BATCH = 16,
	AT_ID = 24,
	AT_ENV = 32,
	AT_PARTS = 36,
	AT_BODY = 40,
	AT_HEAD_SUM = 44,
	AT_META_SUM = 48,
	AT_BODY_SUM = 56,
};

static void
put32(uint8_t *to, uint32_t x)
{
	for (unsigned i = 0; i < 4; i++)
		to[i] = (uint8_t)(x >> 8 * i);
}

static void
put64(uint8_t *to, uint64_t x)
{
	put32(to, (uint32_t)x);
	put32(to + 4, (uint32_t)(x >> 32));
}

static uint32_t
get32(const uint8_t *from)
{
	return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
	       (uint32_t)from[3] << 24;
}

static uint64_t
get64(const uint8_t *from)
{
	return get32(from) | (uint64_t)get32(from + 4) << 32;
}

uint32_t
record_inline(const struct record *r)
{
	return (r->flags & RECORD_BIG) != 0 ? 0 : r->body_len;
}

uint64_t
record_span(const struct record *r)
{
	uint64_t n = RECORD_HEAD + (uint64_t)r->env_len + r->parts_len + record_inline(r);

	return (n + RECORD_ALIGN - 1) / RECORD_ALIGN * RECORD_ALIGN;
}

uint64_t
record_sum(uint64_t salt, const void *p, size_t n)
{
	return XXH3_64bits_withSeed(p, n, salt);
}

/* The header has its own sum, so that a scan need not believe a length to refute it. */
static uint32_t
head_sum(const uint8_t *head, uint64_t salt)
{
	return (uint32_t)record_sum(salt, head, AT_HEAD_SUM);
}

void
record_encode(uint8_t out[RECORD_HEAD], const struct record *r, uint64_t salt)
{
	memset(out, 0, RECORD_HEAD);
	put32(out, MAGIC);
	out[AT_TYPE] = (uint8_t)r->type;
	out[AT_FLAGS] = (uint8_t)r->flags;
	put32(out + AT_SEQ, r->seq);
	put32(out + AT_BATCH_OFF, r->batch_off);
	put64(out + AT_BATCH, r->batch);
	put64(out + AT_ID, r->id);
	put32(out + AT_ENV, r->env_len);
	put32(out + AT_PARTS, r->parts_len);
	put32(out + AT_BODY, r->body_len);
	put32(out + AT_HEAD_SUM, head_sum(out, salt));
	put64(out + AT_META_SUM, r->meta_sum);
	put64(out + AT_BODY_SUM, r->body_sum);
}

bool
record_decode(struct record *r, const uint8_t in[RECORD_HEAD], uint32_t seq, uint64_t salt)
{
	if (get32(in) != MAGIC || get32(in + AT_SEQ) != seq)
		return false;
	if (get32(in + AT_HEAD_SUM) != head_sum(in, salt))
		return false;
	if (in[AT_TYPE] < RECORD_MSG || in[AT_TYPE] > RECORD_SEAL)
		return false;
	*r = (struct record){
		.type = (enum record_type)in[AT_TYPE],
		.flags = in[AT_FLAGS],
		.seq = seq,
		.batch_off = get32(in + AT_BATCH_OFF),
		.batch = get64(in + AT_BATCH),
		.id = get64(in + AT_ID),
		.env_len = get32(in + AT_ENV),
		.parts_len = get32(in + AT_PARTS),
		.body_len = get32(in + AT_BODY),
		.meta_sum = get64(in + AT_META_SUM),
		.body_sum = get64(in + AT_BODY_SUM),
	};
	return true;
}
