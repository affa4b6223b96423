/* SPDX-License-Identifier: ISC */
/* The steps that play the other roles: Q:, A: and file. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/util/mem.h"
#include "tests/fake/fields.h"
#include "tests/fake/script_inner.h"

const struct fake_frame *
script_frame(struct script *sc)
{
	const struct fake_frame *f;

	while ((f = fake_frame(sc->loop)) != NULL && sc->ignored[f->id])
		fake_frame_drop(sc->loop);
	return f;
}

static void
keep_file(struct script *sc, int fd)
{
	if (sc->file >= 0)
		close(sc->file);
	sc->file = fd;
}

/* K=$X with X not bound yet: bind it. */
static bool
binds(struct script *sc, const struct pair *p, struct str got)
{
	struct str name = str_skip(p->value, 1);
	bool       found;

	if (p->op != '=' || p->quoted || p->value.n < 2 || p->value.p[0] != '$')
		return false;
	(void)script_var(sc, name, &found);
	if (!found)
		script_bind(sc, name, got);
	return !found;
}

static bool
fits(struct script *sc, const struct pair *p, struct str got, struct buf *want)
{
	bool star;

	if (!script_expand(sc, p->value, want, &star, NULL))
		return false;
	if (p->op == '~' ? str_find_str(got, buf_str(want)) >= 0
	    : star       ? str_starts(got, buf_str(want))
	                 : str_eq(got, buf_str(want)))
		return true;
	buf_addf(sc->why, "expected %.*s%c", (int)p->key.n, p->key.p, p->op);
	script_show(sc->why, buf_str(want));
	buf_addz(sc->why, star ? "*, got " : ", got ");
	script_show(sc->why, got);
	return false;
}

static bool
check_pair(struct script *sc, const struct fake_frame *frame, const struct pair *p)
{
	struct buf          got = BUF(SCRIPT_TEXT_MAX), want = BUF(SCRIPT_TEXT_MAX);
	const struct field *f = fields_find(frame->id, p->key);
	bool                ok = true;

	if (f != NULL)
		field_get(f, frame->msg, &got);
	else if (str_eq(p->key, STR("fd")))
		buf_addz(&got, frame->fd >= 0 ? "yes" : "no");
	else
		ok = script_fail(sc, "%s has no field \"%.*s\"", wire_name(frame->id),
		                 (int)p->key.n, p->key.p);
	ok = ok && (binds(sc, p, buf_str(&got)) || fits(sc, p, buf_str(&got), &want));
	buf_free(&got);
	buf_free(&want);
	return ok;
}

bool
script_query(struct script *sc, struct str rest)
{
	struct str               name = str_word(&rest);
	const struct fake_frame *f = script_frame(sc);
	struct pair              p;
	enum wire_id             id;

	if (!fields_find_message(name, &id))
		return script_fail(sc, "there is no message \"%.*s\"", (int)name.n, name.p);
	if (f == NULL)
		return script_fail(sc, "expected frame %s, got none", wire_name(id));
	if (f->id != id)
		return script_fail(sc, "expected frame %s, got %s", wire_name(id),
		                   wire_name(f->id));
	while (script_pair(&rest, &p))
		if (!check_pair(sc, f, &p))
			return false;
	if (f->fd >= 0)
		keep_file(sc, dup(f->fd));
	fake_frame_drop(sc->loop);
	return true;
}

/* The frame's own copy, and ours to look into afterwards. */
static int
make_file(struct script *sc, struct str content)
{
	int fd = memfd_create("script", MFD_CLOEXEC);

	if (fd < 0 || write(fd, content.p, content.n) != (ssize_t)content.n ||
	    lseek(fd, 0, SEEK_SET) != 0)
		abort();
	keep_file(sc, fd);
	return dup(fd);
}

/* An answer in the making: its texts must live until it is sent. */
struct answer {
	enum wire_id id;
	_Alignas(max_align_t) char msg[WIRE_STRUCT_MAX];
	struct buf values[16];
	size_t     n;
	int        fd;
};

static bool
set_pair(struct script *sc, struct answer *a, const struct pair *p)
{
	const struct field *f = fields_find(a->id, p->key);
	struct buf         *value = &a->values[a->n];

	if (a->n == ARRAY_LEN(a->values))
		return script_fail(sc, "too many fields");
	a->n++;
	buf_init(value, SCRIPT_TEXT_MAX);
	if (str_eq(p->key, STR("fd")) && str_eq(p->value, STR("file"))) {
		a->fd = make_file(sc, STR(""));
		return true;
	}
	if (!script_expand(sc, p->value, value, NULL, NULL))
		return false;
	if (str_eq(p->key, STR("fd"))) {
		a->fd = make_file(sc, buf_str(value));
		return true;
	}
	if (f == NULL || p->op != '=')
		return script_fail(sc, "%s has no field \"%.*s\"", wire_name(a->id), (int)p->key.n,
		                   p->key.p);
	if (!field_set(f, a->msg, buf_str(value)))
		return script_fail(sc, "\"%.*s\" does not fit %s", (int)value->n, value->p,
		                   f->name);
	return true;
}

bool
script_answer(struct script *sc, struct str rest)
{
	struct answer a = {.fd = -1};
	struct str    name = str_word(&rest);
	struct pair   p;
	bool          ok = fields_find_message(name, &a.id);

	if (!ok)
		return script_fail(sc, "there is no message \"%.*s\"", (int)name.n, name.p);
	while (ok && script_pair(&rest, &p))
		ok = set_pair(sc, &a, &p);
	if (ok && !fake_message(sc->loop, a.id, a.msg, a.fd))
		ok = script_fail(sc, "no channel is open that %s may come on", wire_name(a.id));
	else if (!ok && a.fd >= 0)
		close(a.fd);
	for (size_t i = 0; i < a.n; i++)
		buf_free(&a.values[i]);
	if (ok)
		fake_run(sc->loop);
	return ok;
}

static bool
read_file(struct script *sc, struct buf *out)
{
	struct stat st;
	char       *to;

	if (sc->file < 0 || fstat(sc->file, &st) != 0)
		return script_fail(sc, "no file was passed");
	if (st.st_size == 0)
		return true;
	to = buf_room(out, (size_t)st.st_size);
	if (to == NULL || pread(sc->file, to, (size_t)st.st_size, 0) != st.st_size)
		return script_fail(sc, "the file cannot be read");
	buf_commit(out, (size_t)st.st_size);
	return true;
}

bool
script_file(struct script *sc, struct str rest)
{
	struct buf  content = BUF(SCRIPT_TEXT_MAX), want = BUF(SCRIPT_TEXT_MAX), size = BUF(32);
	struct pair p;
	bool        ok = read_file(sc, &content);

	buf_addn(&size, content.n);
	while (ok && script_pair(&rest, &p)) {
		buf_clear(&want);
		ok = fits(sc, &p, str_eq(p.key, STR("size")) ? buf_str(&size) : buf_str(&content),
		          &want);
	}
	buf_free(&content);
	buf_free(&want);
	buf_free(&size);
	return ok;
}
