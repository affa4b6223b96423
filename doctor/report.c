/* SPDX-License-Identifier: ISC */
#include "doctor/report.h"

#include "lib/util/json.h"
#include "lib/util/time.h"

enum { STRING_MAX = 255, TEXT_LIMIT = 16 * 1024 };

/* ---- zone lines ---- */

static bool
is_printable(char c)
{
	return c >= ' ' && c < 127;
}

void
report_clean(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_addc(out, is_printable(s.p[i]) ? s.p[i] : '?');
}

static void
add_quoted(struct buf *out, struct str s)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_addc(out, '\\');
		if (is_printable(s.p[i]))
			buf_addc(out, s.p[i]);
		else
			buf_addf(out, "\\%03u", (unsigned char)s.p[i]);
	}
	buf_addc(out, '"');
}

static void
add_txt(struct buf *out, struct str value)
{
	if (value.n <= STRING_MAX) {
		add_quoted(out, value);
		return;
	}
	buf_addc(out, '(');
	for (; value.n > 0; value = str_skip(value, STRING_MAX)) {
		buf_addc(out, ' ');
		add_quoted(out, str_sub(value, 0, STRING_MAX));
	}
	buf_addz(out, " )");
}

void
record_zone_line(struct buf *out, struct str name, const char *type, struct str value)
{
	bool is_txt = str_eq(str_of(type), STR("TXT")), is_name = str_eq(str_of(type), STR("PTR"));

	report_clean(out, name);
	buf_addf(out, ". %d IN %s ", EXAM_TTL_S, type);
	if (is_txt)
		add_txt(out, value);
	else
		report_clean(out, value);
	if (is_name)
		buf_addc(out, '.');
}

/* ---- for people ---- */

/* What the finding is about, in a few words. */
static void
add_subject(struct buf *out, const struct finding *f)
{
	if (f->source.family != 0) {
		addr_format(out, f->source);
		buf_addc(out, ' ');
	}
	if (f->selector.n > 0)
		buf_addf(out, "%.*s._domainkey.", S(f->selector));
	if (f->domain.n > 0)
		buf_addf(out, "%.*s ", S(f->domain));
}

static void
add_label(struct buf *out, enum check_status s, bool colour)
{
	static const char *const colours[] = {[CHECK_PASS] = "32",
	                                      [CHECK_NOTE] = "36",
	                                      [CHECK_SKIP] = "2",
	                                      [CHECK_WARN] = "33",
	                                      [CHECK_FAIL] = "1;31"};
	const char *name = s == CHECK_FAIL ? "FAIL" : s == CHECK_PASS ? "ok" : check_status_name(s);

	if (colour)
		buf_addf(out, " \033[%sm%-4s\033[0m  ", colours[s], name);
	else
		buf_addf(out, " %-4s  ", name);
}

static void
add_lines(struct exam *e, struct buf *out, enum check_status s, bool colour)
{
	struct finding *f;

	LIST_EACH(&e->findings, f, struct finding, link) {
		if (f->status != s)
			continue;
		add_label(out, s, colour);
		buf_addf(out, "%-14s ", f->id);
		add_subject(out, f);
		report_clean(out, buf_str(&f->why));
		buf_addc(out, '\n');
	}
}

/* All that was skipped for one reason is one line. */
static void
add_skipped(struct exam *e, struct buf *out, bool colour)
{
	struct finding *f, *g;

	LIST_EACH(&e->findings, f, struct finding, link) {
		bool   told = false;
		size_t n = 0;

		for (struct link *k = list_first(&e->findings); k != &f->link && !told;
		     k = list_next(&e->findings, k)) {
			g = CONTAINER(k, struct finding, link);
			told = g->status == CHECK_SKIP &&
			       str_eq(buf_str(&g->why), buf_str(&f->why));
		}
		if (f->status != CHECK_SKIP || told)
			continue;
		add_label(out, CHECK_SKIP, colour);
		report_clean(out, buf_str(&f->why));
		for (struct link *k = &f->link; k != NULL; k = list_next(&e->findings, k)) {
			g = CONTAINER(k, struct finding, link);
			if (g->status != CHECK_SKIP || !str_eq(buf_str(&g->why), buf_str(&f->why)))
				continue;
			buf_addf(out, "%s%s", n++ == 0 ? ": " : ", ", g->id);
		}
		buf_addc(out, '\n');
	}
}

static bool
same_fix(const struct finding *a, const struct finding *b)
{
	if (!str_eq(buf_str(&a->fix), buf_str(&b->fix)) || a->n_records != b->n_records)
		return false;
	for (size_t i = 0; i < a->n_records; i++)
		if (!str_eq(buf_str(&a->records[i].name), buf_str(&b->records[i].name)) ||
		    !str_eq(buf_str(&a->records[i].value), buf_str(&b->records[i].value)))
			return false;
	return true;
}

/* Three checks may fail for one cause: its cure is told once. */
static bool
told_before(struct exam *e, const struct finding *it)
{
	struct finding *f;
	bool            passed = false; /* our own place in the list */

	LIST_EACH(&e->findings, f, struct finding, link) {
		passed = passed || f == it;
		if (f != it && same_fix(f, it) &&
		    (f->status > it->status || (f->status == it->status && !passed)) &&
		    f->status >= CHECK_WARN)
			return true;
	}
	return false;
}

static void
add_repair(struct buf *out, const struct finding *f, unsigned number)
{
	struct str rest = buf_str(&f->fix), line;
	bool       first = true;

	buf_addf(out, "\n%3u. ", number);
	if (rest.n == 0)
		rest = f->n_records > 0 ? STR("Publish:") : buf_str(&f->why);
	for (; str_cut(&rest, '\n', &line); first = false) {
		buf_addz(out, first || line.n == 0 ? "" : "       ");
		report_clean(out, line);
		buf_addz(out, line.n > 0 ? "\n" : "");
	}
	for (size_t i = 0; i < f->n_records; i++) {
		buf_addz(out, "       ");
		record_zone_line(out, buf_str(&f->records[i].name), f->records[i].type,
		                 buf_str(&f->records[i].value));
		buf_addc(out, '\n');
	}
}

static void
add_repairs(struct exam *e, struct buf *out)
{
	static const enum check_status order[] = {CHECK_FAIL, CHECK_WARN, CHECK_NOTE};
	struct finding                *f;
	unsigned                       number = 0;

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		LIST_EACH(&e->findings, f, struct finding, link) {
			if (f->status != order[i] || (f->fix.n == 0 && f->n_records == 0) ||
			    told_before(e, f))
				continue;
			if (number == 0)
				buf_addz(out, "\nTo repair:\n");
			add_repair(out, f, ++number);
		}
}

/* "Gmail would refuse this mail with 550 5.7.25 (ptr.exists)". */
static void
add_verdict(struct exam *e, struct buf *out)
{
	struct finding *f, *worst = NULL;

	LIST_EACH(&e->findings, f, struct finding, link)
		if (f->status == CHECK_FAIL && (worst == NULL || worst->refused_by == NULL))
			worst = f;
	buf_addf(
		out,
		"\n%zu source%s x %zu domain%s checked: %zu pass, %zu note, %zu warn, %zu fail, %zu skipped. ",
		e->n_sources, e->n_sources == 1 ? "" : "s", e->n_domains,
		e->n_domains == 1 ? "" : "s", exam_count(e, CHECK_PASS), exam_count(e, CHECK_NOTE),
		exam_count(e, CHECK_WARN), exam_count(e, CHECK_FAIL), exam_count(e, CHECK_SKIP));
	if (worst != NULL && worst->refused_by != NULL)
		buf_addf(out, "This mail would be refused: %s (%s).\n", worst->refused_by,
		         worst->id);
	else if (worst != NULL)
		buf_addf(out, "Mail will suffer (%s).\n", worst->id);
	else if (exam_count(e, CHECK_SKIP) > exam_count(e, CHECK_PASS))
		buf_addz(out, "Too little could be checked to say whether mail arrives.\n");
	else if (exam_count(e, CHECK_WARN) > 0)
		buf_addz(
			out,
			"Mail should arrive, but some receivers may hold the warnings against it.\n");
	else if (exam_count(e, CHECK_SKIP) > 0)
		buf_addz(out, "Nothing speaks against this mail in what could be checked.\n");
	else
		buf_addz(out, "Nothing speaks against this mail.\n");
}

void
report_text(struct exam *e, struct buf *out, bool colour)
{
	static const enum check_status order[] = {
		CHECK_FAIL,
		CHECK_WARN,
		CHECK_NOTE,
		CHECK_PASS,
	};

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		add_lines(e, out, order[i], colour);
	add_skipped(e, out, colour);
	add_repairs(e, out);
	add_verdict(e, out);
}

/* ---- for programs ---- */

static void
json_words(struct json *j, const char *key, const char *list)
{
	struct str rest = str_of(list), one;

	json_open(j, key, '[');
	while (str_cut(&rest, ',', &one))
		json_str(j, NULL, str_trim(one));
	json_close(j, ']');
}

static void
json_finding(struct json *j, const struct finding *f)
{
	struct buf ip = BUF(64);

	json_open(j, NULL, '{');
	json_str(j, "id", str_of(f->id));
	json_open(j, "subject", '{');
	if (f->source.family != 0) {
		addr_format(&ip, f->source);
		json_str(j, "source", buf_str(&ip));
	}
	if (f->ehlo.n > 0)
		json_str(j, "ehlo", f->ehlo);
	if (f->domain.n > 0)
		json_str(j, "domain", f->domain);
	if (f->selector.n > 0)
		json_str(j, "selector", f->selector);
	json_close(j, '}');
	json_str(j, "status", str_of(check_status_name(f->status)));
	json_str(j, "observed", buf_str(&f->observed));
	json_str(j, "expected", buf_str(&f->expected));
	json_str(j, "why", buf_str(&f->why));
	json_open(j, "fix", '{');
	json_str(j, "text", buf_str(&f->fix));
	json_open(j, "records", '[');
	for (size_t i = 0; i < f->n_records; i++) {
		json_open(j, NULL, '{');
		json_str(j, "name", buf_str(&f->records[i].name));
		json_int(j, "ttl", EXAM_TTL_S);
		json_str(j, "type", str_of(f->records[i].type));
		json_str(j, "value", buf_str(&f->records[i].value));
		json_close(j, '}');
	}
	json_close(j, ']');
	json_close(j, '}');
	json_words(j, "refs", f->refs);
	json_words(j, "refused_by", f->status == CHECK_FAIL ? f->refused_by : NULL);
	json_close(j, '}');
	buf_free(&ip);
}

void
report_json(struct exam *e, struct buf *out)
{
	struct json     j = {.out = out};
	struct buf      now = BUF(64);
	struct finding *f;

	time_format_rfc3339(&now, time_wall_ms());
	json_open(&j, NULL, '{');
	json_int(&j, "version", 1);
	json_str(&j, "time", buf_str(&now));
	json_str(&j, "host", exam_ehlo(e));
	json_open(&j, "summary", '{');
	for (int s = CHECK_PASS; s <= CHECK_FAIL; s++)
		json_int(&j, check_status_name((enum check_status)s),
		         (int64_t)exam_count(e, (enum check_status)s));
	json_close(&j, '}');
	json_open(&j, "checks", '[');
	LIST_EACH(&e->findings, f, struct finding, link)
		json_finding(&j, f);
	json_close(&j, ']');
	json_close(&j, '}');
	buf_addc(out, '\n');
	buf_free(&now);
}
