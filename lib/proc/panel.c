/* SPDX-License-Identifier: ISC */
#include "lib/proc/panel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/net/loop.h"
#include "lib/proc/control.h"
#include "lib/util/log.h"
#include "lib/util/mem.h"

enum {
	CALLERS_MAX = 64,
	REQUEST_MS = 5000,
	ANSWER_MS = 10000,
	ANSWER_MAX = 2 * 1024 * 1024,
	GROUPS_MAX = 256,
};

struct panel {
	struct loop  *loop;
	struct watch *watch;
	struct list   callers;
	int           fd;
	gid_t         group;
	panel_fn     *request;
	void         *arg;
};

struct caller {
	struct panel *panel;
	struct link   link;
	struct watch *watch;
	struct timer *timer;
	struct buf    in, out;
	struct ucred  who;
	int           fd;
};

static void
end(struct caller *k)
{
	list_remove(&k->panel->callers, &k->link);
	watch_close(k->watch);
	timer_destroy(k->timer);
	buf_free(&k->in);
	buf_free(&k->out);
	if (k->fd >= 0)
		close(k->fd);
	free(k);
}

static void
expired(void *arg)
{
	end(arg);
}

static void
write_out(struct caller *k)
{
	ssize_t n = send(k->fd, k->out.p, k->out.n, MSG_NOSIGNAL);

	if (n > 0)
		buf_drop(&k->out, (size_t)n);
	else if (errno != EAGAIN && errno != EINTR)
		buf_clear(&k->out);
	if (k->out.n == 0)
		end(k);
}

static void
read_in(struct caller *k)
{
	char         *room = buf_room(&k->in, 4096);
	ssize_t       n = room != NULL ? recv(k->fd, room, 4096, 0) : 0;
	struct panel *p = k->panel;
	ptrdiff_t     at;

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			end(k);
		return;
	}
	buf_commit(&k->in, (size_t)n);
	at = str_find(buf_str(&k->in), '\n');
	if (at < 0)
		return;
	watch_set(k->watch, 0);
	timer_clear(k->timer);
	p->request(p->arg, k, str_sub(buf_str(&k->in), 0, (size_t)at));
}

static void
ready(void *arg, unsigned what)
{
	if ((what & WATCH_WRITE) != 0)
		write_out(arg);
	else
		read_in(arg);
}

static bool
in_group(int fd, const struct ucred *who, gid_t group)
{
	gid_t     groups[GROUPS_MAX];
	socklen_t n = sizeof groups;

	if (who->gid == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &n) != 0)
		return false;
	for (size_t i = 0; i < n / sizeof *groups; i++)
		if (groups[i] == group)
			return true;
	return false;
}

/*
 * The roles share an account with those who may call, and one of them opens local sockets: taken
 * over, it must not become an operator. It cannot hide behind a child, for it may have none.
 */
static bool
is_role(pid_t pid)
{
	siginfo_t info;

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static bool
may_call(const struct panel *p, int fd, struct ucred *who)
{
	socklen_t n = sizeof *who;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, who, &n) != 0 || is_role(who->pid))
		return false;
	return who->uid == 0 || who->uid == geteuid() || in_group(fd, who, p->group);
}

static void
add_caller(struct panel *p, int fd)
{
	struct caller *k;
	struct ucred   who;

	if (p->callers.n >= CALLERS_MAX || !may_call(p, fd, &who)) {
		log_warn(ev("control-refused"),
		         kv("why", p->callers.n >= CALLERS_MAX ? "too many" : "not allowed"));
		close(fd);
		return;
	}
	k = mem_zero(sizeof *k);
	k->panel = p;
	k->fd = fd;
	k->who = who;
	buf_init(&k->in, CONTROL_REQUEST_MAX);
	buf_init(&k->out, ANSWER_MAX);
	k->timer = timer_create_on(p->loop, expired, k);
	timer_set(k->timer, REQUEST_MS);
	k->watch = watch_open(p->loop, fd, ready, k);
	watch_set(k->watch, WATCH_READ);
	list_push(&p->callers, &k->link);
}

static void
accept_one(void *arg, unsigned what UNUSED)
{
	struct panel *p = arg;
	int           fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		add_caller(p, fd);
}

struct panel *
panel_open(struct loop *l, int fd, gid_t group, panel_fn *request, void *arg)
{
	struct panel *p = mem_zero(sizeof *p);

	p->loop = l;
	p->fd = fd;
	p->group = group;
	p->request = request;
	p->arg = arg;
	list_init(&p->callers);
	p->watch = watch_open(l, fd, accept_one, p);
	watch_set(p->watch, WATCH_READ);
	return p;
}

void
panel_close(struct panel *p)
{
	struct caller *k;

	if (p == NULL)
		return;
	LIST_EACH(&p->callers, k, struct caller, link)
		end(k);
	watch_close(p->watch);
	close(p->fd);
	free(p);
}

void
caller_answer(struct caller *k, struct str rows)
{
	buf_clear(&k->out);
	buf_add(&k->out, rows);
	if (k->out.over || rows.n == 0)
		control_end(&k->out, 1, STR("the answer is too long"));
	timer_set(k->timer, ANSWER_MS);
	watch_set(k->watch, WATCH_WRITE);
}

int
caller_take(struct caller *k)
{
	int fd = k->fd;

	k->fd = -1;
	end(k);
	return fd;
}

uid_t
caller_uid(const struct caller *k)
{
	return k->who.uid;
}
