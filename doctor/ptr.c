/* SPDX-License-Identifier: ISC */
/* The reverse name of each source, and the name we say in EHLO. */
#include "doctor/exam.h"

enum { NAME_LIMIT = 512 };

static bool
has(const struct fact *f, struct addr a)
{
	for (size_t i = 0; i < f->n; i++)
		if (addr_equal(f->records[i].addr, a))
			return true;
	return false;
}

static enum dns_type
address_type(struct addr a)
{
	return a.family == 4 ? DNS_A : DNS_AAAA;
}

static const char *
address_type_name(struct addr a)
{
	return a.family == 4 ? "A" : "AAAA";
}

static const struct fact *
ask_names(struct exam *e, struct finding *f, struct addr source)
{
	struct buf         name = BUF(NAME_LIMIT);
	const struct fact *ptr;

	reverse_name(&name, source, true);
	ptr = exam_ask(e, f, buf_str(&name), DNS_PTR);
	buf_free(&name);
	for (size_t i = 0; ptr != NULL && i < ptr->n; i++)
		finding_see(f, ptr->records[i].name);
	return ptr;
}

void
exam_confirmed_name(struct exam *e, struct addr source, struct buf *name)
{
	struct buf         reverse = BUF(NAME_LIMIT);
	const struct fact *ptr;

	reverse_name(&reverse, source, true);
	ptr = facts_get(e->facts, buf_str(&reverse), DNS_PTR);
	buf_free(&reverse);
	for (size_t i = 0; i < ptr->n && name->n == 0; i++)
		if (has(facts_get(e->facts, ptr->records[i].name, address_type(source)), source))
			buf_add(name, ptr->records[i].name);
}

/* Whoever runs the reverse zone is in its SOA: that is whom to ask. */
bool
exam_reverse_zone(struct exam *e, struct addr source, struct buf *zone, struct str *server)
{
	struct buf name = BUF(NAME_LIMIT);
	struct str rest;
	bool       found = false;

	reverse_name(&name, source, true);
	rest = buf_str(&name);
	for (size_t up = 0; !found && up < (source.family == 4 ? 3U : 24U); up++) {
		const struct fact *soa;

		rest = str_skip(rest, (size_t)str_find(rest, '.') + 1);
		if (source.family == 6 && up % 4 != 3)
			continue; /* delegations are at whole groups, nearly always */
		soa = facts_get(e->facts, rest, DNS_SOA);
		if (soa->n == 0)
			continue;
		buf_add(zone, rest);
		*server = soa->records[0].name;
		found = true;
	}
	buf_free(&name);
	return found;
}

static void
say_whom(struct exam *e, struct finding *f, struct addr source)
{
	struct buf zone = BUF(NAME_LIMIT);
	struct str server;

	if (exam_reverse_zone(e, source, &zone, &server))
		finding_fix(f, "Ask the owner of the network (its zone %.*s is served by %.*s):",
		            S(buf_str(&zone)), S(server));
	else
		finding_fix(f, "Ask the provider of the address, or set it in his panel:");
	buf_free(&zone);
}

static void
fix_ptr(struct exam *e, struct finding *f, struct addr source)
{
	struct buf name = BUF(NAME_LIMIT);

	say_whom(e, f, source);
	reverse_name(&name, source, true);
	finding_record(f, buf_str(&name), "PTR", exam_ehlo(e));
	buf_free(&name);
}

static void
fix_address(struct finding *f, struct str name, struct addr source)
{
	struct buf ip = BUF(64);

	addr_format(&ip, source);
	finding_record(f, name, address_type_name(source), buf_str(&ip));
	buf_free(&ip);
}

void
check_ptr_exists(struct exam *e, const struct subject *s, struct finding *f)
{
	const struct fact *ptr = ask_names(e, f, s->source);

	if (ptr == NULL)
		return;
	if (ptr->n > 0) {
		finding_say(f, CHECK_PASS, "has the reverse name %.*s", S(ptr->records[0].name));
		return;
	}
	finding_say(f, CHECK_FAIL, "has no reverse name (PTR)");
	finding_want(f, exam_ehlo(e));
	fix_ptr(e, f, s->source);
}

void
check_ptr_single(struct exam *e, const struct subject *s, struct finding *f)
{
	const struct fact *ptr = ask_names(e, f, s->source);

	if (ptr == NULL)
		return;
	if (ptr->n == 0) {
		finding_say(f, CHECK_SKIP, "there is no reverse name");
	} else if (ptr->n == 1) {
		finding_say(f, CHECK_PASS, "has one reverse name");
	} else {
		finding_say(f, CHECK_WARN,
		            "has %zu reverse names; receivers look at any one of them", ptr->n);
		finding_fix(f, "Keep %.*s and remove the others.", S(exam_ehlo(e)));
		finding_want(f, exam_ehlo(e));
	}
}

void
check_ptr_fcrdns(struct exam *e, const struct subject *s, struct finding *f)
{
	const struct fact *ptr = ask_names(e, f, s->source), *a[FACT_RECORDS_MAX];
	bool               known = true;

	if (ptr == NULL)
		return;
	if (ptr->n == 0) {
		finding_say(f, CHECK_SKIP, "there is no reverse name");
		return;
	}
	for (size_t i = 0; i < ptr->n; i++) {
		a[i] = exam_ask(e, f, ptr->records[i].name, address_type(s->source));
		known = known && a[i] != NULL;
	}
	for (size_t i = 0; i < ptr->n; i++)
		if (a[i] != NULL && has(a[i], s->source)) {
			finding_say(f, CHECK_PASS, "%.*s leads back to the address",
			            S(ptr->records[i].name));
			return;
		}
	if (!known)
		return;
	finding_say(f, CHECK_FAIL, "its reverse name %.*s does not lead back to it",
	            S(ptr->records[0].name));
	finding_fix(f, "Give the name this address, or the address another name:");
	fix_address(f, ptr->records[0].name, s->source);
}

/* ---- names that look like those of a customer's line ---- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* How many octets of an IPv4 address stand in the name as numbers of their own. */
static unsigned
octets_in(struct str name, struct addr a)
{
	unsigned count = 0;
	bool     seen[4] = {false};

	for (size_t i = 0; i < name.n; i++) {
		size_t   n = 0;
		uint64_t number;

		if (!is_digit(name.p[i]) || (i > 0 && is_digit(name.p[i - 1])))
			continue;
		while (i + n < name.n && is_digit(name.p[i + n]))
			n++;
		if (!str_number(str_sub(name, i, n), 255, &number))
			continue;
		for (size_t k = 0; k < 4; k++)
			if (!seen[k] && a.ip[k] == number) {
				seen[k] = true;
				count++;
				break;
			}
	}
	return count;
}

static const char *
generic_token(struct str name)
{
	static const char *const whole[] = {"dyn",      "dynamic", "dsl",    "adsl",      "vdsl",
	                                    "dhcp",     "pool",    "ppp",    "pppoe",     "cable",
	                                    "customer", "static",  "client", "broadband", "vps",
	                                    "host",     "ip"};
	static const char *const within[] = {"compute.amazonaws.com", "bc.googleusercontent.com",
	                                     "cloudapp"};

	for (size_t i = 0; i < ARRAY_LEN(within); i++)
		if (str_find_str(name, str_of(within[i])) >= 0)
			return within[i];
	/* A token is a run of letters. The last two labels are the owner's name, no pattern of his. */
	for (size_t i = 0; i < name.n;) {
		size_t    n = 0;
		ptrdiff_t dot = str_find(str_skip(name, i), '.');

		if (dot < 0 || str_find(str_skip(name, i + (size_t)dot + 1), '.') < 0)
			break;
		while (i + n < name.n && name.p[i + n] >= 'a' && name.p[i + n] <= 'z')
			n++;
		for (size_t k = 0; k < ARRAY_LEN(whole); k++)
			if (str_eq(str_sub(name, i, n), str_of(whole[k])))
				return whole[k];
		i += n + 1;
	}
	return NULL;
}

void
check_ptr_generic(struct exam *e, const struct subject *s, struct finding *f)
{
	const struct fact *ptr = ask_names(e, f, s->source);
	const char        *token;
	struct str         name;

	if (ptr == NULL)
		return;
	if (ptr->n == 0) {
		finding_say(f, CHECK_SKIP, "there is no reverse name");
		return;
	}
	name = ptr->records[0].name;
	token = generic_token(name);
	if (token != NULL)
		finding_say(f, CHECK_WARN,
		            "the reverse name %.*s looks like that of a dial-up line (%s)", S(name),
		            token);
	else if (s->source.family == 4 && octets_in(name, s->source) >= 2)
		finding_say(f, CHECK_WARN, "the reverse name %.*s is made of the address", S(name));
	else
		finding_say(f, CHECK_PASS, "the reverse name is one of your own");
	if (f->status == CHECK_WARN)
		fix_ptr(e, f, s->source);
}

/* ---- EHLO ---- */

void
check_ehlo_resolves(struct exam *e, const struct subject *s, struct finding *f)
{
	const struct fact *a;

	if (s->ehlo.n > 0 && s->ehlo.p[0] == '[') {
		finding_say(f, CHECK_NOTE, "the EHLO name is an address, nothing to resolve");
		return;
	}
	if ((a = exam_ask(e, f, s->ehlo, address_type(s->source))) == NULL)
		return;
	if (has(a, s->source)) {
		finding_say(f, CHECK_PASS, "%.*s resolves to it", S(s->ehlo));
		return;
	}
	if (a->n == 0)
		finding_say(f, CHECK_FAIL, "the EHLO name %.*s has no %s record", S(s->ehlo),
		            address_type_name(s->source));
	else
		finding_say(f, CHECK_FAIL, "the EHLO name %.*s leads to another address",
		            S(s->ehlo));
	finding_fix(f, "Give the EHLO name this address:");
	fix_address(f, s->ehlo, s->source);
}

void
check_ehlo_match(struct exam *e, const struct subject *s, struct finding *f)
{
	const struct fact *ptr = ask_names(e, f, s->source);

	if (ptr == NULL)
		return;
	if (ptr->n == 0) {
		finding_say(f, CHECK_SKIP, "there is no reverse name");
		return;
	}
	for (size_t i = 0; i < ptr->n; i++)
		if (str_ieq(ptr->records[i].name, s->ehlo)) {
			finding_say(f, CHECK_PASS, "the EHLO name is the reverse name");
			return;
		}
	finding_want(f, s->ehlo);
	finding_say(f, CHECK_WARN, "the EHLO name %.*s is not the reverse name %.*s", S(s->ehlo),
	            S(ptr->records[0].name));
	finding_fix(f, "Say `hostname %.*s` in the configuration, or change the PTR.",
	            S(ptr->records[0].name));
}
