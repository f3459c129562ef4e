/* lambda/bus_event.h: EventBridge events (docs/lambda.md, "Events") as requests of the service, and its responses as
 * what such an event is answered by.
 *
 * Who calls: an event has no credentials, and must have none, since buses, archives and queues keep it. Its source says
 * which agent it is from, and a client that is registered under the source's name says what that agent may do; there is
 * none by default. Whoever may put events of that source on the bus acts as that client: the bus's policy decides. */
#ifndef LAMBDA_BUS_EVENT_H
#define LAMBDA_BUS_EVENT_H

#include "lambda/event.h"
#include "service/message.h"

struct bus_event {
    struct str id; /* the same when it is delivered again */
    bool is_once;  /* it changes something: to be done once, however often it is delivered */
};

/* Fills *out of the request, which has the arena: method, path, headers, body, caller. ERR_INVALID_REQUEST: a source, a
 * type or a form that is none of ours. */
MUST_USE struct err bus_event_read(const struct event *event, struct bus_event *bus, struct request *out);

/* Whether the same event could succeed later, so that the call must fail, and Lambda try it again or put it aside. */
bool bus_event_may_come_again(const struct response *response);

/* Appends {"statusCode": 200, "body": …}, or {"statusCode": 4xx or 500, "error": …, "error_description": …}. */
void bus_event_answer(const struct response *response, struct buf *out);

#endif
