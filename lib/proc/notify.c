/* SPDX-License-Identifier: ISC */
#include "lib/proc/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/util/buf.h"
#include "lib/util/time.h"

void
notify_send(struct str lines)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct str         path = str_of(getenv("NOTIFY_SOCKET"));
	int                fd;

	if (path.n < 2 || path.n >= sizeof to.sun_path || (*path.p != '/' && *path.p != '@'))
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	memcpy(to.sun_path, path.p, path.n);
	if (*path.p == '@') /* the abstract name space */
		to.sun_path[0] = '\0';
	(void)sendto(fd, lines.p, lines.n, MSG_NOSIGNAL, (const struct sockaddr *)&to,
	             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n));
	close(fd);
}

void
notify_reloading(void)
{
	struct buf lines = BUF(128);

	buf_addf(&lines, "RELOADING=1\nMONOTONIC_USEC=%lld\n", (long long)time_mono_us());
	notify_send(buf_str(&lines));
	buf_free(&lines);
}
