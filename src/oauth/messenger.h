/* oauth/messenger.h: the thread that tells clients of logouts: it may wait for them, and nobody waits for it. */
#ifndef OAUTH_MESSENGER_H
#define OAUTH_MESSENGER_H

#include "base/err.h"

struct messenger;
struct service;

/* Looks at the outbox (backchannel.h) every second. ERR_INTERNAL. */
MUST_USE struct err messenger_start(struct service *service, struct messenger **out);
/* After the call that it may be making. NULL allowed. */
void messenger_stop(struct messenger *messenger);

#endif
