/* SPDX-License-Identifier: ISC */
#include "lib/proc/memory.h"

#include <fcntl.h>
#include <unistd.h>

#include "lib/util/str.h"

int
memory_open(void)
{
	return open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
}

bool
memory_pss_kib(int fd, uint64_t *kib)
{
	char       text[2048];
	ssize_t    n = fd >= 0 ? pread(fd, text, sizeof text, 0) : -1;
	struct str rest = {text, n > 0 ? (size_t)n : 0}, line;

	while (str_cut(&rest, '\n', &line)) {
		if (!str_starts(line, STR("Pss:")))
			continue;
		line = str_skip(line, 4);
		line = str_trim(line);
		return str_number(str_word(&line), UINT32_MAX, kib);
	}
	return false;
}
