/* SPDX-License-Identifier: ISC */
#include "cmd/records.h"

#include <string.h>

#include "doctor/report.h"
#include "lib/mail/address.h"
#include "lib/util/json.h"

enum { LIMIT_MS = 4500, NAME_LIMIT = 1024 };

static const struct {
	const char        *name;
	enum record_format format;
} formats[] = {{"zone", FORMAT_ZONE},
               {"panel", FORMAT_PANEL},
               {"json", FORMAT_JSON},
               {"terraform", FORMAT_TERRAFORM}};

bool
record_format_parse(const char *word, enum record_format *format)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		if (strcmp(word, formats[i].name) == 0) {
			*format = formats[i].format;
			return true;
		}
	return false;
}

static void
print_zone(struct buf *out, const struct wanted *w)
{
	buf_addf(out, "; %s [%s]", w->what, record_state_name(w->state));
	if (w->state == RECORD_DIFFERS) {
		buf_addz(out, "; you have: ");
		report_clean(out, buf_str(&w->have));
	}
	if (w->note != NULL && w->state != RECORD_PRESENT)
		buf_addf(out, "; %s", w->note);
	if (w->whom.n > 0) {
		buf_addz(out, "; ");
		report_clean(out, buf_str(&w->whom));
	}
	buf_addc(out, '\n');
	if (w->value.n > 0)
		record_zone_line(out, buf_str(&w->name), w->type, buf_str(&w->value));
	buf_addc(out, '\n');
}

static void
print_panel(struct buf *out, const struct wanted *w)
{
	buf_addf(out, "%s [%s]\n    type   %s\n    name   %.*s\n    value  %.*s\n", w->what,
	         record_state_name(w->state), w->type, S(buf_str(&w->name)), S(buf_str(&w->value)));
	if (w->state == RECORD_DIFFERS) {
		buf_addz(out, "    now    ");
		report_clean(out, buf_str(&w->have));
		buf_addc(out, '\n');
	}
	if (w->note != NULL && w->state != RECORD_PRESENT)
		buf_addf(out, "    note   %s\n", w->note);
	if (w->whom.n > 0) {
		buf_addz(out, "    whom   ");
		report_clean(out, buf_str(&w->whom));
		buf_addc(out, '\n');
	}
	buf_addc(out, '\n');
}

static void
print_json(struct json *j, const struct wanted *w)
{
	json_open(j, NULL, '{');
	json_str(j, "what", str_of(w->what));
	json_str(j, "state", str_of(record_state_name(w->state)));
	json_bool(j, "optional", w->optional);
	json_str(j, "domain", w->domain);
	json_str(j, "name", buf_str(&w->name));
	json_int(j, "ttl", EXAM_TTL_S);
	json_str(j, "type", str_of(w->type));
	json_str(j, "value", buf_str(&w->value));
	json_str(j, "have", buf_str(&w->have));
	json_str(j, "note", str_of(w->note));
	json_str(j, "whom", buf_str(&w->whom));
	json_close(j, '}');
}

/* ---- terraform: the dns provider, which speaks to any server that takes updates ---- */

static void
add_hcl_text(struct buf *out, struct str s)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_addc(out, '\\');
		/* "${" and "%{" would be evaluated */
		if ((s.p[i] == '$' || s.p[i] == '%') && i + 1 < s.n && s.p[i + 1] == '{')
			buf_addc(out, s.p[i]);
		buf_addc(out, s.p[i] >= ' ' && s.p[i] < 127 ? s.p[i] : '?');
	}
	buf_addc(out, '"');
}

/* The zone that a record is put into: the domain's, or what is above the name. */
static struct str
zone_of(const struct wanted *w)
{
	struct str name = buf_str(&w->name);

	if (w->domain.n > 0 && domain_is_within(name, w->domain))
		return w->domain;
	return str_skip(name, (size_t)(str_find(name, '.') + 1));
}

static void
add_hcl_value(struct buf *out, const struct wanted *w)
{
	struct str value = buf_str(&w->value), number;

	if (strcmp(w->type, "PTR") == 0) {
		buf_addf(out, "  ptr  = \"%.*s.\"\n", S(value));
	} else if (strcmp(w->type, "MX") == 0) {
		number = str_word(&value);
		buf_addf(out, "  mx {\n    preference = %.*s\n    exchange   = \"%.*s\"\n  }\n",
		         S(number), S(str_trim(value)));
	} else {
		buf_addf(out, "  %s = [", strcmp(w->type, "TXT") == 0 ? "txt" : "addresses");
		add_hcl_text(out, value);
		buf_addz(out, "]\n");
	}
}

static void
print_terraform(struct buf *out, const struct wanted *w)
{
	static const struct {
		const char *type, *resource;
	} resources[] = {{"A", "dns_a_record_set"},
	                 {"AAAA", "dns_aaaa_record_set"},
	                 {"PTR", "dns_ptr_record"},
	                 {"MX", "dns_mx_record_set"},
	                 {"TXT", "dns_txt_record_set"}};
	struct str zone = zone_of(w), name = buf_str(&w->name);

	for (size_t i = 0; i < ARRAY_LEN(resources); i++)
		if (strcmp(resources[i].type, w->type) == 0)
			buf_addf(out, "# %s [%s]\nresource \"%s\" \"", w->what,
			         record_state_name(w->state), resources[i].resource);
	buf_addc(out, 'r'); /* a name must not begin with a digit */
	for (size_t i = 0; i < name.n; i++)
		buf_addc(out, name.p[i] == '.' ? '_' : name.p[i]);
	buf_addf(out, "\" {\n  zone = \"%.*s.\"\n", S(zone));
	if (name.n > zone.n)
		buf_addf(out, "  name = \"%.*s\"\n", S(str_sub(name, 0, name.n - zone.n - 1)));
	add_hcl_value(out, w);
	buf_addf(out, "  ttl  = %d\n}\n\n", EXAM_TTL_S);
}

void
records_print(struct buf *out, const struct records *r, enum record_format format, bool diff)
{
	struct json j = {.out = out};

	if (format == FORMAT_JSON)
		json_open(&j, NULL, '[');
	for (size_t i = 0; i < r->n; i++) {
		const struct wanted *w = &r->v[i];

		if (diff && w->state == RECORD_PRESENT)
			continue;
		if (format == FORMAT_ZONE)
			print_zone(out, w);
		else if (format == FORMAT_PANEL)
			print_panel(out, w);
		else if (format == FORMAT_JSON)
			print_json(&j, w);
		else if (w->value.n > 0)
			print_terraform(out, w);
	}
	if (format == FORMAT_JSON) {
		json_close(&j, ']');
		buf_addc(out, '\n');
	}
}

/* ---- a whole zone ---- */

/* Servers of the zone as it is; a zone that is not there yet gets this host, to be replaced. */
static void
add_apex(struct buf *out, struct exam *e, struct str domain)
{
	const struct fact *ns = facts_get(e->facts, domain, DNS_NS);
	struct str         first = ns->n > 0 ? ns->records[0].name : exam_ehlo(e);

	buf_addf(out, "$ORIGIN %.*s.\n$TTL %d\n@ IN SOA %.*s. hostmaster 1 7200 3600 1209600 300\n",
	         S(domain), EXAM_TTL_S, S(first));
	if (ns->n == 0)
		buf_addf(out, "@ IN NS %.*s.\n", S(first));
	for (size_t i = 0; i < ns->n; i++) {
		struct str name = ns->records[i].name;

		buf_addf(out, "@ IN NS %.*s.\n", S(name));
		for (int v6 = 0; v6 < 2 && domain_is_within(name, domain); v6++) {
			const struct fact *a = facts_get(e->facts, name, v6 ? DNS_AAAA : DNS_A);

			for (size_t k = 0; k < a->n; k++) {
				buf_addf(out, "%.*s. IN %s ", S(name), v6 ? "AAAA" : "A");
				addr_format(out, a->records[k].addr);
				buf_addc(out, '\n');
			}
		}
	}
}

void
records_print_zone(struct buf *out, const struct records *r, struct exam *e, struct str domain)
{
	add_apex(out, e, domain);
	for (size_t i = 0; i < r->n; i++) {
		const struct wanted *w = &r->v[i];

		if (w->value.n == 0 || (w->domain.n > 0 && !str_eq(w->domain, domain)))
			continue;
		if (!domain_is_within(buf_str(&w->name), domain))
			buf_addz(out, "; in another zone: ");
		record_zone_line(out, buf_str(&w->name), w->type, buf_str(&w->value));
		buf_addc(out, '\n');
	}
}

/* ---- asking ---- */

struct asking {
	struct world   *w;
	struct records *r;
};

static bool
judge(void *arg)
{
	struct asking *a = arg;
	struct buf     unused = BUF(1 << 20);

	records_free(a->r);
	records_make(a->r, &a->w->exam);
	/* what the zone file shows besides */
	for (size_t i = 0; i < a->w->n_domains; i++)
		add_apex(&unused, &a->w->exam, a->w->domains[i]);
	buf_free(&unused);
	return facts_missing(a->w->exam.facts) == 0;
}

void
records_ask(struct world *w, struct records *r)
{
	struct asking a = {w, r};

	ask_until(w->ask, judge, &a, LIMIT_MS);
}
