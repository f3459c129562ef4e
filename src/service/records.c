/* service/records.c: from a response's records to the group commit and back. An operation only names what must be
 * durable, and a front only waits: so many requests share a commit without knowing it. */
#include "revocation/revocations.h"
#include "service/events.h"
#include "service/message.h"
#include "service/service.h"
#include "store/commit.h"
#include <stddef.h>

struct pending {
    struct commit_item item; /* first */
    struct service *service;
    const struct response *response;
    void (*done)(void *context, struct err failure);
    void *context;
};

void service_expect(struct service *service, int delta)
{
    commit_expect(service->commit, delta);
}

/* With the events that tell of revocations, whichever operation made them. */
static const struct record *records_to_keep(const struct service *service, const struct request *request,
                                            const struct response *response)
{
    return events_of_revocations(service, request->arena, response->records);
}

/* They are durable; of a revocation, other instances have to know as well. */
static struct err records_confirm(struct service *service, const struct response *response)
{
    return revocations_confirm(service->revocations, response->announced, response->records);
}

/* On the commit thread. */
static void records_committed(struct commit_item *item, struct err failure)
{
    const struct pending *pending = (void *)item;
    pending->done(pending->context, failure.code ? failure : records_confirm(pending->service, pending->response));
}

void service_record(struct service *service, const struct request *request, const struct response *response,
                    void (*done)(void *context, struct err failure), void *context)
{
    if (!response->records) {
        done(context, OK);
        return;
    }
    struct pending *pending = arena_alloc(request->arena, sizeof *pending);
    *pending = (struct pending){ .item = { .records = records_to_keep(service, request, response),
                                           .done = records_committed },
                                 .service = service,
                                 .response = response,
                                 .done = done,
                                 .context = context };
    commit_submit(service->commit, &pending->item);
}

static struct err records_record_and_wait(struct service *service, const struct request *request,
                                          const struct response *response)
{
    if (!response->records)
        return OK;
    TRY(commit_wait(service->commit, records_to_keep(service, request, response)));
    return records_confirm(service, response);
}

void service_give_up(const struct request *request, struct response *response)
{
    response_fail(response, request->arena,
                  failed(ERR_UNAVAILABLE, "too many requests change the same thing at once; try again"));
}

struct record *records_join(struct record *first, struct record *rest)
{
    struct record **end = &first;
    while (*end)
        end = &(*end)->next;
    *end = rest;
    return first;
}

void local_call(struct service *service, const struct request *request, struct response *response)
{
    local_call_with(service, request, NULL, response);
}

void local_call_with(struct service *service, const struct request *request, struct record *also,
                     struct response *response)
{
    for (int i = 0; i < SERVICE_TRIES; i++) {
        (void)service_answer(service, request, true, response);
        if (!response->outcome)
            response->records = records_join(response->records, also);
        const struct err err = records_record_and_wait(service, request, response);
        if (err.code == ERR_CONFLICT)
            continue;
        if (err.code)
            response_fail(response, request->arena, err);
        return;
    }
    service_give_up(request, response);
}
