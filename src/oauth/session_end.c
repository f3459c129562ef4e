/* oauth/session_end.c: one list of records, so all of it happens or nothing. */
#include "oauth/session_end.h"
#include "oauth/backchannel.h"
#include "observe/log.h"
#include "service/call.h"
#include "service/revoke_rule.h"
#include "service/service.h"
#include "store/store.h"

/* In front of *records. */
static struct err session_end_revoke(struct call *call, struct str sid, enum session_end_cause cause, struct str reason,
                                     struct record **records, uint64_t *announced)
{
    struct record *rule = NULL, *last;
    TRY(rule_revoke(call, REVOKED_SESSION, sid, reason, &rule, announced));
    if (cause == SESSION_ENDED)
        TRY(rule_revoke_offline(call, rule, announced));
    last = rule->next ? rule->next : rule;
    last->next = *records;
    *records = rule;
    return OK;
}

struct err session_end(struct call *call, const struct session *session, enum session_end_cause cause,
                       struct record **records, uint64_t *announced)
{
    static const struct str reasons[] = {
        [SESSION_LOGGED_OUT] = STR_INIT("logged out"), [SESSION_ENDED] = STR_INIT("session ended")
    };
    const struct str reason = reasons[cause];
    TRY(session_end_revoke(call, session->login.sid, cause, reason, records, announced));
    *records = item_delete(call->request->arena, &session->item, *records);
    for (size_t i = 0; i < session->client_count; i++)
        TRY(backchannel_note(call, session->clients[i], &session->login, records));
    LOG(LOG_INFO, "session_ended", LOG_STR("request_id", call->request->id), LOG_STR("sid", session->login.sid),
        LOG_STR("sub", session->login.sub), LOG_STR("reason", reason));
    return OK;
}
