/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "lib/dns/dns.h"

/*
 * A packet comes from the network, perhaps through a resolver that passes on
 * what it got: nothing in it is believed. All reading goes through a struct
 * wire, which remembers that something was short; work is bounded by the
 * record count, the number of CNAME steps and the length of a name.
 */
enum {
	HEADER_SIZE = 12,
	RECORDS_MAX = 512, /* looked at in one packet; far over any honest answer */
	CHAIN_MAX = 12,    /* CNAMEs followed */
	NAME_MAX_ = 255,   /* octets of a name on the wire, RFC 1035 section 2.3.4 */
	CLASS_IN = 1,
	FLAG_RESPONSE = 0x8000,
	FLAG_TRUNCATED = 0x0200,
	RCODE_MASK = 15,
};

struct wire {
	struct str packet;
	size_t     at;
	bool       bad;
};

/* A name as text: lower case, no final dot. Not usable: octets in it that no host or key name has. */
struct name {
	char   text[NAME_MAX_ + 1];
	size_t n;
	bool   usable;
};

struct record {
	struct name owner;
	unsigned    type, class;
	uint32_t    ttl_s;
	size_t      data_at, data_n;
};

struct output {
	struct dns_record *records;
	size_t             max, n;
	char              *room; /* reserved in scratch, so that nothing moves */
	size_t             used;
	bool               spoiled; /* there was something, and it could not be used */
};

static unsigned
octet(struct wire *w)
{
	if (w->at >= w->packet.n) {
		w->bad = true;
		return 0;
	}
	return (unsigned char)w->packet.p[w->at++];
}

static unsigned
number16(struct wire *w)
{
	unsigned high = octet(w);

	return high << 8 | octet(w);
}

static uint32_t
number32(struct wire *w)
{
	uint32_t high = number16(w);

	return high << 16 | number16(w);
}

static bool
is_name_octet(unsigned c)
{
	return c > ' ' && c < 0x7f && strchr("\"\\.=;()<>", (int)c) == NULL;
}

static void
add_label(struct name *name, struct str label)
{
	if (name->n > 0)
		name->text[name->n++] = '.';
	for (size_t i = 0; i < label.n; i++) {
		unsigned c = (unsigned char)label.p[i];

		if (!is_name_octet(c))
			name->usable = false;
		name->text[name->n++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
}

/*
 * Pointers may only lead to before the name's own start, and each to before the
 * one before it: a loop is impossible, not merely counted.
 */
static void
read_name(struct wire *w, struct name *name)
{
	size_t at = w->at, lowest = w->at, end = 0, length = 0;

	name->n = 0;
	name->usable = true;
	while (at < w->packet.n) {
		unsigned c = (unsigned char)w->packet.p[at];

		if (c == 0) {
			w->at = end != 0 ? end : at + 1;
			return;
		}
		if (c >= 0xc0) {
			size_t to;

			if (at + 1 >= w->packet.n)
				break;
			to = (size_t)(c & 0x3f) << 8 | (unsigned char)w->packet.p[at + 1];
			if (end == 0)
				end = at + 2;
			if (to >= lowest)
				break;
			lowest = at = to;
			continue;
		}
		length += c + 1u;
		if (c > 63 || at + 1 + c > w->packet.n || length >= NAME_MAX_)
			break;
		add_label(name, str_sub(w->packet, at + 1, c));
		at += c + 1u;
	}
	w->bad = true;
	w->at = w->packet.n;
}

static bool
read_record(struct wire *w, struct record *r)
{
	read_name(w, &r->owner);
	r->type = number16(w);
	r->class = number16(w);
	r->ttl_s = number32(w);
	r->data_n = number16(w);
	r->data_at = w->at;
	if (w->bad || r->data_n > w->packet.n - w->at) {
		w->bad = true;
		return false;
	}
	if (r->ttl_s > 0x7fffffff) /* RFC 2181 section 8 */
		r->ttl_s = 0;
	w->at += r->data_n;
	return true;
}

static bool
name_equal(const struct name *a, const struct name *b)
{
	return a->usable && b->usable && a->n == b->n && memcmp(a->text, b->text, a->n) == 0;
}

/* The next record of `type` in class IN that `owner` has, of the answers from `w` on. */
static bool
next_of(struct wire *w, size_t *left, const struct name *owner, unsigned type, struct record *r)
{
	while (*left > 0) {
		(*left)--;
		if (!read_record(w, r))
			return false;
		if (r->type == type && r->class == CLASS_IN && name_equal(&r->owner, owner))
			return true;
	}
	return false;
}

static struct str
keep(struct output *out, const char *p, size_t n)
{
	char *to = out->room + out->used;

	memcpy(to, p, n);
	out->used += n;
	return (struct str){to, n};
}

/* A name inside a record's data; it must end where the data does unless more follows it. */
static bool
keep_name(struct output *out, struct wire *w, const struct record *r, struct str *to)
{
	struct name name;

	read_name(w, &name);
	if (w->bad || !name.usable || w->at > r->data_at + r->data_n)
		return false;
	*to = keep(out, name.text, name.n);
	return true;
}

static bool
keep_address(const struct wire *w, const struct record *r, struct addr *a)
{
	size_t want = r->type == DNS_A ? 4 : 16;

	if (r->data_n != want)
		return false;
	*a = (struct addr){.family = r->type == DNS_A ? 4 : 6};
	memcpy(a->ip, w->packet.p + r->data_at, want);
	addr_unmap(a);
	return true;
}

/* Strings of one TXT record are one text without anything between (RFC 7208 section 3.3). */
static bool
keep_strings(struct output *out, struct wire *w, const struct record *r, struct str *to)
{
	size_t end = r->data_at + r->data_n;

	*to = (struct str){out->room + out->used, 0};
	while (w->at < end) {
		size_t n = octet(w);

		if (n > end - w->at)
			return false;
		keep(out, w->packet.p + w->at, n);
		to->n += n;
		w->at += n;
	}
	return true;
}

static bool
keep_data(struct output *out, struct wire w, const struct record *r, struct dns_record *d)
{
	w.at = r->data_at;
	switch (r->type) {
	case DNS_A:
	case DNS_AAAA:
		return keep_address(&w, r, &d->addr);
	case DNS_MX:
		d->preference = number16(&w);
		return keep_name(out, &w, r, &d->name);
	case DNS_NS:
	case DNS_CNAME:
	case DNS_SOA:
	case DNS_PTR:
		return keep_name(out, &w, r, &d->name);
	case DNS_TXT:
		return keep_strings(out, &w, r, &d->data);
	case DNS_TLSA:
		if (r->data_n < 4)
			return false;
		break;
	default:
		break;
	}
	d->data = keep(out, w.packet.p + r->data_at, r->data_n);
	return true;
}

static void
add_record(struct output *out, const struct wire *w, const struct record *r)
{
	struct dns_record *d = &out->records[out->n];
	size_t             used = out->used;

	*d = (struct dns_record){.type = (enum dns_type)r->type, .ttl_s = r->ttl_s};
	if (keep_data(out, *w, r, d)) {
		out->n++;
	} else { /* one unusable record does not spoil the others */
		out->used = used;
		out->spoiled = true;
	}
}

/* Collect what `owner` has of `type`, walking CNAMEs, whatever their order in the packet. */
static void
collect(struct output *out, struct wire answers, size_t count, struct name *owner, enum dns_type type)
{
	struct record r;

	for (unsigned step = 0; step <= CHAIN_MAX && out->n == 0; step++) {
		struct wire w = answers;
		size_t      left = count;
		struct name next;

		while (out->n < out->max && next_of(&w, &left, owner, type, &r))
			add_record(out, &w, &r);
		out->spoiled |= w.bad;
		w = answers;
		left = count;
		if (out->n > 0 || type == DNS_CNAME || !next_of(&w, &left, owner, DNS_CNAME, &r))
			return;
		w.at = r.data_at;
		read_name(&w, &next);
		out->spoiled |= w.bad || !next.usable || step == CHAIN_MAX;
		if (w.bad || !next.usable)
			return;
		*owner = next;
	}
}

/* Room for the worst case: the texts of a record are a name, or a part of the packet. */
static bool
reserve(struct output *out, struct buf *scratch, size_t packet_n)
{
	out->room = buf_room(scratch, out->max * (NAME_MAX_ + 1) + packet_n);
	return out->room != NULL;
}

static enum dns_status
status_of(unsigned flags, size_t n)
{
	if ((flags & RCODE_MASK) == 3)
		return DNS_NXDOMAIN;
	if ((flags & RCODE_MASK) != 0)
		return DNS_TEMPFAIL;
	return n > 0 ? DNS_OK : DNS_NODATA;
}

enum dns_status
dns_parse(struct str packet, enum dns_type type, struct dns_record *records, size_t max, size_t *n,
          struct buf *scratch)
{
	struct wire   w = {.packet = packet};
	struct output out = {.records = records, .max = max};
	struct name   owner;
	unsigned      flags, questions;
	size_t        answers;

	*n = 0;
	number16(&w); /* the id: libunbound's business */
	flags = number16(&w);
	questions = number16(&w);
	answers = number16(&w);
	w.at = HEADER_SIZE;
	read_name(&w, &owner);
	if (number16(&w) != (unsigned)type || number16(&w) != CLASS_IN || questions != 1)
		return DNS_TEMPFAIL;
	if (w.bad || !owner.usable || (flags & FLAG_RESPONSE) == 0 || (flags & FLAG_TRUNCATED) != 0)
		return DNS_TEMPFAIL;
	if (answers > RECORDS_MAX)
		answers = RECORDS_MAX;
	if (status_of(flags, 1) != DNS_OK)
		return status_of(flags, 0);
	if (!reserve(&out, scratch, packet.n))
		return DNS_TEMPFAIL;
	collect(&out, w, answers, &owner, type);
	buf_commit(scratch, out.used);
	*n = out.n;
	/* "No such record" costs mail, or sends it elsewhere: only a whole answer says that. */
	return out.n == 0 && out.spoiled ? DNS_TEMPFAIL : status_of(flags, out.n);
}
