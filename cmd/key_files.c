/* SPDX-License-Identifier: ISC */
#include "cmd/key_files.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/file.h"
#include "lib/util/mem.h"
#include "lib/util/time.h"

enum { PATH_LIMIT = 4096, PEM_LIMIT = 16 * 1024, GRACE_S = 2 * 24 * 3600 };

static const struct {
	const char         *ending;
	enum key_file_state state;
} states[] = {
	{".pem.new", KEY_FILE_NEW},
	{".pem.retired", KEY_FILE_RETIRED},
	{".pem", KEY_FILE_ACTIVE},
};

struct walk {
	void (*fn)(void *arg, const struct key_file *f);
	void *arg;
};

static void
visit(const struct walk *w, struct str domain, const char *folder, struct str name)
{
	struct buf      path = BUF(PATH_LIMIT), pem = BUF(PEM_LIMIT), why = BUF(PATH_LIMIT);
	struct key_file f = {.domain = domain};
	struct stat     st;

	for (size_t i = 0; i < ARRAY_LEN(states) && f.selector.n == 0; i++)
		if (str_ends(name, str_of(states[i].ending))) {
			f.selector = str_sub(name, 0, name.n - strlen(states[i].ending));
			f.state = states[i].state;
		}
	buf_addf(&path, "%s/%.*s", folder, (int)name.n, name.p);
	if (f.selector.n > 0 && stat(buf_z(&path), &st) == 0) {
		if (file_read(buf_z(&path), &pem, &why))
			f.pem = buf_str(&pem);
		f.path = buf_str(&path);
		f.changed_s = (int64_t)st.st_mtime;
		w->fn(w->arg, &f);
	}
	mem_wipe(pem.p, pem.n);
	buf_free(&path);
	buf_free(&pem);
	buf_free(&why);
}

static void
visit_domain(const struct walk *w, const char *root, const char *domain)
{
	struct buf     folder = BUF(PATH_LIMIT);
	struct dirent *entry;
	DIR           *dir;

	buf_addf(&folder, "%s/%s", root, domain);
	dir = opendir(buf_z(&folder));
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		visit(w, str_of(domain), buf_z(&folder), str_of(entry->d_name));
	if (dir != NULL)
		closedir(dir);
	buf_free(&folder);
}

void
key_files_each(const struct config *c, void (*fn)(void *arg, const struct key_file *f), void *arg)
{
	struct buf     root = BUF(PATH_LIMIT);
	struct walk    w = {fn, arg};
	struct dirent *entry;
	DIR           *dir;

	buf_addf(&root, "%.*s/dkim", (int)c->state.n, c->state.p);
	dir = opendir(buf_z(&root));
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			visit_domain(&w, buf_z(&root), entry->d_name);
	if (dir != NULL)
		closedir(dir);
	buf_free(&root);
}

bool
key_files_have(const char *folder, const char *selector)
{
	bool found = false;

	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		struct buf path = BUF(PATH_LIMIT);

		buf_addf(&path, "%s/%s%s", folder, selector, states[i].ending);
		found = found || access(buf_z(&path), F_OK) == 0;
		buf_free(&path);
	}
	return found;
}

int64_t
key_file_needed_s(const struct config *c, const struct key_file *f)
{
	int64_t left = f->changed_s + c->expire_ms / 1000 + GRACE_S - time_wall_ms() / 1000;

	return left > 0 ? left : 0;
}
