/* SPDX-License-Identifier: ISC */
/*
 * postern dkim activate|retire: when a key begins to sign, and when it ends.
 *
 * A key that DNS does not show breaks every message it signs, so one is activated only
 * when the resolver and every authoritative server have its record.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/dkim.h"
#include "cmd/key_files.h"
#include "cmd/world.h"
#include "dkim/key.h"
#include "lib/mail/address.h"
#include "lib/util/mem.h"

enum { KEYS_MAX = 32, PATH_LIMIT = 4096 };

/* The keys of one domain, copied out of the folder. */
struct change {
	struct cmd          *c;
	struct world         world;
	struct str           domain; /* the world's */
	struct dkim_key_conf fresh[KEYS_MAX], active[KEYS_MAX];
	size_t               n_fresh, n_active;
};

static struct str
copy(struct str s)
{
	return (struct str){str_dup(s), s.n};
}

static void
collect(void *arg, const struct key_file *f)
{
	struct change        *x = arg;
	struct dkim_key_conf *list = f->state == KEY_FILE_NEW ? x->fresh : x->active;
	size_t               *n = f->state == KEY_FILE_NEW ? &x->n_fresh : &x->n_active;
	struct buf            why = BUF(PATH_LIMIT);
	struct key           *key;

	if (!str_eq(f->domain, x->domain) || f->state == KEY_FILE_RETIRED || *n == KEYS_MAX)
		return;
	key = key_load(f->pem, &why);
	list[(*n)++] = (struct dkim_key_conf){.selector = copy(f->selector),
	                                      .path = copy(f->path),
	                                      .type = key != NULL ? key_type(key)
	                                                          : KEY_UNKNOWN,
	                                      .pem = copy(f->pem)};
	key_destroy(key);
	buf_free(&why);
}

static void
forget(struct dkim_key_conf *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		mem_wipe((void *)(uintptr_t)list[i].pem.p, list[i].pem.n);
		free((void *)(uintptr_t)list[i].pem.p);
		free((void *)(uintptr_t)list[i].selector.p);
		free((void *)(uintptr_t)list[i].path.p);
	}
}

/* The options and the domain. */
static int
begin(struct change *x)
{
	struct config *config;
	const char    *domain;
	int            code = world_options(&x->world, x->c);

	if (code != CMD_OK)
		return code;
	if ((domain = cmd_word(x->c)) == NULL)
		return cmd_usage(x->c, "for which domain?");
	if (!world_add_domain(&x->world, domain))
		return cmd_usage(x->c, "that is no domain name");
	if ((config = cmd_load(x->c)) == NULL)
		return CMD_CONFIG;
	x->world.config = config;
	x->domain = x->world.domains[0];
	key_files_each(config, collect, x);
	return CMD_OK;
}

static void
end(struct change *x)
{
	forget(x->fresh, x->n_fresh);
	forget(x->active, x->n_active);
	world_close(&x->world);
}

/* "DIR/S.pem.new" or "DIR/S.pem" to "DIR/S" with another ending; durable. */
static bool
rename_to(const struct dkim_key_conf *k, const char *ending)
{
	struct buf to = BUF(PATH_LIMIT), folder = BUF(PATH_LIMIT);
	ptrdiff_t  slash = str_rfind(k->path, '/');
	int        fd;
	bool       ok;

	buf_add(&folder, str_sub(k->path, 0, (size_t)(slash + 1)));
	buf_add(&to, buf_str(&folder));
	buf_add(&to, k->selector);
	buf_addz(&to, ending);
	/* A key that comes back under a name that is taken must not wipe out the other. */
	ok = access(buf_z(&to), F_OK) != 0 && rename(k->path.p, buf_z(&to)) == 0;
	fd = open(buf_z(&folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ok = ok && fd >= 0 && fsync(fd) == 0;
	if (!ok)
		cmd_error(k->path.p, "cannot be renamed", NULL);
	/* From its retirement on its time is counted. */
	if (ok && strcmp(ending, ".pem.retired") == 0)
		(void)utimensat(AT_FDCWD, buf_z(&to), NULL, 0);
	if (fd >= 0)
		close(fd);
	buf_free(&to);
	buf_free(&folder);
	return ok;
}

bool
dkim_is_needed(const char *id)
{
	static const char *const ids[] = {"dkim.record", "dkim.match", "dkim.all-ns", "dkim.sign"};

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		if (strcmp(id, ids[i]) == 0)
			return true;
	return false;
}

/* True if every check of the records passes; the others are told. */
static bool
all_published(struct change *x)
{
	struct finding *f;
	bool            ok = true;

	LIST_EACH(&x->world.exam.findings, f, struct finding, link)
		if (dkim_is_needed(f->id) && f->status != CHECK_PASS) {
			fprintf(stderr, "%.*s: %s\n", S(f->selector), buf_z(&f->why));
			ok = false;
		}
	return ok;
}

/* The doctor looks at the new keys as if they were those that sign. */
static int
check_records(struct change *x)
{
	struct config   *real = x->world.config, trial = *real;
	struct dkim_conf d = {.domain = x->domain, .keys = x->fresh, .n_keys = x->n_fresh};
	int              code;

	trial.dkim = &d;
	trial.n_dkim = 1;
	if ((code = world_open(&x->world, real)) != CMD_OK)
		return code;
	x->world.exam.config = &trial;
	x->world.exam.quick = true;
	world_judge(&x->world);
	code = all_published(x) ? CMD_OK : CMD_FAILED;
	exam_free(&x->world.exam);
	x->world.exam.config = real;
	if (code != CMD_OK)
		cmd_error(
			"dkim", "the new keys are not activated",
			"the records must be the same everywhere first; the old keys go on signing");
	return code;
}

static int
activate(struct change *x)
{
	int code;

	if (x->n_fresh == 0) {
		cmd_error("dkim", "there are no new keys of this domain",
		          "`postern dkim rotate DOMAIN` makes some");
		return CMD_NOTHING;
	}
	if ((code = check_records(x)) != CMD_OK)
		return code;
	for (size_t i = 0; i < x->n_fresh; i++)
		if (!rename_to(&x->fresh[i], ".pem"))
			return CMD_FAILED;
	for (size_t i = 0; i < x->n_active; i++)
		if (!rename_to(&x->active[i], ".pem.retired"))
			return CMD_FAILED;
	for (size_t i = 0; i < x->n_fresh; i++)
		printf("%.*s signs from now on\n", S(x->fresh[i].selector));
	for (size_t i = 0; i < x->n_active; i++)
		printf("%.*s is retired: keep its record until `postern dkim list` says revoked\n",
		       S(x->active[i].selector));
	fflush(stdout);
	dkim_tell_daemon(x->c);
	return CMD_OK;
}

int
dkim_activate(struct cmd *c)
{
	struct change x = {.c = c};
	int           code = begin(&x);

	if (code == CMD_OK && !cmd_end(c))
		code = CMD_USAGE;
	if (code == CMD_OK)
		code = activate(&x);
	end(&x);
	return code;
}

static int
retire(struct change *x, const char *selector)
{
	for (size_t i = 0; i < x->n_active; i++) {
		if (!str_eq(x->active[i].selector, str_of(selector)))
			continue;
		if (x->n_active == 1) {
			cmd_error(selector, "is the last key: mail would go out unsigned",
			          "make new ones first: postern dkim rotate DOMAIN");
			return CMD_FAILED;
		}
		if (!rename_to(&x->active[i], ".pem.retired"))
			return CMD_FAILED;
		printf("%s is retired: keep its record until `postern dkim list` says revoked\n",
		       selector);
		fflush(stdout);
		dkim_tell_daemon(x->c);
		return CMD_OK;
	}
	cmd_error(selector, "no key of this domain that signs has this name",
	          "see `postern dkim list`");
	return CMD_NOTHING;
}

int
dkim_retire(struct cmd *c)
{
	struct change x = {.c = c};
	int           code = begin(&x);
	const char   *selector = cmd_word(c);

	if (code == CMD_OK && selector == NULL)
		code = cmd_usage(c, "which selector?");
	if (code == CMD_OK && !cmd_end(c))
		code = CMD_USAGE;
	if (code == CMD_OK)
		code = retire(&x, selector);
	end(&x);
	return code;
}
