/* SPDX-License-Identifier: ISC */
#include "dkim/keyd.h"
#include "tests/fuzz/stage.h"

/* What keyd does to its process would last, and keep the leak checker out. */
int __wrap_mlockall(int flags);
int __wrap_prctl(int option, ...);

int
__wrap_mlockall(int flags UNUSED)
{
	return 0;
}

int
__wrap_prctl(int option UNUSED, ...)
{
	return 0;
}

/* A delivery that has been taken over, before the role that has the keys: here an Ed25519 one of a test vector. */
static const struct play play = {
	.role_main = keyd_main,
	.config = "hostname mail.example.com\n"
		"dkim example.com { key s1 /k/1.pem ed25519 - data:"
		"LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1DNENBUUF3QlFZREsyVndCQ0lFSU1uem1xYlloZE9B"
		"SUhrVjNLaUt0QlJzSjNYTnVHaEwrNExHTkY0QkI3ZEcKLS0tLS1FTkQgUFJJVkFURSBLRVktLS0tLQo= }\n",
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size <= 16 * 1024)
		stage_play(&play, input(data, size));
	return 0;
}
