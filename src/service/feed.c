/* service/feed.c: GET /revocations: a page of the revocation feed (revocation/feed.h). A loop answers from the pages
 * that are kept; a worker takes over when a page has to be made or checked again. */
#include "base/settings.h"
#include "revocation/feed.h"
#include "revocation/feed_cache.h"
#include "revocation/revocations.h"
#include "service/call.h"
#include "service/operations.h"
#include "service/service.h"

enum { TAIL_MAX_AGE_S = 1, CLOSED_MAX_AGE_S = 60 };

struct err publish_revocations(struct call *call, struct response *response)
{
    const struct request *request = call->request;
    struct feed *feed = revocations_feed(call->service->revocations);
    AUTO(feed_kept_releasep) struct feed_kept *page = NULL;
    int64_t since = 0;
    TRY(feed_read_query(request->query, &since));
    if (!feed)
        return failed(ERR_NOT_FOUND, call->service->settings->revocation_feed == FEED_OFF
                                         ? "the revocation feed is turned off"
                                         : "a revocation feed needs one database that all instances share");
    TRY(feed_find(feed, since, request->now_s, call->may_wait, &page));
    response_may_be_kept(response, request->arena, page->is_tail ? TAIL_MAX_AGE_S : CLOSED_MAX_AGE_S, 0, 0);
    if (!response_unchanged(response, request, (struct str){ page->etag, FEED_ETAG_LEN })) {
        response->content_type = STR("application/revocation-feed+jwt");
        buf_add(&response->body, (struct str){ page->jws, page->len });
    }
    return OK;
}
