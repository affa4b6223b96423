/* SPDX-License-Identifier: ISC */
#include "lib/net/digest.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>

#include "lib/util/mem.h"

enum { TABLES_MAX = 512 * 1024 }; /* 164 KiB have been seen */

void
digest_prepare(void)
{
	static bool   done; /* as OpenSSL's tables are: once a process */
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (done)
		return;
	done = true;
	free(mem_zero(TABLES_MAX));
	(void)EVP_Digest("", 0, digest, NULL, EVP_sha256(), NULL);
}
