/* http/dispatch.h: from a complete request to its response: on the loop, or through a worker and the group commit. */
#ifndef HTTP_DISPATCH_H
#define HTTP_DISPATCH_H

#include "http/loop.h"

/* Answers the request, or hands it to a worker: then the connection is PHASE_WORKING, and the exchange belongs to the
 * worker or the group commit until it is on the loop's list of answered ones. */
void dispatch(struct loop *loop, struct exchange *exchange);
/* Answers a request that could not be read, or came too late. The connection ends with it. */
void dispatch_refusal(struct loop *loop, struct exchange *exchange, struct err err);
/* The response is final: writes its bytes, to be sent; the connection is PHASE_SENDING. */
void dispatch_answer(struct loop *loop, struct exchange *exchange);

#endif
