/* SPDX-License-Identifier: ISC */
#include "tests/fake/script.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/util/mem.h"
#include "lib/util/random.h"
#include "tests/fake/script_inner.h"

bool
script_fail(struct script *sc, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_addv(sc->why, format, args);
	va_end(args);
	return false;
}

struct str
script_get_nth(const struct script *sc, const char *key, size_t n)
{
	for (size_t i = 0; i < sc->setting_count; i++)
		if (strcmp(sc->settings[i].name, key) == 0 && n-- == 0)
			return buf_str(&sc->settings[i].value);
	return STR_NONE;
}

struct str
script_get(const struct script *sc, const char *key)
{
	return script_get_nth(sc, key, 0);
}

struct str
script_value(const struct script *sc, const char *name)
{
	bool found;

	return script_var(sc, str_of(name), &found);
}

/* Not a socket: whoever uses it behind the stream's back finds out. */
int
script_accept(struct script *sc UNUSED)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		abort();
	return fd;
}

static void
add_setting(struct script *sc, struct str rest)
{
	struct binding *b;
	struct str      name = str_word(&rest);

	sc->settings = mem_resize(sc->settings, sc->setting_count + 1, sizeof *sc->settings);
	b = &sc->settings[sc->setting_count++];
	*b = (struct binding){.name = str_dup(name), .value = BUF(SCRIPT_TEXT_MAX)};
	buf_add(&b->value, str_trim(rest));
}

/* The `set` lines at the top; `rest` then begins with the first step. */
static void
read_settings(struct script *sc)
{
	struct str after = sc->rest, line;

	while (str_cut(&after, '\n', &line)) {
		struct str rest = line;

		if (str_eq(str_word(&rest), STR("set")))
			add_setting(sc, rest);
		else if (str_trim(line).n > 0 && line.p[0] != '#')
			return;
		sc->rest = after;
		sc->line++;
	}
}

static bool
set_addresses(struct script *sc)
{
	struct addr a[2];
	const struct {
		const char *key, *usual;
	} rows[] = {{"peer", "192.0.2.1:40000"}, {"local", "192.0.2.25:25"}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str text = script_get(sc, rows[i].key);

		if (!addr_parse_port(text.n > 0 ? text : str_of(rows[i].usual), 25, &a[i]))
			return script_fail(sc, "set %s: no address", rows[i].key);
	}
	fake_addresses(sc->loop, a[0], a[1]);
	return true;
}

static bool
start(struct script *sc)
{
	uint64_t seed = 1;

	if (script_get(sc, "seed").n > 0 && !str_number(script_get(sc, "seed"), UINT32_MAX, &seed))
		return script_fail(sc, "set seed: no number");
	random_hook(seed);
	if (!set_addresses(sc))
		return false;
	sc->it = sc->fixture->start(sc, sc->loop, sc->why);
	fake_run(sc->loop);
	return sc->it != NULL;
}

/* Nothing our side did may go unnoticed. */
static bool
check_end(struct script *sc)
{
	if (!script_send_packet(sc))
		return false;
	if (sc->skipping)
		return script_fail(sc, "the last step skips lines up to nothing");
	return script_step(sc, STR("quiet"));
}

static bool
play_steps(struct script *sc)
{
	struct str line;

	while (str_cut(&sc->rest, '\n', &line)) {
		sc->line++;
		if (!script_step(sc, line))
			return false;
	}
	return check_end(sc);
}

static void
free_bindings(struct binding *all, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(all[i].name);
		buf_free(&all[i].value);
	}
	free(all);
}

static void
end(struct script *sc)
{
	struct kept *k;

	if (sc->it != NULL)
		sc->fixture->stop(sc->it);
	loop_destroy(sc->loop);
	random_hook(0);
	if (sc->file >= 0)
		close(sc->file);
	free_bindings(sc->settings, sc->setting_count);
	free_bindings(sc->vars, sc->var_count);
	buf_free(&sc->packet);
	while ((k = sc->kept) != NULL) {
		sc->kept = k->next;
		free(k);
	}
}

static bool
play(struct str text, const struct script_fixture *f, bool octets, bool *whole_only,
     struct buf *why)
{
	struct buf    reason = BUF(SCRIPT_WHY_MAX);
	struct script sc = {
		.fixture = f, .rest = text, .octets = octets, .file = -1, .why = &reason};
	bool ok;

	sc.packet = BUF(SCRIPT_TEXT_MAX);
	sc.loop = loop_create();
	read_settings(&sc);
	*whole_only = str_eq(script_get(&sc, "pieces"), STR("whole"));
	ok = start(&sc) && play_steps(&sc);
	end(&sc);
	if (!ok)
		buf_addf(why, "line %u%s: %s", sc.line, octets ? " (octet by octet)" : "",
		         buf_z(&reason));
	buf_free(&reason);
	return ok;
}

bool
script_play(struct str text, const struct script_fixture *f, struct buf *why)
{
	bool whole_only;

	return play(text, f, false, &whole_only, why) &&
	       (whole_only || play(text, f, true, &whole_only, why));
}

static bool
read_file(const char *path, struct buf *out)
{
	char   *to;
	ssize_t n = -1;
	int     fd = open(path, O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && (to = buf_room(out, 4096)) != NULL && (n = read(fd, to, 4096)) > 0)
		buf_commit(out, (size_t)n);
	if (fd >= 0)
		close(fd);
	return n == 0;
}

int
script_main(int argc, char **argv, const struct script_fixture *f)
{
	int failed = 0;

	printf("1..%d\n", argc - 1);
	for (int i = 1; i < argc; i++) {
		struct buf  text = BUF(SCRIPT_TEXT_MAX), why = BUF(SCRIPT_WHY_MAX);
		const char *slash = strrchr(argv[i], '/');
		bool        ok = read_file(argv[i], &text);

		if (!ok)
			buf_addz(&why, "cannot be read");
		ok = ok && script_play(buf_str(&text), f, &why);
		printf("%s %d - %s\n", ok ? "ok" : "not ok", i,
		       slash == NULL ? argv[i] : slash + 1);
		if (!ok)
			printf("# %s: %s\n", argv[i], buf_z(&why));
		fflush(stdout);
		failed += !ok;
		buf_free(&text);
		buf_free(&why);
	}
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
