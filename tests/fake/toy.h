/* SPDX-License-Identifier: ISC */
/* toy - the smallest server and client that a dialogue can be about; also an example of a fixture. */
#ifndef TESTS_FAKE_TOY_H
#define TESTS_FAKE_TOY_H

#include "tests/fake/script.h"

extern const struct script_fixture toy_server; /* greets, EHLO, STARTTLS, KEEP (asks the queue), QUIT */
extern const struct script_fixture toy_client; /* connects (twice if refused), says EHLO and QUIT */

#endif
