/* SPDX-License-Identifier: ISC */
/* config_report - what is wrong, all of it, in the order of the files. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/proc/config_private.h"
#include "lib/util/mem.h"

enum { CAUSE_MAX = 2048, SHOWN_MAX = 200 };

__attribute__((format(printf, 2, 0))) static const char *
text(struct maker *m, const char *format, va_list args)
{
	struct buf  b = BUF(CAUSE_MAX);
	const char *z;

	buf_addv(&b, format, args);
	z = b.over ? "(too long to print)" : arena_z(&m->scratch, buf_str(&b));
	buf_free(&b);
	return z;
}

void
conf_problem(struct maker *m, enum severity severity, struct place at, const char *cause, ...)
{
	va_list args;

	if (severity == CONF_ERROR)
		m->errors++;
	else
		m->warnings++;
	if (m->n_problems == CONF_PROBLEMS_MAX)
		return;
	m->problems = arena_more(&m->scratch, m->problems, m->n_problems, sizeof *m->problems);
	va_start(args, cause);
	m->problems[m->n_problems++] = (struct problem){
		.at = at, .severity = severity, .cause = text(m, cause, args)};
	va_end(args);
}

void
conf_hint(struct maker *m, const char *hint, ...)
{
	va_list args;

	if (m->n_problems == 0 || m->n_problems == CONF_PROBLEMS_MAX)
		return;
	va_start(args, hint);
	m->problems[m->n_problems - 1].hint = text(m, hint, args);
	va_end(args);
}

/* References to secrets are shown: they are what needs mending. */
static bool
is_open_secret(struct str word)
{
	return !str_starts(word, STR("file:")) && !str_starts(word, STR("env:")) &&
	       !str_starts(word, STR("cred:")) && !str_starts(word, STR("${"));
}

/* Length of the word at the start of `s`, quotes respected. */
static size_t
word_length(struct str s)
{
	bool   quoted = false;
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '"' && (i == 0 || s.p[i - 1] != '\\'))
			quoted = !quoted;
		else if (!quoted && strchr(" \t\r\n;{}", s.p[i]) != NULL)
			break;
	}
	return i;
}

void
conf_mask(struct buf *out, struct str line)
{
	bool secret = false;

	while (line.n > 0) {
		size_t     n = word_length(line);
		struct str w = str_sub(line, 0, n);

		if (n == 0) {
			buf_addc(out, line.p[0]);
			line = str_skip(line, 1);
			continue;
		}
		for (size_t i = 0; i < n; i++)
			buf_addc(out, secret && is_open_secret(w) ? '*' : w.p[i]);
		secret = conf_is_secret(w);
		line = str_skip(line, n);
	}
}

static size_t
source_index(const struct maker *m, const struct source *s)
{
	for (size_t i = 0; m->tree != NULL && i < m->tree->n_sources; i++)
		if (m->tree->sources[i] == s)
			return i;
	return SIZE_MAX; /* no place in a file: at the end */
}

/* Stable: problems of one place stay in the order of discovery. */
static void
sort(struct maker *m)
{
	for (size_t i = 1; i < m->n_problems; i++) {
		struct problem p = m->problems[i];
		size_t         k = i, source = source_index(m, p.at.source);

		while (k > 0) {
			const struct place *q = &m->problems[k - 1].at;
			size_t              other = source_index(m, q->source);

			if (other < source || (other == source && q->line < p.at.line) ||
			    (other == source && q->line == p.at.line && q->column <= p.at.column))
				break;
			m->problems[k] = m->problems[k - 1];
			k--;
		}
		m->problems[k] = p;
	}
}

static struct str
source_line(const struct source *s, unsigned number)
{
	struct str rest = s->text, line = STR_NONE;

	while (number-- > 0)
		if (!str_cut(&rest, '\n', &line))
			return STR_NONE;
	return str_ends(line, STR("\r")) ? str_sub(line, 0, line.n - 1) : line;
}

/* The line, and below it a caret with tildes under what is meant. */
static void
draw(struct buf *out, const struct problem *p)
{
	struct str line = source_line(p->at.source, p->at.line);
	struct buf shown = BUF(1024 * 1024);
	unsigned   column = 1, prefix = 0;

	if (p->at.source->variable != NULL) {
		prefix = (unsigned)strlen(p->at.source->variable) + 1;
		buf_addf(&shown, "%s=", p->at.source->variable);
	}
	conf_mask(&shown, line);
	buf_addz(out, "    ");
	buf_add(out, str_sub(buf_str(&shown), 0, SHOWN_MAX));
	buf_addz(out, shown.n > SHOWN_MAX ? "...\n    " : "\n    ");
	for (unsigned i = 0; i < prefix; i++)
		buf_addc(out, ' ');
	if (prefix + p->at.column <= SHOWN_MAX) {
		for (size_t i = 0; i < line.n && column < p->at.column; i++) {
			if (((unsigned char)line.p[i] & 0xc0) == 0x80)
				continue;
			buf_addc(out, line.p[i] == '\t' ? '\t' : ' ');
			column++;
		}
		buf_addc(out, '^');
		for (unsigned i = 1; i < p->at.length && prefix + column + i <= SHOWN_MAX; i++)
			buf_addc(out, '~');
	}
	if (p->hint != NULL)
		buf_addf(out, "  %s", p->hint);
	buf_addc(out, '\n');
	if (shown.p != NULL)
		mem_wipe(shown.p, shown.cap);
	buf_free(&shown);
}

static void
print(struct buf *out, const struct problem *p)
{
	const struct source *s = p->at.source;

	if (s == NULL)
		buf_addz(out, "postern");
	else if (s->variable != NULL)
		buf_addz(out, s->name);
	else
		buf_addf(out, "%s:%u:%u", s->name, p->at.line, p->at.column);
	buf_addf(out, ": %s: %s\n", p->severity == CONF_ERROR ? "error" : "warning", p->cause);
	if (s != NULL)
		draw(out, p);
	else if (p->hint != NULL)
		buf_addf(out, "    %s\n", p->hint);
}

void
conf_report(struct maker *m, struct buf *out)
{
	sort(m);
	for (size_t i = 0; i < m->n_problems; i++)
		print(out, &m->problems[i]);
	if (m->errors + m->warnings > m->n_problems)
		buf_addf(out, "... and %zu more\n", m->errors + m->warnings - m->n_problems);
	if (m->errors > 0)
		buf_addf(out, "%u error%s", m->errors, m->errors == 1 ? "" : "s");
	if (m->warnings > 0)
		buf_addf(out, "%s%u warning%s", m->errors > 0 ? ", " : "", m->warnings,
		         m->warnings == 1 ? "" : "s");
	if (m->errors + m->warnings > 0)
		buf_addz(out, ".\n");
}
