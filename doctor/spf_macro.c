/* SPDX-License-Identifier: ISC */
/* Macros of RFC 7208 section 7, and the validated name that %{p} and ptr ask for. */
#include "doctor/spf.h"
#include "lib/mail/address.h"
#include "lib/util/time.h"

enum {
	PTR_NAMES_MAX = 10, /* section 4.6.4 */
	PARTS_MAX = 128,
	VALUE_MAX = 4096,
};

bool
spf_validated(struct buf *out, struct facts *f, struct addr ip, struct str below)
{
	struct buf         reverse = BUF(128);
	const struct fact *names;
	bool               whole;

	reverse_name(&reverse, ip, true);
	names = facts_get(f, buf_str(&reverse), DNS_PTR);
	buf_free(&reverse);
	whole = names->known;
	for (size_t i = 0; i < names->n && i < PTR_NAMES_MAX; i++) {
		struct str         name = names->records[i].name;
		const struct fact *a = facts_get(f, name, ip.family == 4 ? DNS_A : DNS_AAAA);

		whole = whole && a->known;
		if (below.n > 0 && !domain_is_within(name, below))
			continue;
		for (size_t k = 0; whole && k < a->n; k++)
			if (addr_equal(a->records[k].addr, ip)) {
				buf_add(out, name);
				return true;
			}
	}
	return whole;
}

static void
add_ip(struct buf *out, struct addr ip)
{
	if (ip.family == 4) {
		addr_format(out, ip);
		return;
	}
	for (size_t i = 0; i < 16; i++)
		buf_addf(out, "%s%X.%X", i == 0 ? "" : ".", ip.ip[i] >> 4, ip.ip[i] & 15U);
}

/* %{p}: the domain itself if it is validated, else one below it, else any: section 7.3. */
static bool
add_validated(struct buf *out, const struct spf_scope *s)
{
	size_t before = out->n;

	if (!spf_validated(out, s->facts, s->q->ip, s->domain))
		return false;
	if (out->n == before && !spf_validated(out, s->facts, s->q->ip, STR_NONE))
		return false;
	if (out->n == before)
		buf_addz(out, "unknown");
	return true;
}

static bool
add_value(struct buf *out, const struct spf_scope *s, char letter)
{
	switch (letter | 32) {
	case 's':
		buf_add(out, s->local);
		buf_addc(out, '@');
		buf_add(out, s->sender_domain);
		break;
	case 'l':
		buf_add(out, s->local);
		break;
	case 'o':
		buf_add(out, s->sender_domain);
		break;
	case 'd':
		buf_add(out, s->domain);
		break;
	case 'i':
		add_ip(out, s->q->ip);
		break;
	case 'p':
		return add_validated(out, s);
	case 'v':
		buf_addz(out, s->q->ip.family == 4 ? "in-addr" : "ip6");
		break;
	case 'h':
		buf_add(out, s->q->helo);
		break;
	case 'c':
		addr_format(out, s->q->ip);
		break;
	case 'r':
		buf_addz(out, "unknown"); /* the receiver's own name: we are none */
		break;
	case 't':
		buf_addi(out, time_wall_ms() / 1000);
		break;
	default:
		break;
	}
	return true;
}

/* Split at the delimiters, perhaps turn round, keep the last `keep` parts, join with dots. */
static void
transform(struct buf *out, struct str value, struct str how, uint64_t keep)
{
	struct str parts[PARTS_MAX], delimiters;
	size_t     n = 0, from = 0;
	bool       back = how.n > 0 && (how.p[0] | 32) == 'r';

	delimiters = back ? str_skip(how, 1) : how;
	if (delimiters.n == 0)
		delimiters = STR(".");
	for (size_t i = 0; i <= value.n && n < PARTS_MAX; i++)
		if (i == value.n || str_find(delimiters, value.p[i]) >= 0) {
			parts[n++] = str_sub(value, from, i - from);
			from = i + 1;
		}
	if (keep == 0 || keep > n)
		keep = n;
	for (size_t i = n - (size_t)keep; i < n; i++) {
		buf_add(out, parts[back ? n - 1 - i : i]);
		if (i + 1 < n)
			buf_addc(out, '.');
	}
}

static void
escape(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i], low = (char)(c | 32);

		if ((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') ||
		    str_find(STR("-._~"), c) >= 0)
			buf_addc(out, c);
		else
			buf_addf(out, "%%%02X", (unsigned char)c);
	}
}

/* `body` is what stands between "%{" and "}". */
static bool
expand_one(struct buf *out, const struct spf_scope *s, struct str body)
{
	struct buf value = BUF(VALUE_MAX), done = BUF(VALUE_MAX);
	size_t     digits = 1;
	uint64_t   keep = 0;
	bool       ok = add_value(&value, s, body.p[0]);

	while (digits < body.n && body.p[digits] >= '0' && body.p[digits] <= '9')
		digits++;
	if (digits > 1 && !str_number(str_sub(body, 1, digits - 1), PARTS_MAX, &keep))
		keep = PARTS_MAX;
	if (digits < body.n || keep > 0)
		transform(&done, buf_str(&value), str_skip(body, digits), keep);
	else
		buf_add(&done, buf_str(&value));
	if (body.p[0] >= 'A' && body.p[0] <= 'Z')
		escape(out, buf_str(&done));
	else
		buf_add(out, buf_str(&done));
	buf_free(&value);
	buf_free(&done);
	return ok;
}

bool
spf_macro_expand(struct buf *out, const struct spf_scope *s, struct str spec)
{
	bool ok = true;

	for (size_t i = 0; i < spec.n;) {
		struct str rest = str_skip(spec, i);

		if (rest.p[0] != '%' || rest.n < 2) {
			buf_addc(out, rest.p[0]);
			i++;
		} else if (rest.p[1] == '{' && str_find(rest, '}') > 2) {
			size_t end = (size_t)str_find(rest, '}');

			ok = expand_one(out, s, str_sub(rest, 2, end - 2)) && ok;
			i += end + 1;
		} else {
			buf_addz(out, rest.p[1] == '_' ? " " : rest.p[1] == '-' ? "%20" : "%");
			i += 2;
		}
	}
	return ok;
}
