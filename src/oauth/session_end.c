/* oauth/session_end.c: one list of records, so all of it happens or nothing. */
#include "oauth/session_end.h"
#include "oauth/backchannel.h"
#include "oauth/state.h"
#include "observe/log.h"
#include "service/call.h"
#include "service/revoke_rule.h"
#include "service/service.h"

struct err session_end(struct call *call, const struct session *session, struct str reason, struct record **records,
                       uint64_t *announced)
{
    struct record *rule = NULL;
    TRY(rule_revoke(call, REVOKED_SESSION, session->login.sid, reason, &rule, announced));
    rule->next = *records;
    *records = state_delete(call->request->arena, &session->item, rule);
    for (size_t i = 0; i < session->client_count; i++)
        TRY(backchannel_note(call, session->clients[i], &session->login, records));
    LOG(LOG_INFO, "session_ended", LOG_STR("request_id", call->request->id), LOG_STR("sid", session->login.sid),
        LOG_STR("sub", session->login.sub), LOG_STR("reason", reason));
    return OK;
}
