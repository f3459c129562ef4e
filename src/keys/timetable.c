/* keys/timetable.c: the life of keys told to people: the timetable ahead, and why a key is as it is (lifecycle.h). */
#include "keys/lifecycle.h"
#include "base/rfc3339.h"
#include "keys/pair.h"

struct str lifecycle_span(struct arena *arena, int64_t seconds)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } };
    enum { UNITS = sizeof units / sizeof *units };
    size_t at = 0;
    if (seconds < 0)
        seconds = 0;
    while (at + 1 < UNITS && seconds < units[at].seconds)
        at++;
    int64_t rest = at + 1 < UNITS ? seconds % units[at].seconds / units[at + 1].seconds : 0;
    if (rest == 0)
        return arena_printf(arena, "%lld %s", (long long)(seconds / units[at].seconds), units[at].name);
    return arena_printf(arena, "%lld %s %lld %s", (long long)(seconds / units[at].seconds), units[at].name,
                        (long long)rest, units[at + 1].name);
}

/* --- the timetable ----------------------------------------------------------------------------------------------- */

struct plan {
    const struct lifecycle *life;
    struct plan_row *rows;
    size_t count;
};

static void timetable_add(struct plan *plan, int64_t at_s, struct str kid, struct str event)
{
    if (plan->count < PLAN_MAX)
        plan->rows[plan->count++] = (struct plan_row){ at_s, kid, event };
}

/* How long the active key retires once another one follows it. */
static int64_t timetable_retiring_s(const struct lifecycle *life, const struct key *active)
{
    const struct key_terms terms = lifecycle_terms(life->settings);
    int64_t lifetime = active->lifetime_s > terms.lifetime_s ? active->lifetime_s : terms.lifetime_s;
    return lifetime + terms.margin_s > terms.retiring_s ? lifetime + terms.margin_s : terms.retiring_s;
}

static void timetable_plan_standby(struct plan *plan, int64_t now_s)
{
    const struct lifecycle *life = plan->life;
    const struct key *standby = lifecycle_standby(life);
    int64_t ready_at = standby ? lifecycle_standby_ready_at(life) : now_s + life->settings->key_pending_s;
    if (!standby)
        timetable_add(plan, now_s, STR(""), STR("is made and published, as the next key"));
    if (ready_at > now_s)
        timetable_add(plan, ready_at, standby ? standby->kid : STR(""),
                      STR("is known to every verifier, and may sign"));
}

static void timetable_plan_rotation(struct plan *plan, int64_t now_s)
{
    const struct lifecycle *life = plan->life;
    const struct key *active = lifecycle_active(life), *standby = lifecycle_standby(life);
    int64_t at = lifecycle_rotation_at(life, now_s), rotation_s = life->settings->key_rotation_s;
    if (!active || at == LIFECYCLE_NEVER)
        return;
    if (at < now_s)
        at = now_s;
    timetable_add(plan, at, active->kid, STR("stops signing, and retires"));
    timetable_add(plan, at, standby ? standby->kid : STR(""), STR("begins to sign"));
    timetable_add(plan, at, STR(""), STR("is made and published, as the key after that"));
    timetable_add(plan, at + timetable_retiring_s(life, active), active->kid,
                  STR("is retired: its last token has expired"));
    if (rotation_s > 0)
        timetable_add(plan, at + rotation_s, standby ? standby->kid : STR(""), STR("stops signing, and retires"));
}

/* Of the same second, those added first come first; there are few rows. */
static void timetable_sort(struct plan *plan)
{
    for (size_t i = 1; i < plan->count; i++)
        for (size_t j = i; j > 0 && plan->rows[j - 1].at_s > plan->rows[j].at_s; j--) {
            struct plan_row later = plan->rows[j - 1];
            plan->rows[j - 1] = plan->rows[j];
            plan->rows[j] = later;
        }
}

size_t lifecycle_plan(const struct lifecycle *life, int64_t now_s, struct plan_row out[PLAN_MAX])
{
    struct plan plan = { .life = life, .rows = out };
    for (size_t i = 0; i < life->count; i++)
        if (life->keys[i].state == KEY_RETIRING)
            timetable_add(&plan, life->keys[i].retire_after, life->keys[i].kid,
                          STR("is retired: its last token has expired"));
    if (lifecycle_active(life))
        timetable_plan_standby(&plan, now_s);
    timetable_plan_rotation(&plan, now_s);
    timetable_sort(&plan);
    return plan.count;
}

/* --- why a key is as it is --------------------------------------------------------------------------------------- */

/* "at 2026-11-25T02:32:42Z, in 3 d 4 h"; or that it is overdue, which the next round of a server mends. */
static struct str timetable_when(struct arena *arena, int64_t at_s, int64_t now_s)
{
    if (at_s <= now_s)
        return STR("within a second, by a running server");
    return arena_printf(arena, "at %s, in %s", rfc3339_write(arena, at_s).at, lifecycle_span(arena, at_s - now_s).at);
}

static struct str timetable_explain_pending(const struct lifecycle *life, struct arena *arena, const struct key *key,
                                            int64_t now_s)
{
    int64_t ready_at = lifecycle_standby_ready_at(life), rotation_at = lifecycle_rotation_at(life, now_s);
    const char *known =
        ready_at <= now_s
            ? arena_printf(arena, "Every verifier has known it since %s, so it could sign.",
                           rfc3339_write(arena, ready_at).at)
                  .at
            : arena_printf(arena,
                           "Verifiers may still use a key set that was fetched before that; it may sign %s "
                           "(TOKEN_KEY_PENDING is %lld s).",
                           timetable_when(arena, ready_at, now_s).at, (long long)life->settings->key_pending_s)
                  .at;
    const char *next =
        rotation_at == LIFECYCLE_NEVER
            ? "It follows the active key when somebody asks for it: TOKEN_KEY_ROTATION is 0."
            : arena_printf(arena, "It follows the active key %s.", timetable_when(arena, rotation_at, now_s).at).at;
    return arena_printf(arena, "It is pending: published since %s, it signs nothing yet. %s %s",
                        rfc3339_write(arena, key->published_at).at, known, next);
}

static struct str timetable_explain_active(const struct lifecycle *life, struct arena *arena, const struct key *key,
                                           int64_t now_s)
{
    int64_t rotation_at = lifecycle_rotation_at(life, now_s);
    const char *because = rotation_at == LIFECYCLE_NEVER
                              ? "TOKEN_KEY_ROTATION is 0, so it signs until somebody asks for a rotation."
                          : !str_eq(key->alg, str_of(jwa_name((enum jwa)life->settings->signing_alg)))
                              ? "TOKEN_SIGNING_ALG names another algorithm, so the pending key follows"
                          : !pair_is_of(key, (enum signer_kind)life->settings->signer)
                              ? "TOKEN_SIGNER asks for another signer, so the pending key follows"
                          : key->rotate_requested_at > 0
                              ? arena_printf(arena, "A rotation was asked for at %s, so the pending key follows",
                                             rfc3339_write(arena, key->rotate_requested_at).at)
                                    .at
                              : arena_printf(arena, "TOKEN_KEY_ROTATION is %s, so the pending key follows",
                                             lifecycle_span(arena, life->settings->key_rotation_s).at)
                                    .at;
    struct str base = arena_printf(arena, "It signs every new token, since %s. %s",
                                   rfc3339_write(arena, key->activated_at).at, because);
    if (rotation_at == LIFECYCLE_NEVER)
        return base;
    return arena_printf(arena, "%s %s. After that it verifies for %s more, until its last token has expired.", base.at,
                        timetable_when(arena, rotation_at, now_s).at,
                        lifecycle_span(arena, timetable_retiring_s(life, key)).at);
}

struct str lifecycle_explain(const struct lifecycle *life, struct arena *arena, const struct key *key, int64_t now_s)
{
    switch (key->state) {
    case KEY_PENDING:
        return timetable_explain_pending(life, arena, key, now_s);
    case KEY_ACTIVE:
        return timetable_explain_active(life, arena, key, now_s);
    case KEY_RETIRING:
        return arena_printf(arena,
                            "It signed until %s and signs no more, but tokens of it may be good for up to %s after "
                            "that, so it stays published. It is retired %s.",
                            rfc3339_write(arena, key->retiring_at).at, lifecycle_span(arena, key->lifetime_s).at,
                            timetable_when(arena, key->retire_after, now_s).at);
    case KEY_RETIRED:
        return arena_printf(arena,
                            "Its last token had expired at %s, so it was taken out of the key set at %s. %s Nothing "
                            "comes next.",
                            rfc3339_write(arena, key->retire_after).at, rfc3339_write(arena, key->retired_at).at,
                            key->disposed_at > 0 ? "Its private key has been removed."
                                                 : "A running server will remove its private key.");
    case KEY_REVOKED:
        return arena_printf(arena,
                            "It was revoked at %s (reason: %s): it was taken out of the key set at once, and none of "
                            "its tokens is accepted. %s Nothing comes next.",
                            rfc3339_write(arena, key->revoked_at).at,
                            key->revocation_reason.len > 0 ? arena_copy(arena, key->revocation_reason).at
                                                           : "none was given",
                            key->disposed_at > 0 ? "Its private key has been removed."
                                                 : "A running server will remove its private key.");
    }
    return STR("");
}
