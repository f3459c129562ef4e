/* oauth/password_login.c: attempts, their user, and the line before the hashes. */
#include "oauth/password_login.h"
#include "base/clock.h"
#include "base/condition.h"
#include "base/settings.h"
#include "jose/password.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "oauth/users.h"
#include "service/failures.h"
#include <stdlib.h>

enum {
    CHECKS_AT_ONCE = 4, /* 128 MiB, if all hashes are new ones */
    WAITING_MOST = 32,
    WAIT_S = 5,
};

struct password_login {
    struct users *users;
    struct failures *failures;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t freed;
    size_t checking, waiting;
};

static const struct err wrong = { ERR_NOT_FOUND, "the username or the password is wrong" };
static const struct err limited = { ERR_TOO_MANY_REQUESTS,
                                    "too many failed log-ins from this address or with this username" };
static const struct err busy = { ERR_UNAVAILABLE, "too many people are logging in at this moment" };

struct password_login *password_login_new(const struct settings *settings)
{
    struct password_login *login = mem_alloc(sizeof *login);
    *login = (struct password_login){ .users = users_new(settings), .failures = failures_new(settings->failure_limit) };
    pthread_mutex_init(&login->lock, NULL);
    condition_init(&login->freed);
    return login;
}

void password_login_free(struct password_login *login)
{
    if (!login)
        return;
    pthread_cond_destroy(&login->freed);
    pthread_mutex_destroy(&login->lock);
    failures_free(login->failures);
    users_free(login->users);
    free(login);
}

/* --- the line ---------------------------------------------------------------------------------------------------- */

static bool password_login_enter(struct password_login *login)
{
    const int64_t until_ns = clock_ns() + (int64_t)WAIT_S * 1000000000;
    pthread_mutex_lock(&login->lock);
    bool may_wait = login->waiting < WAITING_MOST;
    login->waiting += may_wait;
    const bool waited = may_wait;
    while (login->checking >= CHECKS_AT_ONCE && may_wait)
        may_wait = condition_wait_until(&login->freed, &login->lock, until_ns);
    const bool enters = login->checking < CHECKS_AT_ONCE;
    login->waiting -= waited;
    login->checking += enters;
    pthread_mutex_unlock(&login->lock);
    return enters;
}

static void password_login_leave(struct password_login *login)
{
    pthread_mutex_lock(&login->lock);
    login->checking--;
    pthread_cond_signal(&login->freed);
    pthread_mutex_unlock(&login->lock);
}

/* --- one attempt ------------------------------------------------------------------------------------------------- */

/* Every way to "wrong" has checked a password against a hash. */
static struct err password_login_judge(struct password_login *login, struct arena *arena,
                                       const struct password_try *try, struct user *out)
{
    struct user user = { .is_disabled = true };
    const struct err found = users_find(login->users, arena, try->username, &user);
    if (found.code && found.code != ERR_NOT_FOUND)
        return found;
    if (found.code)
        user.password_hash = users_decoy(login->users, arena, try->username);
    if (!password_login_enter(login))
        return busy;
    bool right;
    const struct err err = password_check(user.password_hash, try->password, &right);
    password_login_leave(login);
    if (err.code) {
        LOG(LOG_ERROR, "password_not_checked", LOG_TEXT_("why", err.why));
        return err;
    }
    if (!right || found.code || user.is_disabled)
        return wrong;
    *out = user;
    return OK;
}

/* What says nothing of the password counts as neither. */
static void password_login_count(enum err_code outcome)
{
    if (outcome == ERR_OK)
        metrics_count(COUNT_LOGINS_OK, 1);
    else if (outcome == ERR_NOT_FOUND)
        metrics_count(COUNT_LOGINS_FAILED, 1);
    else if (outcome == ERR_TOO_MANY_REQUESTS)
        metrics_count(COUNT_LOGINS_SLOWED, 1);
}

struct err password_login_check(struct password_login *login, struct arena *arena, const struct password_try *try,
                                struct user *out, int64_t *wait_s)
{
    bool is_over;
    *wait_s = failures_begin(login->failures, try->address, try->username, try->now_ms, &is_over);
    const struct err err = *wait_s > 0 ? limited : password_login_judge(login, arena, try, out);
    if (*wait_s == 0 && err.code != ERR_NOT_FOUND)
        failures_take_back(login->failures, try->address, try->username, try->now_ms, is_over);
    password_login_count(err.code);
    return err;
}

struct err password_login_find(struct password_login *login, struct arena *arena, struct str subject, struct user *out)
{
    struct user user;
    TRY(users_find_subject(login->users, arena, subject, &user));
    if (user.is_disabled)
        return failed(ERR_NOT_FOUND, "the user is disabled");
    *out = user;
    return OK;
}

struct str password_login_name(struct password_login *login, struct arena *arena, struct str subject)
{
    struct user user;
    return login && !password_login_find(login, arena, subject, &user).code ? user.username : subject;
}
