/* keys/lifecycle.c: which step of a key's life is due, and whether the settings are safe. The argument:
 *
 * A token that is signed at T by key K reaches a verifier whose JWKS was fetched before T. That JWKS is at most
 * max-age + max(stale-while-revalidate, stale-if-error) old, so it has K if K was published that long before; clocks
 * and instances that see a change late add their margin. And a token of K that has not expired finds K in the JWKS,
 * since K stays until its last signature's longest lifetime is over. Both are checked here, the first at each rotation,
 * the second by the store when K stops signing. */
#include "keys/lifecycle.h"
#include "keys/pair.h"

static int64_t lifecycle_max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

const char *key_state_name(enum key_state state)
{
    static const char *const names[] = { [KEY_PENDING] = "pending",
                                         [KEY_ACTIVE] = "active",
                                         [KEY_RETIRING] = "retiring",
                                         [KEY_RETIRED] = "retired",
                                         [KEY_REVOKED] = "revoked" };
    return names[state];
}

/* --- what the settings say --------------------------------------------------------------------------------------- */

static int64_t lifecycle_margin_s(const struct settings *settings)
{
    return settings->clock_skew_s + KEY_NOTICE_S;
}

int64_t lifecycle_pending_min_s(const struct settings *settings)
{
    return settings->jwks_max_age_s +
           lifecycle_max_of(settings->jwks_stale_while_revalidate_s, settings->jwks_stale_if_error_s) +
           lifecycle_margin_s(settings);
}

struct key_terms lifecycle_terms(const struct settings *settings)
{
    int64_t longest = lifecycle_max_of(settings->access_ttl_max_s,
                                       lifecycle_max_of(settings->refresh_ttl_max_s, settings->id_ttl_max_s));
    return (struct key_terms){ .lifetime_s = longest,
                               .retiring_s = settings->key_retiring_s,
                               .margin_s = lifecycle_margin_s(settings) };
}

/* Keys that are published at once when each is followed after the rotation's time. */
static int64_t lifecycle_keys_at_once(const struct settings *settings)
{
    const struct key_terms terms = lifecycle_terms(settings);
    int64_t retiring = lifecycle_max_of(terms.retiring_s, terms.lifetime_s + terms.margin_s);
    return settings->key_rotation_s > 0 ? 3 + retiring / settings->key_rotation_s : 0;
}

struct err lifecycle_check(struct arena *arena, const struct settings *settings)
{
    const struct key_terms terms = lifecycle_terms(settings);
    int64_t pending_min = lifecycle_pending_min_s(settings), retiring_min = terms.lifetime_s + terms.margin_s;
    if (settings->key_pending_s < pending_min)
        return failed(ERR_INVALID_REQUEST,
                      arena_printf(arena,
                                   "TOKEN_KEY_PENDING is \"%lld\": verifiers may keep the keys that they have for %lld "
                                   "seconds (TOKEN_JWKS_MAX_AGE, the larger of TOKEN_JWKS_STALE_WHILE_REVALIDATE and "
                                   "TOKEN_JWKS_STALE_IF_ERROR, TOKEN_CLOCK_SKEW, and %d); they would meet tokens of a "
                                   "key that they don't know",
                                   (long long)settings->key_pending_s, (long long)pending_min, (int)KEY_NOTICE_S)
                          .at);
    if (settings->key_retiring_s > 0 && settings->key_retiring_s < retiring_min)
        return failed(ERR_INVALID_REQUEST,
                      arena_printf(arena,
                                   "TOKEN_KEY_RETIRING is \"%lld\": a token may be good for %lld seconds (the longest "
                                   "TOKEN_*_TTL_MAX, TOKEN_CLOCK_SKEW, and %d) and would outlive its key; 0 computes "
                                   "it",
                                   (long long)settings->key_retiring_s, (long long)retiring_min, (int)KEY_NOTICE_S)
                          .at);
    if (settings->key_rotation_s > 0 && settings->key_rotation_s < settings->key_pending_s)
        return failed(ERR_INVALID_REQUEST,
                      arena_printf(arena,
                                   "TOKEN_KEY_ROTATION is \"%lld\": it is below TOKEN_KEY_PENDING, the time for which "
                                   "a "
                                   "key must be published before it signs (allowed: %lld seconds or more, or 0)",
                                   (long long)settings->key_rotation_s, (long long)settings->key_pending_s)
                          .at);
    if (lifecycle_keys_at_once(settings) > KEYS_LIVE_MAX)
        return failed(ERR_INVALID_REQUEST, arena_printf(arena,
                                                        "TOKEN_KEY_ROTATION is \"%lld\": %lld keys would be published "
                                                        "at once (allowed: %d); "
                                                        "rotate less often, or lower the longest TOKEN_*_TTL_MAX",
                                                        (long long)settings->key_rotation_s,
                                                        (long long)lifecycle_keys_at_once(settings), (int)KEYS_LIVE_MAX)
                                               .at);
    return OK;
}

/* --- what is due ------------------------------------------------------------------------------------------------- */

static const struct key *lifecycle_in_state(const struct lifecycle *life, enum key_state state)
{
    for (size_t i = 0; i < life->count; i++)
        if (life->keys[i].state == state)
            return &life->keys[i];
    return NULL;
}

const struct key *lifecycle_active(const struct lifecycle *life)
{
    return lifecycle_in_state(life, KEY_ACTIVE);
}

const struct key *lifecycle_standby(const struct lifecycle *life)
{
    return lifecycle_in_state(life, KEY_PENDING);
}

/* Of the algorithm and of the signer that the settings ask for. */
static bool lifecycle_is_wanted(const struct lifecycle *life, const struct key *key)
{
    return str_eq(key->alg, str_of(jwa_name((enum jwa)life->settings->signing_alg))) &&
           pair_is_of(key, (enum signer_kind)life->settings->signer);
}

int64_t lifecycle_standby_ready_at(const struct lifecycle *life)
{
    const struct key *standby = lifecycle_standby(life);
    return standby ? standby->published_at + life->settings->key_pending_s : 0;
}

/* When the active key's time is over, whether there is a next one or not. */
static int64_t lifecycle_wanted_at(const struct lifecycle *life, const struct key *active)
{
    if (!lifecycle_is_wanted(life, active))
        return active->activated_at;
    int64_t by_age = life->settings->key_rotation_s > 0 ? active->activated_at + life->settings->key_rotation_s
                                                        : LIFECYCLE_NEVER;
    int64_t asked = active->rotate_requested_at;
    return asked > 0 && (by_age == LIFECYCLE_NEVER || asked < by_age) ? asked : by_age;
}

int64_t lifecycle_rotation_at(const struct lifecycle *life, int64_t now_s)
{
    const struct key *active = lifecycle_active(life), *standby = lifecycle_standby(life);
    int64_t wanted = active ? lifecycle_wanted_at(life, active) : LIFECYCLE_NEVER;
    bool fits = standby && lifecycle_is_wanted(life, standby);
    if (wanted == LIFECYCLE_NEVER)
        return LIFECYCLE_NEVER;
    return lifecycle_max_of(wanted, fits ? lifecycle_standby_ready_at(life) : now_s + life->settings->key_pending_s);
}

struct due lifecycle_due(const struct lifecycle *life, int64_t now_s)
{
    const struct key *standby = lifecycle_standby(life);
    for (size_t i = 0; i < life->count; i++) /* first: it makes room */
        if (life->keys[i].state == KEY_RETIRING && life->keys[i].retire_after <= now_s)
            return (struct due){ STEP_RETIRE, &life->keys[i] };
    if (!lifecycle_active(life))
        return (struct due){ STEP_NONE, NULL };
    if (!standby)
        return (struct due){ life->count < KEYS_LIVE_MAX ? STEP_MAKE_STANDBY : STEP_NONE, NULL };
    if (!lifecycle_is_wanted(life, standby))
        return (struct due){ STEP_DROP_STANDBY, standby };
    int64_t rotation = lifecycle_rotation_at(life, now_s);
    /* with no room left for the standby after this one, an emergency would find none */
    if (rotation != LIFECYCLE_NEVER && rotation <= now_s && life->count < KEYS_LIVE_MAX)
        return (struct due){ STEP_ROTATE, standby };
    return (struct due){ STEP_NONE, NULL };
}
