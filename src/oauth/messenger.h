/* oauth/messenger.h: the thread that tells others what lies in the store for them: clients, of logouts, and the event
 * bus. It may wait for them, and nobody waits for it. */
#ifndef OAUTH_MESSENGER_H
#define OAUTH_MESSENGER_H

#include "base/err.h"

struct messenger;
struct service;

/* Looks at both outboxes (backchannel.h, service/outbox.h) every second, and stays no longer than some seconds with one
 * of them. ERR_INTERNAL: *out is to be stopped all the same. */
MUST_USE struct err messenger_start(struct service *service, struct messenger **out);
/* After the call that it may be making. NULL allowed. */
void messenger_stop(struct messenger *messenger);

#endif
