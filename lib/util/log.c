/* SPDX-License-Identifier: ISC */
#include "lib/util/log.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/util/buf.h"
#include "lib/util/json.h"
#include "lib/util/time.h"

/*
 * Roles share one standard error. Writes of at most PIPE_BUF octets are not
 * interleaved in a pipe, so no line is longer than that.
 */
enum { LINE_MAX_OCTETS = 4096, TAIL_OCTETS = 80, VALUE_MAX_OCTETS = 1000 };

static const struct {
	const char *name;
	char        priority; /* of syslog */
} levels[] = {
	[LEVEL_ERROR] = {"error", '3'},
	[LEVEL_WARN] = {"warn", '4'},
	[LEVEL_INFO] = {"info", '6'},
	[LEVEL_DEBUG] = {"debug", '7'},
};

static struct {
	const char     *role;
	enum log_format format;
	bool            debug;
	bool            journal;
	void (*hook)(struct str line);
	void (*soon)(void *arg);
	void *soon_arg;
} setup;

static struct buf waiting = {.limit = LINE_MAX_OCTETS};

struct kv
kv_str(const char *key, struct str value)
{
	return (struct kv){.key = key, .kind = KV_STR, .text = value};
}

struct kv
kv_z(const char *key, const char *value)
{
	return kv_str(key, str_of(value));
}

struct kv
kv_int(const char *key, int64_t value)
{
	return (struct kv){.key = key, .kind = KV_INT, .number = value};
}

struct kv
kv_uint(const char *key, uint64_t value)
{
	return kv_int(key, value <= INT64_MAX ? (int64_t)value : INT64_MAX);
}

struct kv
kv_ms(const char *key, int64_t ms)
{
	return (struct kv){.key = key, .kind = KV_FIXED3, .number = ms};
}

/* Octets beyond ASCII are quoted as well: json_text() alone knows which of them are harmless. */
static bool
needs_quotes(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '"' || s.p[i] == '=')
			return true;
	return false;
}

static void
add_logfmt(struct json *line, const struct kv *field)
{
	struct buf *out = line->out;

	if (line->comma)
		buf_addc(out, ' ');
	line->comma = true;
	buf_addz(out, field->key);
	buf_addc(out, '=');
	if (field->kind == KV_FIXED3)
		time_format_seconds(out, field->number);
	else if (field->kind == KV_INT)
		buf_addi(out, field->number);
	else if (needs_quotes(field->text))
		json_text(out, field->text);
	else
		buf_add(out, field->text);
}

static void
add_json(struct json *line, const struct kv *field)
{
	if (field->kind == KV_FIXED3)
		json_ms(line, field->key, field->number);
	else if (field->kind == KV_INT)
		json_int(line, field->key, field->number);
	else
		json_str(line, field->key, field->text);
}

/* A field that does not fit before `room` is left out whole. */
static bool
add_field(struct json *line, struct kv field, size_t room)
{
	size_t before = line->out->n;

	if (field.kind == KV_STR && field.text.n == 0)
		return true;
	field.text = str_sub(field.text, 0, VALUE_MAX_OCTETS);
	if (setup.format == LOG_JSON)
		add_json(line, &field);
	else
		add_logfmt(line, &field);
	if (!line->out->over && line->out->n <= room)
		return true;
	buf_truncate(line->out, before);
	line->out->over = false;
	return false;
}

static void
format_line(struct buf *out, enum log_level level, const struct kv *fields)
{
	struct json line = {.out = out};
	struct buf  ts = BUF(32);
	bool        cut = false;

	time_format_rfc3339(&ts, time_wall_ms());
	if (setup.format == LOG_JSON)
		json_open(&line, NULL, '{');
	add_field(&line, kv_str("ts", buf_str(&ts)), LINE_MAX_OCTETS);
	buf_free(&ts);
	for (size_t i = 0; fields[i].key != NULL; i++) {
		cut |= !add_field(&line, fields[i], LINE_MAX_OCTETS - TAIL_OCTETS);
		if (i == 0 && level <= LEVEL_WARN)
			add_field(&line, kv_z("level", levels[level].name), LINE_MAX_OCTETS);
	}
	if (cut)
		add_field(&line, kv_z("cut", "yes"), LINE_MAX_OCTETS);
	add_field(&line, kv_z("role", setup.role), LINE_MAX_OCTETS);
	if (setup.format == LOG_JSON)
		json_close(&line, '}');
}

/* A log that cannot be written must not stop mail. */
static void
emit(struct str line)
{
	while (line.n > 0) {
		ssize_t n = write(STDERR_FILENO, line.p, line.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		line = str_skip(line, (size_t)n);
	}
}

void
log_send(void)
{
	emit(buf_str(&waiting));
	buf_clear(&waiting);
}

static void
put(struct str line, bool may_wait)
{
	if (line.n > LINE_MAX_OCTETS - waiting.n)
		log_send();
	if (may_wait && waiting.n == 0)
		setup.soon(setup.soon_arg);
	buf_add(&waiting, line);
	if (!may_wait)
		log_send();
}

void
log_gather(void (*soon)(void *arg), void *arg)
{
	if (setup.soon == NULL)
		(void)atexit(log_send);
	setup.soon = soon;
	setup.soon_arg = arg;
}

void
log_write(enum log_level level, const struct kv *fields)
{
	static struct buf out = {.limit = LINE_MAX_OCTETS};

	if (level == LEVEL_DEBUG && !setup.debug)
		return;
	buf_clear(&out);
	if (setup.journal && setup.hook == NULL) {
		buf_addc(&out, '<');
		buf_addc(&out, levels[level].priority);
		buf_addc(&out, '>');
	}
	format_line(&out, level, fields);
	if (setup.hook != NULL) {
		setup.hook(buf_str(&out));
		return;
	}
	buf_addc(&out, '\n');
	put(buf_str(&out), level >= LEVEL_INFO && setup.soon != NULL);
}

/* Whether standard error is the journal's, by the rule of systemd.exec(5), $JOURNAL_STREAM. */
static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct buf  ours = BUF(64);
	struct stat st;
	bool        is;

	if (stream == NULL || fstat(STDERR_FILENO, &st) < 0)
		return false;
	buf_addf(&ours, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	is = str_eq(buf_str(&ours), str_of(stream));
	buf_free(&ours);
	return is;
}

void
log_setup(const char *role, enum log_format format, bool debug)
{
	setup.role = role;
	setup.format = format;
	setup.debug = debug;
	setup.journal = stderr_is_journal();
}

void
log_hook(void (*line)(struct str text))
{
	setup.hook = line;
}
